//! Verifies the compiled and the incremental sampler against the forward pass and the naive
//! sampler.

use std::ops::ControlFlow;

use burn::module::{Module, ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_core::weights::{WeightsError, to_safetensors};
use pixel_iqn_core::{
    AnyModel, Cancelled, Conditions, GatedPixelCnn, IncrementalSampler, Knots, KnownValues,
    Lowering, ModelConfig, NaiveSampler, NoProgress, Noise, Order, Output, PixelIqn, PixelModel,
    SampleBatch, Sampler,
};
use pixel_iqn_cpu::CpuSampler;
use proptest::prelude::*;
use proptest::test_runner::RngSeed;

fn seeded<M: PixelModel>(seed: u64, config: &ModelConfig) -> M {
    M::init_seeded(config, &Device::flex(), seed)
}

#[derive(Debug, Clone)]
struct Case {
    seed: u64,
    config: ModelConfig,
    batch: SampleBatch,
}

fn cases() -> impl Strategy<Value = Case> {
    let kernels = (
        prop::sample::select(vec![1usize, 3, 5, 7]),
        prop::sample::select(vec![1usize, 3, 5]),
    );
    let output = prop_oneof![
        Just(Output::gates(16, 8)),
        (0..=3usize).prop_map(|blocks| Output::head(blocks, 16, 8)),
        Just(Output::monotone(&Knots::default())),
        Just(Output::categorical(16)),
    ];
    let dilations = prop::collection::vec(1..=4usize, 1..=2);
    // One order in half of the cases, else one of eight.
    let order = prop_oneof![Just(None), (0..8usize).prop_map(Some)];
    let size = (1..=4usize, 1..=6usize, 1..=6usize);
    let channels = prop::sample::select(vec![1usize, 2, 3, 4]);
    let classes = prop::sample::select(vec![0usize, 3]);
    (
        channels,
        1..=3usize,
        (kernels, dilations),
        (classes, order),
        output,
        size,
        any::<u64>(),
    )
        .prop_map(
            |(
                channels,
                layers,
                ((input_kernel, kernel), dilations),
                (classes, order),
                output,
                (images, height, width),
                seed,
            )| {
                let config = ModelConfig::tiny()
                    .with_channels(channels)
                    .with_features(24)
                    .with_layers(layers)
                    .with_input_kernel(input_kernel)
                    .with_kernel(kernel)
                    .with_dilations(dilations)
                    .with_classes(classes)
                    .with_orders(if order.is_some() { 8 } else { 1 })
                    .with_output(output);
                let count = images * channels * height * width;
                let noise = Noise::new(seed);
                let labels = (0..images).map(|i| {
                    let label = (seed as usize % 7 + i) % (classes + 1);
                    (label < classes).then_some(label)
                });
                let dims = [images, channels, height, width];
                let batch = SampleBatch::new(dims, noise.uniform(0, count))
                    .with_labels((classes > 0).then(|| labels.collect()))
                    .with_known(Some(KnownValues {
                        values: noise.uniform(1, count),
                        mask: noise.uniform(2, count).iter().map(|&u| u < 0.3).collect(),
                    }))
                    .with_levels(Some(256))
                    .with_order(order.map_or(Order::RASTER, |index| Order::new(index).unwrap()));
                Case {
                    seed,
                    config,
                    batch,
                }
            },
        )
}

impl Case {
    fn check<M: PixelModel + Sync>(
        &self,
        model: M,
        (compiled, incremental): (CpuSampler, IncrementalSampler),
        forward: impl Fn(&M, Tensor<4>, Tensor<4>, Conditions<'_>) -> Tensor<4>,
    ) -> Result<(), TestCaseError> {
        let device = Device::flex();
        let dims = self.batch.dims;
        let tensor = |values: &[f32]| {
            Tensor::<4>::from_data(TensorData::new(values.to_vec(), dims), &device)
        };
        let labels = self.batch.labels.as_ref().map(|labels| {
            // The number of classes stands for no class.
            let none = self.config.classes;
            let labels: Vec<i64> = labels.iter().map(|l| l.unwrap_or(none) as i64).collect();
            Tensor::<1, Int>::from_data(labels.as_slice(), &device)
        });

        // With teacher forcing, every value is given.
        let known = self
            .batch
            .known
            .clone()
            .expect("every case has known values");
        let forced = self.batch.clone().with_known(Some(KnownValues {
            mask: vec![true; known.mask.len()],
            ..known.clone()
        }));
        let results = [
            compiled.predict(&forced, &NoProgress).unwrap(),
            incremental.predict(&forced, &NoProgress).unwrap(),
        ];
        let expected = forward(
            &model,
            tensor(&known.values),
            tensor(&forced.tau),
            Conditions::new(labels.as_ref()).with_order(self.batch.order),
        );
        let expected: Vec<f32> = expected.into_data().try_to_vec().unwrap();
        for (predictions, images) in results {
            prop_assert_eq!(&images, &known.values);
            for (i, (a, b)) in predictions.iter().zip(&expected).enumerate() {
                prop_assert!((a - b).abs() < 1e-5, "value {}: {} is not {}", i, a, b);
            }
        }

        // Some values are given, the others sampled and rounded. The seed of the test is fixed,
        // since a quantile at the border between two levels may round either way.
        let naive = NaiveSampler::new(model, &device)
            .sample(&self.batch, &NoProgress)
            .unwrap();
        let sampled = compiled.sample(&self.batch, &NoProgress).unwrap();
        prop_assert_eq!(&sampled, &naive);
        let sampled = incremental.sample(&self.batch, &NoProgress).unwrap();
        prop_assert_eq!(&sampled, &naive);
        self.check_steps(&compiled, &naive)
    }

    /// Samples pixel by pixel, in several lots, what is to be `expected`.
    fn check_steps(&self, compiled: &CpuSampler, expected: &[f32]) -> Result<(), TestCaseError> {
        let mut steps = compiled.begin(&self.batch).unwrap();
        let [images, channels, height, width] = self.batch.dims;
        loop {
            let pixels = steps.advance(5);
            if pixels.is_empty() {
                break;
            }
            for pixel in pixels {
                let [row, column] = steps.position(pixel);
                for plane in 0..images * channels {
                    let value = steps.value(plane / channels, plane % channels, pixel);
                    let at = (plane * height + row) * width + column;
                    prop_assert_eq!(value, expected[at]);
                }
            }
        }
        prop_assert_eq!(steps.images(), expected);
        let (predictions, _) = compiled.predict(&self.batch, &NoProgress).unwrap();
        prop_assert_eq!(steps.predictions(), predictions);
        Ok(())
    }
}

proptest! {
    #![proptest_config(ProptestConfig {
        failure_persistence: None,
        rng_seed: RngSeed::Fixed(0),
        ..ProptestConfig::with_cases(100)
    })]

    #[test]
    fn equals_the_forward_pass_and_the_naive_sampler(case in cases()) {
        if case.config.output.is_quantile() {
            let model: PixelIqn = seeded(case.seed, &case.config);
            let samplers = (CpuSampler::from(&model), IncrementalSampler::from(&model));
            case.check(model, samplers, |model, x, tau, given| model.forward(x, tau, given))?;
        } else {
            let model: GatedPixelCnn = seeded(case.seed, &case.config);
            let samplers = (CpuSampler::from(&model), IncrementalSampler::from(&model));
            case.check(model, samplers, |model, x, tau, given| model.values(x, tau, given))?;
        }
    }
}

#[test]
fn an_image_does_not_depend_on_its_batch_or_on_the_threads() {
    let config = ModelConfig::quick();
    for lowering in [Lowering::Fastest, Lowering::Bfloat16] {
        let model = seeded::<PixelIqn>(0, &config).with_lowering(lowering);
        let fast = CpuSampler::from(&model);
        let batch = |first: u64, images: usize| {
            let images_of = first..first + images as u64;
            let tau = images_of.flat_map(|image| Noise::new(3).uniform(image, 60));
            SampleBatch::new([images, 3, 4, 5], tau.collect()).with_levels(Some(256))
        };
        let whole = fast.sample(&batch(0, 5), &NoProgress).unwrap();
        for image in 0..5 {
            let alone = fast.sample(&batch(image as u64, 1), &NoProgress).unwrap();
            assert_eq!(
                alone,
                whole[image * 60..(image + 1) * 60],
                "{lowering:?}, image {image}"
            );
        }
        let on_three = with_threads(3, || fast.sample(&batch(0, 5), &NoProgress).unwrap());
        assert_eq!(on_three, whole, "{lowering:?}");
    }
}

#[test]
fn rounded_weights_predict_nearly_the_same() {
    let device = Device::flex();
    // Elsewhere nothing is rounded.
    let rounds = Lowering::has_bfloat16(&device);
    for kind in Output::KINDS {
        let config = ModelConfig::quick().with_output(Output::of_kind(kind).unwrap());
        let model: AnyModel = seeded(2, &config);
        let dims = [2, 3, 7, 8];
        let values = |key| Noise::new(key).uniform(0, dims.iter().product());
        let batch = SampleBatch::new(dims, values(0)).with_known(Some(KnownValues {
            values: values(1),
            mask: vec![true; dims.iter().product()],
        }));
        let predict = |lowering| {
            let model = model.clone().with_lowering(lowering);
            let sampler = CpuSampler::from(&model);
            sampler.predict(&batch, &NoProgress).unwrap().0
        };
        let (exact, rounded) = (predict(Lowering::Fastest), predict(Lowering::Bfloat16));
        let off = exact.iter().zip(&rounded).map(|(a, b)| (a - b).abs());
        let off = off.fold(0.0, f32::max);
        assert!(off < 0.02, "{kind}: {off}");
        // Levels of a softmax may all stay the same.
        assert!(
            kind == "categorical" || (off > 0.0) == rounds,
            "{kind}: {off}"
        );
    }
}

/// Runs in a pool of so many threads.
fn with_threads<R: Send>(threads: usize, run: impl FnOnce() -> R + Send) -> R {
    let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
    pool.build().unwrap().install(run)
}

#[test]
fn one_image_on_many_threads_is_that_of_one() {
    // The second has fewer panels of outputs than four threads.
    let configs = [48, 36].map(|features| {
        ModelConfig::quick()
            .with_features(features)
            .with_dilations(vec![1, 2, 4])
            .with_classes(3)
    });
    let kinds = Output::KINDS.into_iter();
    for (output, config) in kinds.flat_map(|kind| configs.iter().map(move |c| (kind, c))) {
        let config = config.clone().with_output(Output::of_kind(output).unwrap());
        for lowering in [Lowering::Fastest, Lowering::Bfloat16] {
            let model: AnyModel = seeded(1, &config);
            let fast = CpuSampler::from(&model.with_lowering(lowering));
            // The second has fewer columns than threads.
            for dims in [[1, 3, 5, 21], [1, 3, 3, 2]] {
                let batch = SampleBatch::new(dims, Noise::new(3).uniform(0, dims.iter().product()))
                    .with_labels(Some(vec![Some(2)]))
                    .with_levels(Some(256));
                let sample =
                    |threads| with_threads(threads, || fast.sample(&batch, &NoProgress).unwrap());
                let alone = sample(1);
                for threads in [2, 3, 7] {
                    assert_eq!(
                        sample(threads),
                        alone,
                        "{threads} threads, {output}, {lowering:?}, {dims:?}"
                    );
                }
            }
        }
    }
}

#[test]
fn a_panic_of_the_progress_ends_all_threads() {
    let fast = CpuSampler::from(&seeded::<PixelIqn>(0, &ModelConfig::tiny()));
    let batch = SampleBatch::new([1, 3, 3, 3], Noise::new(0).uniform(0, 27));
    let sample = || {
        with_threads(2, || {
            fast.sample(&batch, &|_: usize, _: usize| panic!("on purpose"))
        })
    };
    let panic = std::panic::catch_unwind(std::panic::AssertUnwindSafe(sample));
    assert_eq!(panic.unwrap_err().downcast_ref(), Some(&"on purpose"));
}

#[test]
fn the_bytes_of_a_file_are_the_model() {
    for kind in Output::KINDS {
        let output = Output::of_kind(kind).unwrap();
        let config = ModelConfig::tiny().with_classes(2).with_output(output);
        let model: AnyModel = seeded(1, &config);
        let bytes = to_safetensors(&model).unwrap();
        let sampler = CpuSampler::from_safetensors(&config, &bytes).unwrap();
        let batch = SampleBatch::new([2, 3, 3, 4], Noise::new(0).uniform(0, 72))
            .with_labels(Some(vec![Some(1), None]));
        assert_eq!(
            sampler.predict(&batch, &NoProgress).unwrap(),
            CpuSampler::from(&model)
                .predict(&batch, &NoProgress)
                .unwrap()
        );

        let deeper = config.clone().with_layers(4);
        let error = CpuSampler::from_safetensors(&deeper, &bytes).unwrap_err();
        assert!(error.to_string().contains("`layers.3."), "{error}");
        let error = CpuSampler::from_safetensors(&config, &bytes[..999]).unwrap_err();
        assert!(matches!(error, WeightsError::Content(_)), "{error}");
    }
}

#[test]
fn progress_can_cancel() {
    let config = ModelConfig::tiny();
    let fast = CpuSampler::from(&seeded::<PixelIqn>(0, &config));
    let batch = SampleBatch::new([2, 3, 3, 3], Noise::new(0).uniform(0, 54));
    let result = fast.sample(&batch, &|done, total| {
        assert_eq!(total, 6);
        match done {
            2.. => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    });
    assert!(matches!(
        result,
        Err(pixel_iqn_core::SampleError::Cancelled(Cancelled))
    ));
}

/// Multiplies every weight by a factor that makes products overflow.
struct Overflow;

impl ModuleMapper for Overflow {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        Param::from_mapped_value(id, tensor * 1e30, mapper)
    }
}

#[test]
fn what_is_no_number_becomes_no_level() {
    for kind in Output::KINDS {
        let output = Output::of_kind(kind).unwrap();
        let config = ModelConfig::tiny().with_output(output);
        let model: AnyModel = seeded(3, &config);
        let model = model.map(&mut Overflow);
        let dims = [1, 3, 2, 2];
        let batch = SampleBatch::new(dims, vec![0.5; 12]);
        let device = Device::flex();
        let samplers: [Box<dyn Sampler>; 3] = [
            Box::new(CpuSampler::from(&model)),
            Box::new(IncrementalSampler::from(&model)),
            Box::new(NaiveSampler::new(model.clone(), &device)),
        ];
        for (number, sampler) in samplers.iter().enumerate() {
            let values = sampler.sample(&batch, &NoProgress).unwrap();
            assert!(
                values.iter().any(|value| value.is_nan()),
                "{kind}, sampler {number}: {values:?}"
            );
        }
    }
}

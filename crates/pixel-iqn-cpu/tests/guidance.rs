//! Verifies samples with classifier-free guidance against its definition.

use std::ops::ControlFlow;
use std::sync::Mutex;

use burn::tensor::activation::softmax;
use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_core::{
    Conditions, FinishedRow, GatedPixelCnn, IncrementalSampler, Knots, KnownValues, ModelConfig,
    NoProgress, Noise, Order, Output, PixelIqn, PixelModel, Progress, SampleBatch, Sampler,
};
use pixel_iqn_cpu::CpuSampler;

const LEVELS: usize = 16;

fn config(output: Output) -> ModelConfig {
    ModelConfig::tiny()
        .with_channels(2)
        .with_features(24)
        .with_classes(3)
        .with_orders(8)
        .with_output(output)
}

fn monotone() -> PixelIqn {
    let config = config(Output::monotone(&Knots::default()));
    PixelIqn::init_seeded(&config, &Device::flex(), 1)
}

fn categorical() -> GatedPixelCnn {
    GatedPixelCnn::init_seeded(&config(Output::categorical(LEVELS)), &Device::flex(), 2)
}

/// Three images, two with a class, of which some values are given.
fn batch(order: Order) -> SampleBatch {
    let (dims, noise) = ([3, 2, 4, 3], Noise::new(7));
    let count = dims.iter().product();
    SampleBatch::new(dims, noise.uniform(0, count))
        .with_labels(Some(vec![Some(2), None, Some(0)]))
        .with_known(Some(KnownValues {
            values: noise.uniform(1, count),
            mask: noise.uniform(2, count).iter().map(|u| *u < 0.2).collect(),
        }))
        .with_levels(Some(LEVELS))
        .with_order(order)
}

/// Image `image` of the batch alone.
fn alone(batch: &SampleBatch, image: usize) -> SampleBatch {
    let [_, channels, height, width] = batch.dims;
    let values = channels * height * width;
    let range = image * values..(image + 1) * values;
    let known = batch.known.as_ref().unwrap();
    SampleBatch::new(
        [1, channels, height, width],
        batch.tau[range.clone()].to_vec(),
    )
    .with_labels(Some(vec![batch.labels.as_ref().unwrap()[image]]))
    .with_known(Some(KnownValues {
        values: known.values[range.clone()].to_vec(),
        mask: known.mask[range].to_vec(),
    }))
    .with_levels(batch.levels)
    .with_order(batch.order)
    .with_guidance(batch.guidance)
}

/// The probabilities of the levels of all values of images, `[values, levels]`.
type Probabilities<'a> = &'a dyn Fn(Tensor<4>, Conditions<'_>) -> Vec<f64>;

fn of_monotone(model: &PixelIqn, x: Tensor<4>, conditions: Conditions<'_>) -> Vec<f64> {
    let functions = model.quantile_functions(x.clone(), conditions).unwrap();
    let edges: Vec<f32> = (0..LEVELS)
        .map(|level| (level as f32 + 0.5) / (LEVELS - 1) as f32)
        .collect();
    let edges = Tensor::<1>::from_data(edges.as_slice(), &x.device());
    let cdf = functions.with_bounds(0.0, 1.0).cdf(edges.unsqueeze());
    let cdf: Vec<f64> = cdf.into_data().iter::<f64>().collect();
    let of_value = |cdf: &[f64]| -> Vec<f64> {
        let below = [0.0].into_iter().chain(cdf.iter().copied());
        cdf.iter()
            .zip(below)
            .map(|(upper, below)| upper - below)
            .collect()
    };
    cdf.chunks_exact(LEVELS).flat_map(of_value).collect()
}

fn of_categorical(model: &GatedPixelCnn, x: Tensor<4>, conditions: Conditions<'_>) -> Vec<f64> {
    let logits = model.forward(x, conditions).permute([0, 1, 3, 4, 2]);
    softmax(logits, 4).into_data().iter::<f64>().collect()
}

/// Samples one image by whole forward passes and the formula of guidance.
fn by_definition(batch: &SampleBatch, probabilities: Probabilities<'_>) -> Vec<f32> {
    let device = Device::flex();
    let [_, channels, height, width] = batch.dims;
    let label = batch.labels.as_ref().unwrap()[0];
    let mut x = vec![0.0f32; batch.tau.len()];
    let [rows, columns] = batch.order.size([height, width]);
    for turn in 0..rows * columns {
        let place = [turn / columns, turn % columns];
        let [row, column] = batch.order.position(place, [height, width]);
        for channel in 0..channels {
            let at = (channel * height + row) * width + column;
            let of = |label: usize| {
                let x = Tensor::from_data(TensorData::new(x.clone(), batch.dims), &device);
                let label = Tensor::<1, Int>::from_data([label as i64], &device);
                let conditions = Conditions::new(Some(&label)).with_order(batch.order);
                probabilities(x, conditions)[at * LEVELS..][..LEVELS].to_vec()
            };
            // The number of classes stands for no class.
            let (p, q) = (of(label.unwrap_or(3)), of(3));
            let w = f64::from(batch.guidance);
            let guided: Vec<f64> = p
                .iter()
                .zip(&q)
                .map(|(p, q)| p * ((p + 0.02) / (q + 0.02)).powf(w))
                .collect();
            let total: f64 = guided.iter().sum();
            let mut up_to = 0.0;
            let level = guided.iter().position(|p| {
                up_to += p / total;
                up_to >= f64::from(batch.tau[at])
            });
            let value = level.unwrap_or(LEVELS - 1) as f32 / (LEVELS - 1) as f32;
            x[at] = batch.final_value(at, value);
        }
    }
    x
}

fn check(sampler: &CpuSampler, probabilities: Probabilities<'_>) {
    for (order, weight) in [(0, 20.0), (5, 60.0)] {
        let free = batch(Order::new(order).unwrap());
        let guided = free.clone().with_guidance(weight);
        let images = sampler.sample(&guided, &NoProgress).unwrap();
        let values = images.len() / 3;
        let unguided = sampler.sample(&free, &NoProgress).unwrap();
        for image in 0..3 {
            let range = image * values..(image + 1) * values;
            let expected = by_definition(&alone(&guided, image), probabilities);
            assert_eq!(images[range.clone()], expected, "image {image}");
            // Without a class there is nothing to guide to.
            let same = images[range.clone()] == unguided[range];
            assert_eq!(same, image == 1, "image {image}");
        }
        let mut steps = sampler.begin(&guided).unwrap();
        assert_eq!(steps.advance(100), 0..12);
        assert_eq!(steps.images(), images);
        let (predictions, _) = sampler.predict(&guided, &NoProgress).unwrap();
        assert_eq!(steps.predictions(), predictions);
        let [row, column] = steps.position(7);
        let at = ((2 * 2 + 1) * 4 + row) * 3 + column;
        assert_eq!(steps.value(2, 1, 7), images[at]);
    }
}

#[test]
fn guided_images_are_those_of_the_definition() {
    let model = monotone();
    check(&CpuSampler::from(&model), &|x, conditions| {
        of_monotone(&model, x, conditions)
    });
    let model = categorical();
    check(&CpuSampler::from(&model), &|x, conditions| {
        of_categorical(&model, x, conditions)
    });
}

#[test]
fn images_do_not_depend_on_the_threads_or_on_the_others() {
    let guided = batch(Order::new(5).unwrap()).with_guidance(2.0);
    for sampler in [
        CpuSampler::from(&monotone()),
        CpuSampler::from(&categorical()),
    ] {
        let together = sampler.sample(&guided, &NoProgress).unwrap();
        let values = together.len() / 3;
        for threads in [1, 2, 3, 8] {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            pool.build().unwrap().install(|| {
                assert_eq!(sampler.sample(&guided, &NoProgress).unwrap(), together);
                for image in 0..3 {
                    let alone = sampler.sample(&alone(&guided, image), &NoProgress);
                    assert_eq!(alone.unwrap(), together[image * values..][..values]);
                }
            });
        }
    }
}

#[test]
fn the_levels_of_a_categorical_model_may_be_others_than_those_of_the_batch() {
    let guided = batch(Order::RASTER)
        .with_guidance(2.0)
        .with_levels(Some(256));
    let images = CpuSampler::from(&categorical()).sample(&guided, &NoProgress);
    let known = guided.known.as_ref().unwrap();
    for (value, known) in images.unwrap().iter().zip(&known.mask) {
        // Each of 16 levels is one of 256.
        let level = value * 15.0;
        assert!(*known || (level - level.round()).abs() < 1e-4, "{value}");
    }
}

/// A progress that keeps the rows that it is told of.
#[derive(Default)]
struct Rows(Mutex<Vec<(usize, usize, Vec<f32>)>>);

impl Progress for Rows {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        assert!(done <= total && total == 3 * 4);
        ControlFlow::Continue(())
    }

    fn row(&self, row: &FinishedRow<'_>) {
        let images = row.values.chunks_exact(2 * 3).enumerate();
        let rows = images.map(|(i, values)| (row.first_image + i, row.row, values.to_vec()));
        self.0.lock().unwrap().extend(rows);
    }
}

#[test]
fn the_progress_sees_the_images_and_not_the_unconditional_ones() {
    let guided = batch(Order::RASTER).with_guidance(2.0);
    let last = std::sync::atomic::AtomicUsize::new(0);
    let count = |done, _| {
        last.fetch_max(done, std::sync::atomic::Ordering::Relaxed);
        ControlFlow::Continue(())
    };
    CpuSampler::from(&monotone())
        .sample(&guided.clone().with_order(Order::new(5).unwrap()), &count)
        .unwrap();
    // The rows of order 5 are columns.
    assert_eq!(last.into_inner(), 3 * 3);
    let rows = Rows::default();
    let images = CpuSampler::from(&monotone()).sample(&guided, &rows);
    let images = images.unwrap();
    let rows = rows.0.into_inner().unwrap();
    assert_eq!(rows.len(), 3 * 4);
    for (image, row, values) in rows {
        for channel in 0..2 {
            let at = ((image * 2 + channel) * 4 + row) * 3;
            assert_eq!(values[channel * 3..][..3], images[at..at + 3]);
        }
    }
}

#[test]
fn what_cannot_be_guided_is_refused_with_the_reason() {
    let refused = |sampler: &dyn Sampler, batch: SampleBatch| {
        sampler.sample(&batch, &NoProgress).unwrap_err().to_string()
    };
    let (model, batch) = (monotone(), batch(Order::RASTER).with_guidance(1.0));
    let sampler = CpuSampler::from(&model);
    for weight in [-1.0, f32::NAN, f32::INFINITY] {
        let error = refused(&sampler, batch.clone().with_guidance(weight));
        assert!(error.contains("at least 0"), "{error}");
    }
    let error = refused(&sampler, batch.clone().with_levels(None));
    assert!(error.contains("levels"), "{error}");
    let gates = PixelIqn::init_seeded(&config(Output::gates(8, 8)), &Device::flex(), 0);
    let error = refused(&CpuSampler::from(&gates), batch.clone());
    assert!(error.contains("output gates"), "{error}");
    let error = refused(&IncrementalSampler::from(&model), batch.clone());
    assert!(error.contains("device cpu"), "{error}");
    let unconditional = config(Output::monotone(&Knots::default())).with_classes(0);
    let model = PixelIqn::init_seeded(&unconditional, &Device::flex(), 0);
    let error = refused(&CpuSampler::from(&model), batch.with_labels(None));
    assert!(error.contains("class-conditional"), "{error}");
}

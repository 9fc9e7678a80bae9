//! Tests exactly which values and which tau an output depends on.
//!
//! One backward pass computes the whole Jacobian: the batch has one copy of the image for each
//! value, and the loss is the sum over `i` of value `i` of copy `i`.

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_core::{ModelConfig, Noise, Output, PixelModel};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Case {
    config: ModelConfig,
    height: usize,
    width: usize,
    seed: u64,
}

impl Case {
    fn channels(&self) -> usize {
        self.config.channels
    }

    /// The number of values of an image.
    fn values(&self) -> usize {
        self.channels() * self.height * self.width
    }

    /// The row, column and channel of the value at `index` of `[channels, height, width]`.
    fn place(&self, index: usize) -> [usize; 3] {
        let plane = self.height * self.width;
        let pixel = index % plane;
        [pixel / self.width, pixel % self.width, index / plane]
    }

    /// Computes the Jacobians, `[values, values]`, of the outputs with respect to the image's
    /// values and to tau.
    fn jacobians(&self, positive: bool) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let config = &self.config;
        if config.output.is_quantile() {
            let model = self.prepare(config.init_pixel_iqn(&device), positive);
            self.differentiate(positive, |x, tau, labels| model.forward(x, tau, labels))
        } else {
            let model = self.prepare(config.init_gated_pixel_cnn(&device), positive);
            self.differentiate(positive, |x, _, labels| {
                model.forward(x, labels).sum_dim(2).squeeze_dim(2)
            })
        }
    }

    fn prepare<M: PixelModel>(&self, model: M, positive: bool) -> M {
        if positive {
            model.map(&mut Positive)
        } else {
            model
        }
    }

    fn differentiate(
        &self,
        positive: bool,
        forward: impl Fn(Tensor<4>, Tensor<4>, Option<&Tensor<1, Int>>) -> Tensor<4>,
    ) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let n = self.values();
        let shape = [n, self.channels(), self.height, self.width];
        let copies = |image: Vec<f32>| {
            let data = TensorData::new(image.repeat(n), shape);
            Tensor::<4>::from_data(data, &device).require_grad()
        };
        let noise = Noise::new(self.seed);
        // With positive inputs as well as weights, no path to an output cancels another.
        let x = copies(if positive {
            vec![1.0; n]
        } else {
            noise.uniform(0, n)
        });
        let tau = copies(noise.uniform(1, n));
        let labels: Option<Tensor<1, Int>> = (self.config.classes > 0).then(|| {
            Tensor::full(
                [n],
                (self.seed % self.config.classes as u64) as i64,
                &device,
            )
        });
        let output = forward(x.clone(), tau.clone(), labels.as_ref());
        let output = output.reshape([n, n]);
        let diagonal = output * Tensor::<2>::eye(n, &device);
        let grads = diagonal.sum().backward();
        let grad = |tensor: &Tensor<4>| match tensor.grad(&grads) {
            Some(grad) => grad.into_data().try_to_vec().unwrap(),
            None => vec![0.0; n * n],
        };
        (grad(&x), grad(&tau))
    }

    /// Whether the value at `input` lies in the receptive field of the output at `output`.
    fn reaches(&self, input: [usize; 3], output: [usize; 3]) -> bool {
        let c = &self.config;
        let radius = c.input_kernel / 2 + (c.layers - 1) * (c.kernel / 2);
        let up = output[0] as isize - input[0] as isize;
        let left = output[1] as isize - input[1] as isize;
        match up {
            0 if left == 0 => input[2] < output[2],
            0 => 0 < left && left <= radius as isize,
            _ => 0 < up && up <= radius as isize + 1 && left.unsigned_abs() <= radius,
        }
    }
}

/// Sets all weights to small positive numbers, so that every path to an output adds to its
/// gradient.
struct Positive;

impl ModuleMapper for Positive {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|weight| {
            let device = weight.device();
            let value = if D == 1 { 0.3 } else { 0.02 };
            Tensor::full(weight.dims(), value, &device).require_grad()
        })
    }
}

fn cases() -> impl Strategy<Value = Case> {
    let kernels = (
        prop::sample::select(vec![3usize, 5, 7]),
        prop::sample::select(vec![1usize, 3, 5]),
    );
    let output = prop_oneof![
        Just(Output::gates(16, 8)),
        (1..=3usize).prop_map(|blocks| Output::head(blocks, 16, 8)),
        Just(Output::categorical(3)),
    ];
    let classes = prop::sample::select(vec![0usize, 3]);
    (
        1..=4usize,
        1..=3usize,
        kernels,
        classes,
        output,
        1..=5usize,
        1..=5usize,
        any::<u64>(),
    )
        .prop_map(
            |(channels, layers, (input_kernel, kernel), classes, output, height, width, seed)| {
                Case {
                    config: ModelConfig::tiny()
                        .with_channels(channels)
                        .with_features(4 * channels)
                        .with_layers(layers)
                        .with_input_kernel(input_kernel)
                        .with_kernel(kernel)
                        .with_classes(classes)
                        .with_output(output),
                    height,
                    width,
                    seed,
                }
            },
        )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(200) })]

    #[test]
    fn nothing_depends_on_itself_or_on_what_comes_later(case in cases()) {
        let n = case.values();
        let (by_x, by_tau) = case.jacobians(false);
        let strict = matches!(case.config.output, Output::Head { .. });
        for (output, input) in (0..n).flat_map(|o| (0..n).map(move |i| (o, i))) {
            let (o, i) = (case.place(output), case.place(input));
            // Raster order: row, column, channel.
            if i >= o {
                prop_assert_eq!(by_x[output * n + input], 0.0, "value {:?} of {:?}", i, o);
            }
            if i > o || (strict && i != o) {
                prop_assert_eq!(by_tau[output * n + input], 0.0, "tau {:?} of {:?}", i, o);
            }
        }
    }

    #[test]
    fn everything_in_the_receptive_field_counts(case in cases()) {
        let n = case.values();
        let (by_x, by_tau) = case.jacobians(true);
        let quantile = case.config.output.is_quantile();
        for (output, input) in (0..n).flat_map(|o| (0..n).map(move |i| (o, i))) {
            let (o, i) = (case.place(output), case.place(input));
            let grad = by_x[output * n + input];
            prop_assert_eq!(grad != 0.0, case.reaches(i, o), "value {:?} of {:?}: {}", i, o, grad);
            if quantile && i == o {
                prop_assert_ne!(by_tau[output * n + input], 0.0, "its own tau {:?}", o);
            }
        }
    }
}

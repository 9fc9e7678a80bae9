//! Tests exactly which values and which tau an output depends on.
//!
//! One backward pass computes the whole Jacobian: the batch has one copy of the image for each
//! value, and the loss is the sum over `i` of value `i` of copy `i`.

use std::collections::HashSet;

use burn::module::{ModuleMapper, Param};
use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_core::{Conditions, Knots, ModelConfig, Noise, Order, Output, PixelModel};
use proptest::prelude::*;

#[derive(Debug, Clone)]
struct Case {
    config: ModelConfig,
    order: Order,
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

    /// The row, column and channel, in the raster of the order, of the value at `index` of
    /// `[channels, height, width]`.
    fn place(&self, index: usize) -> [usize; 3] {
        let size = [self.height, self.width];
        let plane = self.height * self.width;
        let pixel = [index % plane / self.width, index % self.width];
        let [height, width] = self.order.size(size);
        let mut places = (0..height).flat_map(|row| (0..width).map(move |column| [row, column]));
        let [row, column] = places
            .find(|&place| self.order.position(place, size) == pixel)
            .unwrap();
        [row, column, index / plane]
    }

    /// Computes the Jacobians, `[values, values]`, of the outputs with respect to the image's
    /// values and to tau.
    fn jacobians(&self, positive: bool) -> (Vec<f32>, Vec<f32>) {
        let device = Device::flex().autodiff();
        let config = &self.config;
        if config.output.is_quantile() {
            let model = self.prepare(config.init_pixel_iqn(&device), positive);
            self.differentiate(positive, |x, tau, given| model.forward(x, tau, given))
        } else {
            let model = self.prepare(config.init_gated_pixel_cnn(&device), positive);
            self.differentiate(positive, |x, _, given| {
                model.forward(x, given).sum_dim(2).squeeze_dim(2)
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
        forward: impl Fn(Tensor<4>, Tensor<4>, Conditions<'_>) -> Tensor<4>,
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
        let conditions = Conditions::new(labels.as_ref()).with_order(self.order);
        let output = forward(x.clone(), tau.clone(), conditions);
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
        let [row, column, channel] = input;
        let [whole, centres] = self.read_by([output[0], output[1]]);
        if whole.contains(&[row, column]) {
            return true;
        }
        // At the centre of the first layer, under mask A, a group reads the channels before its own.
        let groups_after = if [row, column] == [output[0], output[1]] {
            output[2]
        } else {
            self.channels() - 1
        };
        centres.contains(&[row, column]) && channel < groups_after
    }

    /// The pixels that the output at a pixel reads: those that it reads whole, and those that it
    /// reads at the centre of the first layer. What lies outside of the image reads nothing.
    fn read_by(&self, output: [usize; 2]) -> [HashSet<[usize; 2]>; 2] {
        let c = &self.config;
        let [height, width] = self.order.size([self.height, self.width]);
        // The position that lies some rows up and columns left.
        let at = |[row, column]: [usize; 2], up: isize, left: isize| {
            let row = row.checked_add_signed(-up)?;
            let column = column.checked_add_signed(-left)?;
            (row < height && column < width).then_some([row, column])
        };
        let mut h = HashSet::from([output]);
        let mut v = HashSet::new();
        for layer in (0..c.layers).rev() {
            let (kernel, dilation) = match layer {
                0 => (c.input_kernel, 1),
                _ => (c.kernel, c.dilations[(layer - 1) % c.dilations.len()]),
            };
            let (half, step) = ((kernel / 2) as isize, dilation as isize);
            v.extend(h.iter().filter_map(|&place| at(place, 1, 0)));
            v = v
                .iter()
                .flat_map(|&place| {
                    let taps = (0..=half).flat_map(|r| (-half..=half).map(move |c| (r, c)));
                    taps.filter_map(move |(r, c)| at(place, r * step, c * step))
                })
                .collect();
            let left = |first: isize| -> HashSet<[usize; 2]> {
                let taps = |&place: &[usize; 2]| {
                    (first..=half).filter_map(move |tap| at(place, 0, tap * step))
                };
                h.iter().flat_map(taps).collect()
            };
            if layer == 0 {
                v.extend(left(1));
                return [v, h];
            }
            h = left(0);
        }
        unreachable!("the first layer ends the loop")
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
        Just(Output::monotone(&Knots::new([0.0, 0.4, 1.0]).unwrap())),
        Just(Output::categorical(3)),
    ];
    let classes = prop::sample::select(vec![0usize, 3]);
    let dilations = prop::collection::vec(1..=3usize, 1..=2);
    // One order in half of the cases, else one of eight.
    let order = prop_oneof![Just(None), (0..8usize).prop_map(Some)];
    (
        1..=4usize,
        1..=3usize,
        (kernels, dilations),
        (classes, order),
        output,
        1..=5usize,
        1..=5usize,
        any::<u64>(),
    )
        .prop_map(
            |(channels, layers, (kernels, dilations), given, output, height, width, seed)| {
                let (input_kernel, kernel) = kernels;
                let (classes, order) = given;
                Case {
                    config: ModelConfig::tiny()
                        .with_channels(channels)
                        .with_features(4 * channels)
                        .with_layers(layers)
                        .with_input_kernel(input_kernel)
                        .with_kernel(kernel)
                        .with_dilations(dilations)
                        .with_classes(classes)
                        .with_orders(if order.is_some() { 8 } else { 1 })
                        .with_output(output),
                    order: order.map_or(Order::RASTER, |index| Order::new(index).unwrap()),
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
        let strict = !matches!(case.config.output, Output::Gates { .. });
        for (output, input) in (0..n).flat_map(|o| (0..n).map(move |i| (o, i))) {
            let (o, i) = (case.place(output), case.place(input));
            // In the raster of the order: row, column, channel.
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

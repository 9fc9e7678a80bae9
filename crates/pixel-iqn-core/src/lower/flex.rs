//! Operations on Burn's Flex backend with hand-written gradients, from `pixel-iqn-kernels`.

use core::f32::consts::PI;

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{
    Autodiff, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, DispatchTensorKind,
    Flex, GradientCheckpointingStrategy, TensorMetadata,
};
use burn::tensor::{DType, Shape, Tensor, TensorData};
use pixel_iqn_kernels as kernels;
use pixel_iqn_kernels::{Panels, Projection, Rows, Tap};

use super::Window;

type Tracked = <Autodiff<Flex> as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// Whether the tensors are in single precision on Flex, with autodiff or without.
pub(super) fn handles<const D: usize, const N: usize>(tensors: [&Tensor<D>; N]) -> bool {
    tensors.into_iter().all(|tensor| {
        let tensor = tensor.clone().into_dispatch();
        let on_flex = match &tensor.kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => {
                matches!(**inner, DispatchTensorKind::Flex(_))
                    && tensor.autodiff
                        == DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled)
            }
            // Other backends are there only where their features are on.
            #[allow(unreachable_patterns)]
            _ => false,
        };
        on_flex && tensor.dtype() == DType::F32
    })
}

/// The operands of an operation: with autodiff, if any of them has it.
enum Operands<const N: usize> {
    Plain([FlexTensor; N]),
    Tracked([Tracked; N]),
}

impl<const N: usize> Operands<N> {
    fn new(tensors: [DispatchTensor; N]) -> Self {
        let tracked =
            |tensor: &DispatchTensor| matches!(tensor.kind, DispatchTensorKind::Autodiff(_));
        if tensors.iter().any(tracked) {
            Self::Tracked(tensors.map(|tensor| {
                if tracked(&tensor) {
                    let tensor = <DispatchTensor as DispatchKindConversion<Autodiff<Flex>>>::
                        try_into_backend(tensor);
                    tensor.expect("`handles` looked at the kind").float()
                } else {
                    Tracked::new(plain(tensor))
                }
            }))
        } else {
            Self::Plain(tensors.map(plain))
        }
    }
}

fn plain(tensor: DispatchTensor) -> FlexTensor {
    let tensor = <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor);
    tensor.expect("`handles` looked at the kind").float()
}

/// Runs an operation forward, and records it where a gradient is wanted.
fn apply<const N: usize, const D: usize, O: Backward<Flex, N>>(
    operation: O,
    operands: [DispatchTensor; N],
    forward: impl FnOnce([FlexTensor; N]) -> (FlexTensor, O::State),
) -> Tensor<D> {
    match Operands::new(operands) {
        Operands::Plain(operands) => Tensor::from_primitive::<Flex>(forward(operands).0),
        Operands::Tracked(operands) => {
            let parts = operands.map(Tracked::into_parts);
            let mut guards = Vec::with_capacity(N);
            let operands = parts.map(|(operand, guard)| {
                guards.push(guard);
                operand
            });
            let guards = guards
                .try_into()
                .expect("there is a guard for each operand");
            let (output, state) = forward(operands);
            let prepared = operation
                .prepare::<NoCheckpointing>(guards)
                .compute_bound()
                .stateful();
            Tensor::from_primitive::<Autodiff<Flex>>(match prepared {
                OpsKind::Tracked(prepared) => prepared.finish(state, output),
                OpsKind::UnTracked(prepared) => prepared.finish(output),
            })
        }
    }
}

/// A tensor that stands for none.
fn none() -> DispatchTensor {
    Tensor::<1>::from_primitive::<Flex>(tensor(Vec::new(), [0])).into_dispatch()
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The tensor with its numbers in order.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The numbers of a tensor that is contiguous.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor is contiguous")
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

#[derive(Debug)]
struct Convolve;

/// What a convolution needs for its gradients.
#[derive(Debug, Clone)]
struct Convolution {
    x: FlexTensor,
    weight: FlexTensor,
    window: Window,
    /// The shape of the bias.
    bias: [usize; 2],
}

impl Convolution {
    fn taps(&self) -> Vec<Tap> {
        let Window { rows, columns } = self.window;
        (rows.0..=rows.1)
            .flat_map(|row| (columns.0..=columns.1).map(move |column| Tap { row, column }))
            .collect()
    }

    /// Batch, height and width.
    fn positions(&self) -> [usize; 3] {
        let [batch, height, width, _] = dims(&self.x);
        [batch, height, width]
    }

    /// From the layout of PyTorch, `[outputs, inputs, taps]`.
    fn packed(&self) -> Panels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (taps, weight) = (self.window.taps(), floats(&self.weight));
        Panels::new([taps, inputs, outputs], |k, output| {
            weight[(output * inputs + k % inputs) * taps + k / inputs]
        })
    }

    fn packed_transposed(&self) -> Panels {
        let [outputs, inputs, _, _] = dims(&self.weight);
        let (taps, weight) = (self.window.taps(), floats(&self.weight));
        Panels::new([taps, outputs, inputs], |k, input| {
            weight[(k % outputs * inputs + input) * taps + k / outputs]
        })
    }

    fn forward(&self, bias: &FlexTensor, base: FlexTensor) -> FlexTensor {
        let [batch, height, width] = self.positions();
        let [outputs, _, _, _] = dims(&self.weight);
        let shape = [batch, height, width, outputs];
        let (x, weight, taps) = (floats(&self.x), self.packed(), self.taps());
        let bias = (bias.shape().num_elements() > 0).then(|| floats(bias));
        if base.shape().num_elements() == 0 {
            let mut y = vec![0.0; batch * height * width * outputs];
            kernels::convolve(x, self.positions(), &weight, &taps, bias, &mut y);
            return tensor(y, shape);
        }
        // In place, where nothing else holds the base.
        let mut base = contiguous(base);
        let at = base.layout().start_offset();
        let y = &mut base.storage_mut::<f32>()[at..][..batch * height * width * outputs];
        if let Some(bias) = bias {
            kernels::add_rows(y, bias, outputs);
        }
        kernels::convolve(x, self.positions(), &weight, &taps, None, y);
        base
    }
}

pub(super) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    window: Window,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
) -> Tensor<4> {
    let operands = [
        x.into_dispatch(),
        weight.into_dispatch(),
        bias.map_or_else(none, Tensor::into_dispatch),
        base.map_or_else(none, Tensor::into_dispatch),
    ];
    apply(Convolve, operands, |[x, weight, bias, base]| {
        let bias = contiguous(bias);
        let state = Convolution {
            x: contiguous(x),
            weight: contiguous(weight),
            window,
            bias: if bias.shape().num_elements() == 0 {
                [0, 0]
            } else {
                dims(&bias)
            },
        };
        (state.forward(&bias, base), state)
    })
}

impl Backward<Flex, 4> for Convolve {
    type State = Convolution;

    fn backward(self, ops: Ops<Convolution, 4>, grads: &mut Gradients, _: &mut Checkpointer) {
        let state = ops.state;
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [x, weight, bias, base] = ops.parents;
        let positions @ [batch, height, width] = state.positions();
        let [outputs, inputs, rows, columns] = dims(&state.weight);
        let taps = state.taps();
        if let Some(x) = x {
            let mirrored: Vec<Tap> = taps.iter().map(|tap| tap.mirrored()).collect();
            let (packed, zero) = (state.packed_transposed(), vec![0.0; inputs]);
            let mut dx = vec![0.0; batch * height * width * inputs];
            kernels::convolve(
                floats(&dy),
                positions,
                &packed,
                &mirrored,
                Some(&zero),
                &mut dx,
            );
            grads.register::<Flex>(x.id, tensor(dx, [batch, height, width, inputs]));
        }
        if let Some(weight) = weight {
            let dw = kernels::weight_gradient(floats(&state.x), floats(&dy), positions, &taps);
            let mut by_output = vec![0.0; dw.len()];
            for (k, row) in dw.chunks_exact(outputs.max(1)).enumerate() {
                let at = k % inputs * taps.len() + k / inputs;
                for (output, &value) in row.iter().enumerate() {
                    by_output[output * inputs * taps.len() + at] = value;
                }
            }
            let dw = tensor(by_output, [outputs, inputs, rows, columns]);
            grads.register::<Flex>(weight.id, dw);
        }
        if let Some(bias) = bias {
            let dy = Rows {
                data: floats(&dy),
                stride: outputs,
            };
            let db = kernels::column_sums(dy, state.bias[0]);
            grads.register::<Flex>(bias.id, tensor(db, state.bias));
        }
        if let Some(base) = base {
            grads.register::<Flex>(base.id, dy);
        }
    }
}

#[derive(Debug)]
struct Gate;

pub(super) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply(Gate, [x.into_dispatch()], |[x]| {
        let x = contiguous(x);
        let mut shape: [usize; D] = dims(&x);
        shape[D - 1] /= 2;
        let y = kernels::gate_rows(floats(&x), shape[D - 1]);
        (tensor(y, shape), x)
    })
}

impl Backward<Flex, 1> for Gate {
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [Some(x)] = ops.parents else { return };
        let shape = ops.state.shape();
        let features = shape[shape.num_dims() - 1] / 2;
        let dx = kernels::gate_gradient(floats(&ops.state), floats(&dy), features);
        grads.register::<Flex>(x.id, tensor(dx, shape));
    }
}

#[derive(Debug)]
struct ProjectTau;

pub(super) fn project_tau(base: Tensor<4>, phi: Tensor<3>, weight: Tensor<3>) -> Tensor<4> {
    let [groups, positions, embedding] = phi.dims();
    let [_, features, _] = weight.dims();
    let sizes = Projection {
        positions,
        groups,
        embedding,
        features,
    };
    let operands = [
        base.into_dispatch(),
        phi.into_dispatch(),
        weight.into_dispatch(),
    ];
    apply(ProjectTau, operands, |[base, phi, weight]| {
        let (phi, weight) = (contiguous(phi), contiguous(weight));
        let mut gates = contiguous(base);
        let at = gates.layout().start_offset();
        let values = &mut gates.storage_mut::<f32>()[at..][..positions * 2 * features];
        kernels::project(sizes, floats(&phi), floats(&weight), values);
        (gates, (sizes, phi, weight))
    })
}

impl Backward<Flex, 3> for ProjectTau {
    type State = (Projection, FlexTensor, FlexTensor);

    fn backward(self, ops: Ops<Self::State, 3>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let (sizes, phi, weight) = ops.state;
        let [base, phi_node, weight_node] = ops.parents;
        if let Some(node) = phi_node {
            let dphi = kernels::embedding_gradient(sizes, floats(&weight), floats(&dy));
            grads.register::<Flex>(node.id, tensor(dphi, phi.shape()));
        }
        if let Some(node) = weight_node {
            let dw = kernels::projection_gradient(sizes, floats(&phi), floats(&dy));
            grads.register::<Flex>(node.id, tensor(dw, weight.shape()));
        }
        if let Some(node) = base {
            grads.register::<Flex>(node.id, dy);
        }
    }
}

#[derive(Debug)]
struct Cosines;

pub(super) fn cosines(tau: Tensor<2>, n: usize) -> Tensor<2> {
    apply(Cosines, [tau.into_dispatch()], |[tau]| {
        let tau = contiguous(tau);
        let [positions, _] = dims(&tau);
        let y = kernels::cosines(floats(&tau), n);
        (tensor(y, [positions, n]), (tau, n))
    })
}

impl Backward<Flex, 1> for Cosines {
    type State = (FlexTensor, usize);

    /// Training never asks for the gradient of tau: it need not be fast.
    fn backward(self, ops: Ops<Self::State, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [Some(node)] = ops.parents else { return };
        let (tau, n) = ops.state;
        let dtau = floats(&tau).iter().zip(floats(&dy).chunks_exact(n));
        let dtau = dtau.map(|(tau, dy)| {
            let terms = dy.iter().enumerate().map(|(i, dy)| {
                let factor = PI * i as f32;
                -factor * (factor * tau).sin() * dy
            });
            terms.sum()
        });
        grads.register::<Flex>(node.id, tensor(dtau.collect(), tau.shape()));
    }
}

#[cfg(test)]
mod tests {
    use burn::tensor::{Device, Distribution, FloatDType, Tolerance};
    use proptest::prelude::*;

    use super::super::composed;
    use super::*;

    fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
        let device = Device::flex().autodiff();
        Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
    }

    /// Both outputs, and both gradients of every operand of a loss that weighs the outputs.
    fn check<const D: usize>(
        custom: Tensor<D>,
        composed: Tensor<D>,
        gradients: impl Fn(&burn::tensor::Gradients) -> Vec<TensorData>,
    ) {
        let weights = random(custom.dims()).detach();
        let close = |a: &TensorData, b: &TensorData, tolerance| {
            a.assert_approx_eq::<f32>(b, Tolerance::absolute(tolerance).set_relative(tolerance));
        };
        close(&custom.to_data(), &composed.to_data(), 1e-5);
        let [custom, composed] = [custom, composed]
            .map(|output| gradients(&(output * weights.clone()).sum().backward()));
        for (custom, composed) in custom.iter().zip(&composed) {
            close(custom, composed, 1e-4);
        }
    }

    /// The derivative of the sum of `weights * f(operands)` along a direction, by the gradients of
    /// the operation in single precision, and by a difference of the composed one in double.
    fn check_by_difference<const N: usize>(
        operands: [Tensor<4>; N],
        custom: impl Fn([Tensor<4>; N]) -> Tensor<4>,
        composed: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    ) {
        const STEP: f64 = 1e-4;
        let output = custom(operands.clone());
        let weights = random(output.dims()).detach();
        let directions = operands.each_ref().map(|x| random(x.dims()).detach());
        let gradients = (output * weights.clone()).sum().backward();
        let slopes = operands.iter().zip(&directions).map(|(x, direction)| {
            let slope = x.grad(&gradients).unwrap() * direction.clone().inner();
            slope.into_scalar_sum()
        });
        let slope: f64 = slopes.sum();

        let double = |x: &Tensor<4>| x.clone().detach().inner().cast(FloatDType::F64);
        let loss = |step: f64| -> f64 {
            let moved = core::array::from_fn(|i| {
                double(&operands[i]) + double(&directions[i]).mul_scalar(step)
            });
            (composed(moved) * double(&weights)).into_scalar_sum()
        };
        let expected = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
        let scale = expected.abs().max(1.0);
        assert!(
            (slope - expected).abs() < 1e-4 * scale,
            "{slope} is not {expected}"
        );
    }

    trait Sum {
        fn into_scalar_sum(self) -> f64;
    }

    impl Sum for Tensor<4> {
        /// In double precision.
        fn into_scalar_sum(self) -> f64 {
            self.into_data().iter::<f64>().sum()
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn gradients_equal_differences_in_double_precision(
            (batch, height, width) in (1..=2usize, 1..=6usize, 1..=6usize),
            (groups, group, embedding) in (1..=3usize, 1..=5usize, 1..=9usize),
        ) {
            let features = 2 * groups * group;
            let window = Window { rows: (-1, 0), columns: (-1, 1) };
            check_by_difference(
                [
                    random([batch, height, width, 3]),
                    random([features, 3, 2, 3]),
                    random([1, 1, 1, features]),
                    random([batch, height, width, features]),
                ],
                |[x, weight, bias, base]| {
                    convolve(x, weight, window, Some(bias.flatten(0, 2)), Some(base))
                },
                |[x, weight, bias, base]| {
                    composed::convolve(x, weight, window, Some(bias.flatten(0, 2)), Some(base))
                },
            );
            let x = [random([batch, height, width, features])];
            check_by_difference(x, |[x]| gate(x), |[x]| composed::gate(x));
            check_by_difference(
                [
                    random([batch, height, width, features]),
                    random([1, groups, batch * height * width, embedding]),
                    random([1, 2, features / 2, embedding]),
                ],
                |[base, phi, weight]| project_tau(base, phi.squeeze_dim(0), weight.squeeze_dim(0)),
                |[base, phi, weight]| {
                    composed::project_tau(base, phi.squeeze_dim(0), weight.squeeze_dim(0))
                },
            );
        }

        #[test]
        fn convolutions_equal_composed_ones(
            (batch, height, width) in (1..=3usize, 1..=12usize, 1..=12usize),
            (inputs, outputs) in (1..=20usize, 1..=40usize),
            window in prop::sample::select(vec![
                Window::POINT,
                Window::ABOVE,
                Window { rows: (-1, 0), columns: (-1, 1) },
                Window { rows: (-3, 0), columns: (-3, 3) },
                Window { rows: (0, 0), columns: (-2, 0) },
                Window { rows: (0, 0), columns: (-2, -1) },
            ]),
            (biased, by_image, based) in any::<(bool, bool, bool)>(),
        ) {
            let [rows, columns] = window.size();
            let x = random([batch, height, width, inputs]);
            let weight = random([outputs, inputs, rows, columns]);
            let bias = biased.then(|| random([if by_image { batch } else { 1 }, outputs]));
            let base = based.then(|| random([batch, height, width, outputs]));
            check(
                convolve(x.clone(), weight.clone(), window, bias.clone(), base.clone()),
                composed::convolve(x.clone(), weight.clone(), window, bias.clone(), base.clone()),
                |gradients| {
                    let mut all = vec![
                        x.grad(gradients).unwrap().into_data(),
                        weight.grad(gradients).unwrap().into_data(),
                    ];
                    all.extend(bias.iter().map(|b| b.grad(gradients).unwrap().into_data()));
                    all.extend(base.iter().map(|b| b.grad(gradients).unwrap().into_data()));
                    all
                },
            );
        }

        #[test]
        fn gates_equal_composed_ones(rows in 1..600usize, features in 1..40usize) {
            let x = random([rows, 2 * features]);
            check(gate(x.clone()), composed::gate(x.clone()), |gradients| {
                vec![x.grad(gradients).unwrap().into_data()]
            });
        }

        #[test]
        fn projections_of_tau_equal_composed_ones(
            (batch, height, width) in (1..=3usize, 1..=12usize, 1..=12usize),
            (groups, group, embedding) in (1..=4usize, 1..=20usize, 1..=40usize),
        ) {
            let base = random([batch, height, width, 2 * groups * group]);
            let phi = random([groups, batch * height * width, embedding]);
            let weight = random([2, groups * group, embedding]);
            check(
                project_tau(base.clone(), phi.clone(), weight.clone()),
                composed::project_tau(base.clone(), phi.clone(), weight.clone()),
                |gradients| {
                    vec![
                        base.grad(gradients).unwrap().into_data(),
                        phi.grad(gradients).unwrap().into_data(),
                        weight.grad(gradients).unwrap().into_data(),
                    ]
                },
            );
        }

        #[test]
        fn cosines_equal_composed_ones(positions in 1..600usize, n in 1..80usize) {
            let tau = Tensor::random(
                [positions, 1],
                Distribution::Uniform(0.0, 1.0),
                &Device::flex().autodiff(),
            )
            .require_grad();
            // An angle up to 80 pi is rounded by 1e-5.
            let (custom, composed) = (cosines(tau.clone(), n), composed::cosines(tau.clone(), n));
            custom
                .to_data()
                .assert_approx_eq::<f32>(&composed.to_data(), Tolerance::absolute(3e-5));
            let [custom, composed] = [custom, composed]
                .map(|output| tau.grad(&output.sum().backward()).unwrap().into_data());
            // Sums of terms up to 80 pi.
            custom.assert_approx_eq::<f32>(&composed, Tolerance::absolute(1e-1).set_relative(1e-4));
        }
    }

    #[test]
    fn checkpointing_takes_composed_operations() {
        let device = Device::flex().autodiff().gradient_checkpointing();
        let x = Tensor::<2>::ones([2, 4], &device).require_grad();
        assert!(!handles([&x]));
        let y = super::super::gate(x.clone());
        let composed = composed::gate(x.clone());
        let gradients = |y: Tensor<2>| x.grad(&y.sum().backward()).unwrap().into_data();
        gradients(y).assert_eq(&gradients(composed), true);
    }

    #[test]
    fn a_base_that_is_used_twice_stays_as_it_is() {
        let device = Device::flex();
        let base = Tensor::<4>::ones([1, 2, 2, 3], &device);
        let x = Tensor::ones([1, 2, 2, 1], &device);
        let weight = Tensor::ones([3, 1, 1, 1], &device);
        let sum = convolve(x, weight, Window::POINT, None, Some(base.clone()));
        assert_eq!(sum.sum().into_scalar::<f32>(), 24.0);
        assert_eq!(base.sum().into_scalar::<f32>(), 12.0);
    }
}

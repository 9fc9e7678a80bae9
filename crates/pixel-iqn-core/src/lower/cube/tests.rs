//! Verifies the operations and their gradients against composed ones, on a software adapter of WGPU (Mesa's
//! lavapipe; Debian: mesa-vulkan-drivers, libvulkan1).

use burn::tensor::{Device, DeviceKind, Distribution, Tensor, TensorData, Tolerance};

use super::{Kernel, convolve, gate, handles};
use crate::lower::{KernelMask, Lowering, ReceptiveField, composed};

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::wgpu(DeviceKind::Cpu).autodiff();
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device)
}

/// The operands of a convolution, and which of them are there and need gradients.
#[derive(Clone)]
struct Operands {
    x: Tensor<4>,
    weight: Tensor<4>,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
}

impl Operands {
    fn new(tracked: [bool; 4], [biases, based]: [usize; 2]) -> Self {
        fn of<const D: usize>(tensor: Tensor<D>, tracked: bool) -> Tensor<D> {
            tensor.set_require_grad(tracked)
        }
        Self {
            x: of(random([2, 6, 5, 4]), tracked[0]),
            weight: of(random([6, 4, 2, 3]), tracked[1]),
            bias: (biases > 0).then(|| of(random([biases, 6]), tracked[2])),
            base: (based > 0).then(|| of(random([2, 5, 6, 6]), tracked[3])),
        }
    }

    /// The output, by the kernels or by composed operations. The operand and the output's gradient are permuted
    /// views: height and width change places before the convolution and after it.
    fn output(&self, kernels: bool, mask: Option<&KernelMask>) -> Tensor<4> {
        let field = ReceptiveField {
            rows: (-1, 0),
            columns: (-1, 1),
            dilation: [1, 2],
        };
        let Self {
            weight, bias, base, ..
        } = self.clone();
        let x = self.x.clone().swap_dims(1, 2);
        let y = if kernels {
            assert!(handles([&x, &weight]));
            let kernel = Kernel {
                weight,
                mask: mask.map(|mask| mask.kernel.clone()),
                field,
            };
            convolve(x, kernel, bias, base)
        } else {
            composed::convolve(x, weight, mask, field, bias, base, Lowering::Product)
        };
        y.swap_dims(1, 2)
    }

    /// The output and the gradients of all operands that need one, under a loss that weighs the outputs.
    fn results(&self, output: Tensor<4>, weights: &Tensor<4>) -> Vec<TensorData> {
        let mut results = vec![output.to_data()];
        if !self.is_tracked() {
            return results;
        }
        let gradients = (output * weights.clone()).sum().backward();
        let mut add = |gradient: Option<TensorData>| results.extend(gradient);
        add(self.x.grad(&gradients).map(Tensor::into_data));
        add(self.weight.grad(&gradients).map(Tensor::into_data));
        let bias = self.bias.as_ref();
        add(bias
            .and_then(|bias| bias.grad(&gradients))
            .map(Tensor::into_data));
        let base = self.base.as_ref();
        add(base
            .and_then(|base| base.grad(&gradients))
            .map(Tensor::into_data));
        results
    }

    fn is_tracked(&self) -> bool {
        self.x.is_require_grad()
            || self.weight.is_require_grad()
            || self.bias.as_ref().is_some_and(Tensor::is_require_grad)
            || self.base.as_ref().is_some_and(Tensor::is_require_grad)
    }
}

fn assert_close(ours: &[TensorData], expected: &[TensorData]) {
    assert_eq!(ours.len(), expected.len());
    for (ours, expected) in ours.iter().zip(expected) {
        ours.assert_approx_eq::<f32>(expected, Tolerance::absolute(2e-5));
    }
}

#[test]
fn convolutions_and_their_gradients_are_composed_ones() {
    let mask = random([6, 4, 2, 3]).detach().inner();
    let mask = KernelMask::new(mask.greater_elem(-0.3).float());
    let (yes, no) = (true, false);
    for tracked in [
        [yes, yes, yes, yes],
        [no, yes, no, no],
        [yes, no, no, no],
        [no, no, yes, no],
        [no, no, no, yes],
        [no, no, no, no],
    ] {
        for present in [[0, 0], [1, 1], [2, 0], [2, 1]] {
            // What is not there needs no gradient.
            let needs = [
                tracked[0],
                tracked[1],
                tracked[2] && present[0] > 0,
                tracked[3] && present[1] > 0,
            ];
            let operands = Operands::new(needs, present);
            for mask in [None, Some(&mask)] {
                let weights = random([2, 6, 5, 6]).detach();
                let [ours, expected] = [true, false]
                    .map(|kernels| operands.results(operands.output(kernels, mask), &weights));
                assert_close(&ours, &expected);
            }
        }
    }
}

#[test]
fn a_gate_and_its_gradient_are_composed_ones() {
    let x = random([3, 8, 5]).require_grad();
    let weights = random([3, 4, 5]).detach();
    let [ours, expected] = [true, false].map(|kernels| {
        // Permuted views, before the gate and after it.
        let view = x.clone().swap_dims(1, 2);
        let y = if kernels {
            gate(view)
        } else {
            composed::gate(view)
        };
        let output = y.clone().to_data();
        let gradients = (y.swap_dims(1, 2) * weights.clone()).sum().backward();
        vec![output, x.grad(&gradients).unwrap().into_data()]
    });
    assert_close(&ours, &expected);
}

#[test]
fn tensors_without_autodiff_have_kernels_too() {
    let x = random([2, 3, 8]);
    let plain = x.clone().inner();
    assert!(handles([&plain]));
    assert_close(&[gate(plain).to_data()], &[composed::gate(x).to_data()]);
}

//! The causal convolution as an operation on CubeCL backends.

use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::{Cube, DispatchTensor};
use burn::tensor::Tensor;
use pixel_iqn_cube::{
    CubeTensor, Taps, bias_gradient, contiguous, from_backend, into_backend, pack,
    parameter_gradients,
};

use crate::lower::ReceptiveField;
use crate::lower::operation::apply;

#[derive(Debug)]
struct Convolve;

/// The weights of a convolution and what they multiply.
pub(in crate::lower) struct Kernel {
    pub weight: Tensor<4>,
    /// The mask of the weights, where not all are used.
    pub mask: Option<Tensor<4>>,
    pub field: ReceptiveField,
}

/// The state that a convolution keeps for its gradients.
#[derive(Debug, Clone)]
struct Convolution {
    x: CubeTensor,
    weight: CubeTensor,
    /// The mask of the weights, where not all are used.
    mask: Option<CubeTensor>,
    taps: Taps,
    /// The number of images with a bias of their own, or 1 where all have the same.
    biases: usize,
}

fn taps(field: ReceptiveField) -> Taps {
    let ((first_row, _), (first_column, _)) = (field.row_offsets(), field.column_offsets());
    Taps {
        size: field.size(),
        start: [first_row as i32, first_column as i32],
        step: field.dilation.map(|step| step as i32),
    }
}

pub(in crate::lower) fn convolve(
    x: Tensor<4>,
    kernel: Kernel,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
) -> Tensor<4> {
    // An operand that is not there has a place among the operands all the same.
    let none = || kernel.weight.clone().detach().into_dispatch();
    let [has_mask, has_bias, has_base] = [kernel.mask.is_some(), bias.is_some(), base.is_some()];
    let operands: [DispatchTensor; 5] = [
        kernel.mask.clone().map_or_else(none, Tensor::into_dispatch),
        bias.map_or_else(none, Tensor::into_dispatch),
        base.map_or_else(none, Tensor::into_dispatch),
        x.into_dispatch(),
        kernel.weight.into_dispatch(),
    ];
    apply::<Cube, 5, 4, _>(Convolve, operands, |operands| {
        let [mask, bias, base, x, weight] = operands.map(from_backend).map(contiguous);
        let bias = has_bias.then_some(bias);
        let base = has_base.then_some(base);
        let state = Convolution {
            x,
            weight,
            mask: has_mask.then_some(mask),
            taps: taps(kernel.field),
            biases: bias.as_ref().map_or(1, |bias| bias.meta.shape()[0]),
        };
        let packed = pack(&state.weight, state.mask.as_ref(), false);
        let y =
            pixel_iqn_cube::convolve(&state.x, &packed, state.taps, bias.as_ref(), base.as_ref());
        (into_backend(y), state)
    })
}

impl Backward<Cube, 5> for Convolve {
    type State = Convolution;

    fn backward(self, ops: Ops<Convolution, 5>, grads: &mut Gradients, _: &mut Checkpointer) {
        let Convolution {
            x,
            weight,
            mask,
            taps,
            biases,
        } = ops.state;
        let dy = contiguous(from_backend(grads.consume::<Cube>(&ops.node)));
        let [_, bias, base, x_node, weight_node] = ops.parents;
        if let Some(node) = x_node {
            let packed = pack(&weight, mask.as_ref(), true);
            let dx = pixel_iqn_cube::convolve(&dy, &packed, taps.mirrored(), None, None);
            grads.register::<Cube>(node.id, into_backend(dx));
        }
        let mut shared_bias = None;
        if let Some(node) = weight_node {
            let shape = weight.meta.shape().dims();
            let gradients = parameter_gradients(&x, &dy, taps, mask.as_ref(), shape);
            grads.register::<Cube>(node.id, into_backend(gradients.weight));
            shared_bias = Some(gradients.bias);
        }
        if let Some(node) = bias {
            let db = match shared_bias {
                Some(db) if biases == 1 => db,
                _ => bias_gradient(&dy, biases),
            };
            grads.register::<Cube>(node.id, into_backend(db));
        }
        if let Some(node) = base {
            grads.register::<Cube>(node.id, into_backend(dy));
        }
    }
}

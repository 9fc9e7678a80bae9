//! The gate as an operation on CubeCL backends.

use burn::backend::Cube;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::tensor::Tensor;
use pixel_iqn_cube::{CubeTensor, contiguous, from_backend, into_backend};

use crate::lower::operation::apply;

#[derive(Debug)]
struct Gate;

pub(in crate::lower) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    apply::<Cube, 1, D, _>(Gate, [x.into_dispatch()], |[x]| {
        let x = contiguous(from_backend(x));
        (into_backend(pixel_iqn_cube::gate(&x)), x)
    })
}

impl Backward<Cube, 1> for Gate {
    type State = CubeTensor;

    fn backward(self, ops: Ops<CubeTensor, 1>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(from_backend(grads.consume::<Cube>(&ops.node)));
        let [Some(x)] = ops.parents else { return };
        let dx = pixel_iqn_cube::gate_gradient(&ops.state, &dy);
        grads.register::<Cube>(x.id, into_backend(dx));
    }
}

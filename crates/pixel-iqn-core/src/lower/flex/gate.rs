//! The gate as an operation on Flex.

use burn::backend::Flex;
use burn::backend::TensorMetadata;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pixel_iqn_kernels as kernels;

use super::{apply, contiguous, dims, floats, tensor};

#[derive(Debug)]
struct Gate;

pub(in crate::lower) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
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

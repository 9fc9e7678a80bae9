//! The lowering to the kernels of `pixel-iqn-kernels`, with hand-written gradients, on Burn's Flex
//! backend.
//!
mod convolve;
mod crps;
mod gate;
mod tau;
#[cfg(test)]
mod tests;

pub(super) use convolve::{Kernel, convolve};
pub(super) use crps::crps_of_increments;
pub(super) use gate::gate;
pub(super) use tau::{cosines, project_tau};

use burn::backend::flex::FlexTensor;
use burn::backend::{DispatchTensor, DispatchTensorKind, Flex, TensorMetadata};
use burn::tensor::{Shape, Tensor, TensorData};

use super::operation::{apply, is_single};

/// Whether the tensors are in single precision on Flex, with or without autodiff.
pub(super) fn handles<const D: usize, const N: usize>(tensors: [&Tensor<D>; N]) -> bool {
    tensors
        .into_iter()
        .all(|tensor| is_single(tensor, |kind| matches!(kind, DispatchTensorKind::Flex(_))))
}

/// Creates the empty tensor that stands for an operand that is not there.
fn none() -> DispatchTensor {
    Tensor::<1>::from_primitive::<Flex>(tensor(Vec::new(), [0])).into_dispatch()
}

/// Creates a tensor from its values.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Copies a tensor into contiguous memory, unless it is contiguous.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The values of a contiguous tensor.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor is contiguous")
}

/// The values of a contiguous tensor, or nothing where it stands for an operand that is [not there](none).
fn optional(tensor: &FlexTensor) -> Option<&[f32]> {
    (tensor.shape().num_elements() > 0).then(|| floats(tensor))
}

/// The shape of a tensor of `D` axes.
fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

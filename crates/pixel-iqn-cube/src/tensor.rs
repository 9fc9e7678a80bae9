//! Buffers of tensors, as arguments of kernels.

use burn::tensor::{DType, Shape};
use burn_cubecl::cubecl::client::Client;
use burn_cubecl::cubecl::prelude::BufferArg;
use burn_cubecl::cubecl::{CubeCount, CubeDim, calculate_cube_count_elemwise};
use burn_cubecl::kernel::into_contiguous;
use burn_cubecl::ops::numeric::empty_device_contiguous_dtype;
use burn_cubecl::tensor::CubeTensor;

/// The number of floats that kernels read and write at once, for rows of `features` floats.
pub(crate) fn vector_size(features: usize) -> usize {
    [4, 2, 1]
        .into_iter()
        .find(|size| features.is_multiple_of(*size))
        .expect("1 divides every number")
}

/// The buffer of a contiguous tensor of single precision, in vectors of `size` floats.
///
/// # Panics
///
/// Panics for another tensor.
pub(crate) fn buffer(tensor: &CubeTensor, size: usize) -> BufferArg {
    assert!(
        tensor.is_contiguous() && tensor.dtype == DType::F32,
        "a kernel reads contiguous tensors in single precision, not {tensor:?}: see `contiguous`"
    );
    let length = tensor.meta.num_elements() / size;
    // SAFETY: the tensor is contiguous, so that its buffer has as many elements.
    unsafe { BufferArg::from_raw_parts(tensor.handle.clone(), length) }
}

/// A contiguous tensor of single precision beside `other`, with values that are not defined.
pub(crate) fn empty(other: &CubeTensor, shape: impl Into<Shape>) -> CubeTensor {
    let (client, device) = (other.client.clone(), other.device.clone());
    empty_device_contiguous_dtype(client, device, shape.into(), DType::F32)
}

/// The shape of a tensor of `D` axes.
///
/// # Panics
///
/// Panics for a tensor of another number of axes.
pub(crate) fn dims<const D: usize>(tensor: &CubeTensor) -> [usize; D] {
    let shape = tensor.meta.shape();
    assert_eq!(shape.num_dims(), D, "a tensor of {shape:?} has no {D} axes");
    shape.dims()
}

/// Checks a shape that a kernel relies on.
///
/// # Panics
///
/// Panics for another one, with both.
pub(crate) fn expect_shape<const D: usize>(what: &str, tensor: &CubeTensor, expected: [usize; D]) {
    let shape = tensor.meta.shape();
    assert_eq!(shape[..], expected[..], "the shape of {what}");
}

/// Copies a tensor into contiguous memory, where it is not there yet, as the kernels of this crate read it.
pub fn contiguous(tensor: CubeTensor) -> CubeTensor {
    into_contiguous(tensor)
}

/// The cubes of a kernel with one unit for each of `elements`.
pub(crate) fn each(client: &Client, elements: usize) -> (CubeCount, CubeDim) {
    let dim = CubeDim::new(client, elements);
    (calculate_cube_count_elemwise(client, elements, dim), dim)
}

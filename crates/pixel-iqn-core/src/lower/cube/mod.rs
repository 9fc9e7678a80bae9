//! The lowering to the kernels of `pixel-iqn-cube`, with hand-written gradients, on Burn's CubeCL
//! backends.

mod convolve;
mod gate;
#[cfg(all(test, feature = "wgpu"))]
mod tests;

pub(super) use convolve::{Kernel, convolve};
pub(super) use gate::gate;

use burn::tensor::Tensor;

use super::operation::is_single;

/// Whether the tensors are in single precision on a CubeCL backend, with or without autodiff, in a build
/// without fusion.
pub(super) fn handles<const D: usize, const N: usize>(tensors: [&Tensor<D>; N]) -> bool {
    tensors
        .into_iter()
        .all(|tensor| is_single(tensor, pixel_iqn_cube::handles))
}

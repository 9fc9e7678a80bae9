//! The operations of [pixel-iqn](https://docs.rs/pixel-iqn) as programs of a GPU: convolutions with any grid of
//! taps, gates, their gradients, and what a step of training does to each weight.
//!
//! The kernels are written once, in CubeCL, and run on CUDA, Vulkan, Metal and the other backends of Burn that
//! are built on it. They are in single precision throughout.
//!
//! A convolution is the product of the matrix `[positions, taps * inputs]` with the weights. Burn's operations
//! would write that matrix, in which each value of the image stands once for every tap; [`convolve`] reads each tap
//! where it lies, through a tile in shared memory, and adds the bias and a base before it writes its output. The
//! gradient of the inputs is the same kernel with [mirrored taps](Taps::mirrored) and transposed weights, and that of
//! the weights ([`parameter_gradients`]) sums over parts of the positions, then over the parts, in an order that is
//! the same in each run.
//!
//! All functions take and return [`CubeTensor`], the tensor of Burn's CubeCL backends; [`primitive`] and [`tensor`]
//! convert. `pixel-iqn-core` makes operations with gradients of them, and `pixel-iqn-train` steps of training.
//!
//! # Crate features
//!
//! - `wgpu`, `cuda`: tensors of Burn on WGPU (Vulkan, Metal and DirectX 12 as well) and CUDA. One of them must be on
//!   for [`primitive`] and its relatives.
//!
//! In a build where the feature `fusion` of Burn is on, its tensors stand for operations that are still to run, and
//! [`handles`] says that there is nothing for them here.
//!
//! # `unsafe`
//!
//! Kernels are launched without checks of their indices, which each kernel makes itself against sizes that the function
//! around it has checked. There is no other `unsafe` code.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod adam;
mod bias_gradient;
mod convolve;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
mod dispatch;
mod field;
mod gate;
mod norm;
mod pack;
mod tensor;
mod tiling;
mod trunk;
mod weight_gradient;

pub use adam::{AdamStep, adam, average};
pub use bias_gradient::bias_gradient;
pub use burn_cubecl::tensor::CubeTensor;
pub use convolve::convolve;
#[cfg(any(feature = "cuda", feature = "wgpu"))]
pub use dispatch::{from_backend, handles, into_backend, primitive, tensor};
pub use field::Taps;
pub use gate::{gate, gate_gradient};
pub use norm::norm;
pub use pack::pack;
pub use tensor::contiguous;
pub use trunk::{TrunkLayer, TrunkRow, TrunkWeights};
pub use weight_gradient::{ParameterGradients, parameter_gradients};

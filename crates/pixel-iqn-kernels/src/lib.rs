//! The arithmetic of pixel-iqn on CPU slices, vectorised and on all threads: causal convolutions
//! forward and backward, gates, and the cosines of the quantile embedding; and the ordinary
//! convolutions of networks that judge images.
//!
//! All of it stands on one product of matrices in pieces, [`product`]: with a piece for each tap a
//! convolution needs no gathered taps, with a piece for each row of the image neither does the
//! gradient of its weights. Nothing here knows of tensors; the training operations in
//! `pixel-iqn-core` and the sampler in `pixel-iqn-cpu` are built from it.
//!
//! Results do not depend on the number of threads: each number has one thread that sums it in one
//! order.
//!
//! # `unsafe`
//!
//! The inner loop of [`product`] reads its operands through pointers, after their lengths are
//! checked. There is no other `unsafe` code.

mod conv;
mod conv2d;
mod elementwise;
mod panels;
mod product;
mod tau;
#[cfg(test)]
mod testing;

pub use conv::{Tap, add_rows, column_sums, convolve, weight_gradient};
pub use conv2d::{Conv2d, Window};
pub use elementwise::{cosines, gate, gate_gradient, gate_rows};
pub use panels::Panels;
pub use product::{Left, Output, Right, STRIP, Start, product};
pub use tau::{Projection, embedding_gradient, project, projection_gradient};

/// A matrix in a slice: rows start `stride` apart.
#[derive(Debug, Clone, Copy)]
pub struct Rows<'a> {
    /// The slice, from the first row on.
    pub data: &'a [f32],
    /// Numbers from one row to the next.
    pub stride: usize,
}

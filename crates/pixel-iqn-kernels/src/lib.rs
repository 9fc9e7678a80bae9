//! The arithmetic of pixel-iqn on CPU slices, vectorised and on all threads.
//!
//! The crate has causal convolutions forward and backward, gates, and the cosines and projections
//! of the quantile embedding, for training and sampling, as well as the ordinary convolutions of
//! the networks that scores of images are computed with.
//!
//! All products are one batch-reduce GEMM, which adds up a batch of matrix products: over its taps,
//! a convolution needs no copy of gathered inputs, and over the rows of the image, neither does the
//! gradient of its weights. [`Panels`] are weights that are packed for it. Convolutions with two rows of
//! three taps ([`TapGrid`]), which take most of the time of a Gated PixelCNN, have the fewer products of
//! Winograd.
//!
//! Nothing here knows of tensors. The training operations in `pixel-iqn-core` and the sampler in
//! `pixel-iqn-cpu` are built from it.
//!
//! Results do not depend on the number of threads: each number has one thread that adds it up in
//! one order.
//!
//! # Precision
//!
//! Numbers and sums are in single precision. [`Bfloat16`] rounds operands to bfloat16 numbers, where the processor
//! multiplies them in half the time; products of these have the same kernels, with another [`Element`].
//!
//! # `unsafe`
//!
//! The microkernel of the batch-reduce GEMM reads its operands through pointers, after their
//! lengths are checked; the instructions for bfloat16 numbers are called where they were found (`bfloat16.rs`); and
//! outputs are allocated without being cleared by one thread beforehand (`filled.rs`). There is no other
//! `unsafe` code.

mod batch_reduce;
mod bfloat16;
mod conv;
mod conv2d;
mod element;
mod elementwise;
mod filled;
mod microkernel;
mod nonzero;
mod panels;
mod rows;
mod tau;
#[cfg(test)]
mod testing;
mod weight_gradient;
mod winograd;

pub use batch_reduce::{Init, OutputMatrix};
pub use bfloat16::{Bfloat16, Pair};
pub use conv::{Tap, convolve, convolve_onto};
pub use conv2d::{Conv2d, Window};
pub use element::Element;
pub use elementwise::{cosines, gate, gate_gradient, gate_rows};
pub use panels::Panels;
pub use rows::{Rows, add_rows, column_sums};
pub use tau::{ProjectionShape, embedding_gradient, project, projection_weight_gradient};
pub use weight_gradient::{weight_gradient, weight_gradient_bfloat16};
pub use winograd::{
    GridPanels, RowPanels, RowTaps, TapGrid, convolve_grid, convolve_grid_onto,
    grid_weight_gradient,
};

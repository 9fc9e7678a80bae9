//! Convolutions with two rows of three taps by the minimal filtering of Winograd (A. Lavin and S. Gray,
//! *Fast Algorithms for Convolutional Neural Networks*, CVPR 2016, <https://arxiv.org/abs/1509.09308>).
//!
//! F(2x4, 2x3) computes the 2 x 4 outputs of a tile from the 3 x 6 inputs that they read in 18 products
//! for each pair of an input and an output feature, where the definition has 48: inputs and weights are
//! transformed, multiplied element by element, which over the features is 18 matrix products, and what
//! comes is transformed back. The gradient of the inputs is a convolution of the same kind, and that of
//! the weights has the same 18 products with sums over the tiles. The largest tiles are not the best ones:
//! the factors of the transforms grow with them, and digits are lost; with these the error is about that of
//! the definition.
//!
//! A thread works on some tiles at a time, and on some outputs of them, so that their factors and products
//! stay in the caches of its core.

mod block;
mod convolve;
mod gradient;
mod grid;
mod rows;
#[cfg(test)]
mod tests;
mod tiles;
mod transform;
mod weight;

pub use convolve::{convolve_grid, convolve_grid_onto};
pub use gradient::grid_weight_gradient;
pub use grid::TapGrid;
pub use rows::{RowPanels, RowTaps};
pub use weight::GridPanels;

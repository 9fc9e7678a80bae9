use rayon::prelude::*;

use super::block::Block;
use super::grid::TapGrid;
use super::tiles::Tiling;
use super::transform::{Inputs, Outputs, PRODUCTS};
use super::weight::GridPanels;
use crate::conv::{expect_fit, of_image};

/// The tiles that a thread works on at a time: with 120 features in, their factors take 0.3 MB.
const TILES: usize = 16;
/// Convolves a batch of images with a grid of taps, as [`convolve`](crate::convolve) does with any.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dims`: batch, height and width
/// - `bias`: `[outputs]`, or `[batch, outputs]` with one for each image; without a bias, the
///   convolution is added to the values of `y`
/// - `y`: `[batch, height, width, outputs]`
///
/// # Panics
///
/// Panics if a slice does not fit, or if the weight has no inputs.
pub fn convolve_grid(
    x: &[f32],
    dims: [usize; 3],
    weight: &GridPanels,
    grid: TapGrid,
    bias: Option<&[f32]>,
    y: &mut [f32],
) {
    let [_, height, width] = dims;
    let (inputs, outputs) = (weight.inputs(), weight.outputs());
    expect_fit([x, y], dims, [inputs, outputs], bias);
    if y.is_empty() {
        return;
    }
    let tiling = Tiling {
        grid,
        height,
        width,
    };
    let rows = tiling.period() * (TILES / tiling.origins(0..tiling.period()).len()).max(1);
    y.par_chunks_mut(height * width * outputs)
        .zip(x.par_chunks(height * width * inputs))
        .enumerate()
        .for_each(|(image, (y, x))| {
            let bias = bias.map(|bias| of_image(bias, outputs, image));
            y.par_chunks_mut(rows * width * outputs)
                .enumerate()
                .for_each(|(block, y)| {
                    let first = block * rows;
                    let origins = tiling.origins(first..(first + rows).min(height));
                    Block::with(|block| {
                        block.resize::<PRODUCTS>(1, TILES, inputs);
                        for tiles in origins.chunks(TILES) {
                            let places: Vec<_> = tiles.iter().map(|&t| tiling.inputs(t)).collect();
                            block.scatter::<Inputs, _, PRODUCTS>(0, x, inputs, &places);
                            let places: Vec<_> = (tiles.iter())
                                .map(|&t| tiling.outputs(t).map(|p| Some(p? - first * width)))
                                .collect();
                            block.gather::<Outputs, PRODUCTS, _, 1>(&weight.0, &places, bias, y);
                        }
                    });
                });
        });
}

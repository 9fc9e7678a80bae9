use super::block::{Block, Target};
use super::grid::TapGrid;
use super::tiles::Tiling;
use super::transform::{Inputs, Outputs, PRODUCTS};
use super::weight::GridPanels;
use crate::conv::{Images, of_image};
use crate::filled::filled;

/// The tiles that a thread works on at a time: with 120 features in, their factors take 0.3 MB.
const TILES: usize = 16;

/// Convolves a batch of images with a grid of taps, as [`convolve`](crate::convolve) does with any.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dims`: batch, height and width
/// - `bias`: `[outputs]`, or `[batch, outputs]` with one for each image
/// - output: `[batch, height, width, outputs]`
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
) -> Vec<f32> {
    let (outputs, images) = (weight.outputs(), Images::new(x, dims, weight.inputs()));
    images.expect_bias(bias, outputs);
    let convolution = Minimal::new(images, dims, weight, grid);
    let [len, image, block] = images.lengths(convolution.rows, outputs);
    filled(len, [image, block], |image, block, y| {
        let bias = bias.map(|bias| of_image(bias, outputs, image));
        convolution.compute(image, block, bias, y);
    })
}

/// Adds a convolution, as [`convolve_grid`] computes it, to the outputs `y`,
/// `[batch, height, width, outputs]`.
///
/// # Panics
///
/// Panics if a slice does not fit, or if the weight has no inputs.
pub fn convolve_grid_onto(
    x: &[f32],
    dims: [usize; 3],
    weight: &GridPanels,
    grid: TapGrid,
    y: &mut [f32],
) {
    let (outputs, images) = (weight.outputs(), Images::new(x, dims, weight.inputs()));
    let convolution = Minimal::new(images, dims, weight, grid);
    images.add(convolution.rows, outputs, y, |image, block, y| {
        convolution.compute(image, block, None, y);
    });
}

/// A convolution by minimal filtering.
struct Minimal<'a> {
    images: Images<'a>,
    weight: &'a GridPanels,
    tiling: Tiling,
    /// The rows of an image that a thread computes at a time: whole tiles.
    rows: usize,
}

impl<'a> Minimal<'a> {
    fn new(images: Images<'a>, dims: [usize; 3], weight: &'a GridPanels, grid: TapGrid) -> Self {
        let [_, height, width] = dims;
        let tiling = Tiling {
            grid,
            height,
            width,
        };
        let of_period = tiling.origins(0..tiling.period()).len();
        let rows = tiling.period() * (TILES / of_period.max(1)).max(1);
        Self {
            images,
            weight,
            tiling,
            rows,
        }
    }

    /// Computes a block of rows of an image with the bias, or adds it to the outputs.
    fn compute(&self, image: usize, block: usize, bias: Option<&[f32]>, y: &mut [f32]) {
        let (tiling, x) = (&self.tiling, self.images.image(image));
        let inputs = self.weight.inputs();
        let first = block * self.rows;
        let origins = tiling.origins(first..(first + self.rows).min(tiling.height));
        Block::with(|block| {
            block.resize::<PRODUCTS>(1, TILES, inputs);
            for tiles in origins.chunks(TILES) {
                let places: Vec<_> = tiles.iter().map(|&t| tiling.inputs(t)).collect();
                block.scatter::<Inputs, _, PRODUCTS>(0, x, inputs, &places);
                let places: Vec<_> = (tiles.iter())
                    .map(|&t| tiling.outputs(t).map(|p| Some(p? - first * tiling.width)))
                    .collect();
                let target = Target {
                    columns: 0..self.weight.outputs(),
                    y: &mut *y,
                    bias,
                };
                block.gather::<Outputs, PRODUCTS, _, 1>(&self.weight.0, &places, target);
            }
        });
    }
}

use core::marker::PhantomData;

use pulp::Arch;
use rayon::prelude::*;

use super::grid::TapGrid;
use super::tiles::{Factors, Scatter, Tiling};
use super::transform::{Inputs, OutputGradients, PRODUCTS, Transform, weight_gradients};
use crate::batch_reduce::{
    Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels, batch_reduce_gemm,
};
use crate::filled::filled;

/// The numbers in memory at a time that are factors of products, 1.6 MB: more leave the caches.
const FACTORS: usize = 400 << 10;
/// The least and the most tiles whose factors are in memory at a time, which is the depth of a product:
/// fewer load and store its sums too often.
const TILES: [usize; 2] = [64, 256];
/// The tiles that one thread transforms at a time.
const PART: usize = 16;
/// The number of rows of a product that one thread computes at a time.
const ROWS: usize = 64;

/// Computes the gradient of the weights of [`convolve_grid`](super::convolve_grid) from its inputs and
/// the gradient of its outputs.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dy`: `[batch, height, width, outputs]`
/// - `dims`: batch, height and width
/// - output: `[outputs, inputs, taps]`
///
/// # Panics
///
/// Panics if `dims` has no position, or if `x` or `dy` does not divide into them.
pub fn grid_weight_gradient(x: &[f32], dy: &[f32], dims: [usize; 3], grid: TapGrid) -> Vec<f32> {
    let [batch, height, width] = dims;
    let positions = batch * height * width;
    let (inputs, outputs) = (x.len() / positions, dy.len() / positions);
    assert_eq!(x.len(), positions * inputs, "x does not fit");
    assert_eq!(dy.len(), positions * outputs, "dy does not fit");
    let pairs = inputs * outputs;
    if pairs == 0 {
        return Vec::new();
    }
    let tiling = Tiling {
        grid,
        height,
        width,
    };
    let of_image = tiling.origins(0..height);
    let tiles: Vec<(usize, (usize, usize))> = (0..batch)
        .flat_map(|image| {
            of_image
                .iter()
                .map(move |&tile| (image * height * width, tile))
        })
        .collect();
    let mut du = vec![0.0; PRODUCTS * pairs];
    let room = (FACTORS / (PRODUCTS * (inputs + outputs))).clamp(TILES[0], TILES[1]);
    let room = room.min(tiles.len());
    let (mut left, mut right) = (Factors::default(), Factors::default());
    left.resize([PRODUCTS, room, inputs]);
    right.resize([PRODUCTS, room, outputs]);
    for tiles in tiles.chunks(room) {
        rayon::join(
            || scatter::<Inputs, _>(x, inputs, tiles, |tile| tiling.inputs(tile), &mut left),
            || {
                let places = |tile| tiling.outputs(tile);
                scatter::<OutputGradients, _>(dy, outputs, tiles, places, &mut right);
            },
        );
        du.par_chunks_mut(pairs).enumerate().for_each(|(k, du)| {
            du.par_chunks_mut(ROWS * outputs)
                .enumerate()
                .for_each(|(block, du)| {
                    let rows = du.len() / outputs;
                    batch_reduce_gemm(
                        LhsBatch {
                            data: left.product(k),
                            offsets: &[block * ROWS],
                            row_stride: 1,
                            depth_stride: left.stride,
                        },
                        RhsPanels {
                            data: right.product(k),
                            offsets: &[0],
                            depth_stride: right.stride,
                            panel_stride: PANEL_WIDTH,
                        },
                        tiles.len(),
                        Init::Output,
                        OutputMatrix {
                            data: du,
                            row_stride: outputs,
                            rows,
                            columns: outputs,
                        },
                    );
                });
        });
    }
    // To the layout of PyTorch, some outputs at a time, whose numbers lie side by side.
    let row = TapGrid::TAPS * inputs;
    let len = row * outputs;
    filled(len, [len, PANEL_WIDTH * row], |_, part, dw| {
        let first = part * PANEL_WIDTH;
        let outputs_here = dw.len() / row;
        for input in 0..inputs {
            let mut lanes = [[0.0; PANEL_WIDTH]; PRODUCTS];
            for (k, lanes) in lanes.iter_mut().enumerate() {
                let at = k * pairs + input * outputs + first;
                lanes[..outputs_here].copy_from_slice(&du[at..][..outputs_here]);
            }
            let taps = weight_gradients(&lanes);
            for (o, dw) in dw.chunks_exact_mut(row).enumerate() {
                let dw = &mut dw[input * TapGrid::TAPS..][..TapGrid::TAPS];
                for (dw, of_tap) in dw.iter_mut().zip(&taps) {
                    *dw = of_tap[o];
                }
            }
        }
    })
}

/// Transforms the numbers of tiles, each with the position at which its image starts, on all threads.
fn scatter<T: Transform<N, PRODUCTS>, const N: usize>(
    from: &[f32],
    features: usize,
    tiles: &[(usize, (usize, usize))],
    places: impl Fn((usize, usize)) -> [Option<usize>; N] + Sync,
    to: &mut Factors,
) {
    let stride = to.stride;
    let mut parts = to
        .products::<PRODUCTS>(0)
        .map(|product| product.chunks_mut(PART * stride));
    let parts: Vec<_> = (tiles.chunks(PART))
        .map(|tiles| {
            let to = parts
                .each_mut()
                .map(|part| part.next().expect("there is room for all tiles"));
            (tiles, to)
        })
        .collect();
    parts.into_par_iter().for_each(|(tiles, to)| {
        let places: Vec<_> = (tiles.iter())
            .map(|&(start, tile)| places(tile).map(|place| Some(start + place?)))
            .collect();
        Arch::new().dispatch(Scatter {
            transform: PhantomData::<T>,
            from,
            features,
            places: &places,
            to,
            stride,
        });
    });
}

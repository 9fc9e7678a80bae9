use core::cell::RefCell;
use core::marker::PhantomData;
use core::ops::Range;

use pulp::Arch;
use rayon::prelude::*;

use super::grid::TapGrid;
use super::tiles::{Factors, Gather, Scatter, Tiling};
use super::transform::{Inputs, Outputs, PRODUCTS};
use super::weight::GridPanels;
use crate::batch_reduce::{Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};

/// The tiles that a thread works on at a time: with 120 features in, their factors take 0.3 MB.
const TILES: usize = 16;
/// The outputs that a thread works on at a time, as wide as the widest microkernel: the products of
/// the tiles then take 0.1 MB.
const COLUMNS: usize = 3 * PANEL_WIDTH;

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
    let [batch, height, width] = dims;
    let (inputs, outputs) = (weight.inputs(), weight.outputs());
    assert_eq!(x.len(), batch * height * width * inputs, "x does not fit");
    assert_eq!(y.len(), batch * height * width * outputs, "y does not fit");
    if let Some(bias) = bias {
        let fits = bias.len() == outputs || bias.len() == batch * outputs;
        assert!(fits, "the bias does not fit");
    }
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
            let bias = bias.map(|bias| match bias.len() == outputs {
                true => bias,
                false => &bias[image * outputs..][..outputs],
            });
            y.par_chunks_mut(rows * width * outputs)
                .enumerate()
                .for_each(|(block, y)| {
                    let first = block * rows;
                    let origins = tiling.origins(first..(first + rows).min(height));
                    SCRATCH.with_borrow_mut(|(factors, products)| {
                        factors.resize([PRODUCTS, TILES, inputs]);
                        products.resize([PRODUCTS, TILES, COLUMNS]);
                        for tiles in origins.chunks(TILES) {
                            let places: Vec<_> = tiles.iter().map(|&t| tiling.inputs(t)).collect();
                            Arch::new().dispatch(Scatter {
                                transform: PhantomData::<Inputs>,
                                from: x,
                                features: inputs,
                                places: &places,
                                stride: factors.stride,
                                to: factors.products(0),
                            });
                            let places: Vec<_> = (tiles.iter())
                                .map(|&t| tiling.outputs(t).map(|p| Some(p? - first * width)))
                                .collect();
                            for column in (0..outputs).step_by(COLUMNS) {
                                let columns = column..(column + COLUMNS).min(outputs);
                                multiply(factors, weight, &columns, tiles.len(), products);
                                Arch::new().dispatch(Gather {
                                    transform: PhantomData::<Outputs>,
                                    products,
                                    places: &places,
                                    bias,
                                    to: y,
                                    features: outputs,
                                    columns,
                                });
                            }
                        }
                    });
                });
        });
}

thread_local! {
    /// The factors and the products that a thread works on, so that it makes room for them once.
    static SCRATCH: RefCell<(Factors, Factors)> = RefCell::default();
}

/// Computes the products of some tiles for some of the outputs, which begin with a panel.
fn multiply(
    factors: &Factors,
    weight: &GridPanels,
    columns: &Range<usize>,
    tiles: usize,
    products: &mut Factors,
) {
    let row_stride = products.stride;
    let panel = columns.start / PANEL_WIDTH * weight.0.panel_stride();
    for (k, product) in products.products::<PRODUCTS>(0).into_iter().enumerate() {
        batch_reduce_gemm(
            LhsBatch {
                data: factors.product(k),
                offsets: &[0],
                row_stride: factors.stride,
                depth_stride: 1,
            },
            weight.0.rhs(&[panel + weight.0.offset(k)]),
            weight.inputs(),
            Init::Zero,
            OutputMatrix {
                data: product,
                row_stride,
                rows: tiles,
                columns: columns.len(),
            },
        );
    }
}

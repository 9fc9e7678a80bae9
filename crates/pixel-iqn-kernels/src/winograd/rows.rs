//! The convolution of one row, of which a sampler has no more at a time.

use core::cell::RefCell;
use core::marker::PhantomData;

use pulp::Arch;

use super::tiles::{Factors, Gather, Scatter};
use super::transform::{COLUMNS, RowInputs, RowOutputs, SIDES, row_weights};
use crate::batch_reduce::{Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};
use crate::panels::Panels;

/// The rows of taps.
const ROWS: usize = 2;
/// The taps of a row.
const TAPS: usize = 3;
/// The outputs of a tile.
const OUTPUTS: usize = SIDES[1];
/// The tiles that are worked on at a time.
const TILES: usize = 32;
/// The outputs that are worked on at a time, as wide as the widest microkernel.
const WIDTH: usize = 3 * PANEL_WIDTH;

/// The transformed weights of two rows of three taps, for a convolution that computes one row at a time
/// with the products of F(4, 3): 6 of each row of taps for 4 outputs, where the definition has 12.
#[derive(Debug, Clone)]
pub struct RowPanels(Panels);

/// The place of a row and of the rows that it reads.
#[derive(Debug, Clone, Copy)]
pub struct RowTaps {
    /// Where the leftmost input of the first output lies in each row of taps, in positions.
    pub starts: [usize; ROWS],
    /// The number of columns of the output.
    pub columns: usize,
    /// The positions in a column: those of several images side by side.
    pub images: usize,
    /// The distance of neighbouring taps, in columns.
    pub dilation: usize,
}

impl RowPanels {
    /// Transforms and packs the weights. `taps(row, input, output)` are those of a row of taps.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        taps: impl Fn(usize, usize, usize) -> [f32; TAPS] + Sync,
    ) -> Self {
        Self(Panels::by_rows(
            [inputs, outputs],
            |input, first, products: &mut [_; ROWS * COLUMNS]| {
                for (row, products) in products.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate()
                {
                    let mut lanes = [[0.0; PANEL_WIDTH]; TAPS];
                    for lane in 0..PANEL_WIDTH.min(outputs - first) {
                        for (of_tap, tap) in lanes.iter_mut().zip(taps(row, input, first + lane)) {
                            of_tap[lane] = tap;
                        }
                    }
                    *products = row_weights(&lanes);
                }
            },
        ))
    }

    /// Adds the convolution to the outputs of a row, on the calling thread. The columns of the inputs go
    /// on to the right as far as the outputs read them.
    ///
    /// # Shapes
    ///
    /// - `x`: `[positions, inputs]`
    /// - `y`: `[columns * images, outputs]`
    ///
    /// # Panics
    ///
    /// Panics if `x` or `y` is too short.
    pub fn accumulate(&self, x: &[f32], taps: RowTaps, y: &mut [f32]) {
        let (inputs, outputs) = (self.0.inputs(), self.0.outputs());
        let RowTaps {
            columns,
            images,
            dilation,
            ..
        } = taps;
        let begins = |column: &usize| (column / dilation).is_multiple_of(OUTPUTS);
        let tiles: Vec<(usize, usize)> = (0..columns)
            .filter(begins)
            .flat_map(|column| (0..images).map(move |image| (column, image)))
            .collect();
        // Beyond the right end there are no columns, and outputs that would read them are none.
        let end = columns + (TAPS - 1) * dilation;
        SCRATCH.with_borrow_mut(|(factors, products)| {
            factors.resize([ROWS * COLUMNS, TILES, inputs]);
            products.resize([COLUMNS, TILES, WIDTH]);
            for tiles in tiles.chunks(TILES) {
                for (row, start) in taps.starts.into_iter().enumerate() {
                    let place = |(column, image): (usize, usize), c: usize| {
                        let column = column + c * dilation;
                        (column < end).then_some(start + column * images + image)
                    };
                    let places: Vec<[_; COLUMNS]> = (tiles.iter())
                        .map(|&tile| core::array::from_fn(|c| place(tile, c)))
                        .collect();
                    Arch::new().dispatch(Scatter {
                        transform: PhantomData::<RowInputs>,
                        from: x,
                        features: inputs,
                        places: &places,
                        stride: factors.stride,
                        to: factors.products::<COLUMNS>(row * COLUMNS),
                    });
                }
                let place = |(column, image): (usize, usize), c: usize| {
                    let column = column + c * dilation;
                    (column < columns).then_some(column * images + image)
                };
                let places: Vec<[_; OUTPUTS]> = (tiles.iter())
                    .map(|&tile| core::array::from_fn(|c| place(tile, c)))
                    .collect();
                for first in (0..outputs).step_by(WIDTH) {
                    let part = first..(first + WIDTH).min(outputs);
                    self.multiply(factors, first, part.len(), tiles.len(), products);
                    Arch::new().dispatch(Gather {
                        transform: PhantomData::<RowOutputs>,
                        products,
                        places: &places,
                        bias: None,
                        to: y,
                        features: outputs,
                        columns: part,
                    });
                }
            }
        });
    }

    /// Computes the products of some tiles for some outputs, which begin with a panel: over both rows of
    /// taps they add up.
    fn multiply(
        &self,
        factors: &Factors,
        first: usize,
        columns: usize,
        tiles: usize,
        products: &mut Factors,
    ) {
        let row_stride = products.stride;
        let panel = first / PANEL_WIDTH * self.0.panel_stride();
        for (k, product) in products.products::<COLUMNS>(0).into_iter().enumerate() {
            let of_rows = [k, COLUMNS + k];
            batch_reduce_gemm(
                LhsBatch {
                    data: factors.data(),
                    offsets: &of_rows.map(|k| factors.offset(k)),
                    row_stride: factors.stride,
                    depth_stride: 1,
                },
                self.0.rhs(&of_rows.map(|k| panel + self.0.offset(k))),
                self.0.inputs(),
                Init::Zero,
                OutputMatrix {
                    data: product,
                    row_stride,
                    rows: tiles,
                    columns,
                },
            );
        }
    }
}

thread_local! {
    /// The factors and the products that a thread works on, so that it makes room for them once.
    static SCRATCH: RefCell<(Factors, Factors)> = RefCell::default();
}

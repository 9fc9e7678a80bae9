//! The convolution of one row, of which a sampler has no more at a time.

use core::ops::Range;

use super::block::{Block, Target};
use super::transform::{COLUMNS, RowInputs, RowOutputs, SIDES, row_weights};
use crate::batch_reduce::PANEL_WIDTH;
use crate::panels::Panels;

/// The rows of taps.
const ROWS: usize = 2;
/// The taps of a row.
const TAPS: usize = 3;
/// The outputs of a tile.
const OUTPUTS: usize = SIDES[1];
/// The tiles that are worked on at a time.
const TILES: usize = 32;
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

    /// The outputs of one of several threads that share a row: a range for [`accumulate`](Self::accumulate),
    /// which is empty where there are fewer panels of outputs than threads.
    ///
    /// A thread takes some of the outputs and all positions: the weights take more memory than the caches of
    /// a core, and so each is read once.
    pub fn part(&self, index: usize, threads: usize) -> Range<usize> {
        let outputs = self.0.outputs();
        let part = outputs.div_ceil(threads).next_multiple_of(PANEL_WIDTH);
        (index * part).min(outputs)..((index + 1) * part).min(outputs)
    }

    /// Adds some outputs of the convolution to a row. The columns of the inputs go on to the right as far as
    /// the outputs read them.
    ///
    /// # Shapes
    ///
    /// - `x`: `[positions, inputs]`
    /// - `y`: `[columns * images, outputs.len()]`
    ///
    /// # Panics
    ///
    /// Panics if `x` or `y` is too short, or if `outputs` is no [`part`](Self::part).
    pub fn accumulate(&self, x: &[f32], taps: RowTaps, outputs: Range<usize>, y: &mut [f32]) {
        let inputs = self.0.inputs();
        // A part may have nothing to do.
        if outputs.is_empty() {
            return;
        }
        assert!(
            outputs.start.is_multiple_of(PANEL_WIDTH) && outputs.end <= self.0.outputs(),
            "outputs {outputs:?} of {} in panels of {PANEL_WIDTH}",
            self.0.outputs()
        );
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
        Block::with(|block| {
            block.resize::<COLUMNS>(ROWS, TILES, inputs);
            for tiles in tiles.chunks(TILES) {
                for (row, start) in taps.starts.into_iter().enumerate() {
                    let place = |(column, image): (usize, usize), c: usize| {
                        let column = column + c * dilation;
                        (column < end).then_some(start + column * images + image)
                    };
                    let places: Vec<[_; COLUMNS]> = (tiles.iter())
                        .map(|&tile| core::array::from_fn(|c| place(tile, c)))
                        .collect();
                    block.scatter::<RowInputs, _, COLUMNS>(row, x, inputs, &places);
                }
                let place = |(column, image): (usize, usize), c: usize| {
                    let column = column + c * dilation;
                    (column < columns).then_some(column * images + image)
                };
                let places: Vec<[_; OUTPUTS]> = (tiles.iter())
                    .map(|&tile| core::array::from_fn(|c| place(tile, c)))
                    .collect();
                let target = Target {
                    columns: outputs.clone(),
                    y: &mut *y,
                    bias: None,
                };
                block.gather::<RowOutputs, COLUMNS, _, ROWS>(&self.0, &places, target);
            }
        });
    }
}

use rayon::prelude::*;

use crate::batch_reduce::{
    Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels, batch_reduce_gemm,
};
use crate::conv::Tap;
use crate::filled::filled;
use crate::nonzero::Nonzero;
use crate::panels::pad_columns;

/// The number of positions whose inputs and gradients fit into the cache of a core together.
const CHUNK: usize = 256;

/// Computes the gradient of the weights of [`convolve`](crate::convolve) from its inputs and the gradient of its
/// outputs.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dy`: `[batch, height, width, outputs]`
/// - `dims`: batch, height and width
/// - `mask`: `[outputs, inputs, taps]`, zero where a weight is not used: its gradient is 0, and it is not
///   computed where a block of weights is not used
/// - output: `[outputs, inputs, taps]`
///
/// # Panics
///
/// Panics if `dims` has no position, if `x` or `dy` does not divide into them, or if the mask does not
/// fit.
pub fn weight_gradient(
    x: &[f32],
    dy: &[f32],
    dims: [usize; 3],
    taps: &[Tap],
    mask: Option<&[f32]>,
) -> Vec<f32> {
    let [batch, height, width] = dims;
    let positions = batch * height * width;
    let (inputs, outputs) = (x.len() / positions, dy.len() / positions);
    assert_eq!(x.len(), positions * inputs, "x does not fit");
    assert_eq!(dy.len(), positions * outputs, "dy does not fit");
    let row = inputs * taps.len();
    if let Some(mask) = mask {
        assert_eq!(mask.len(), outputs * row, "the mask does not fit");
    }
    if row * outputs == 0 {
        return Vec::new();
    }
    let padded = pad_columns(dy, outputs);
    let gradient = WeightGradient {
        x,
        dy: padded.as_deref().unwrap_or(dy),
        dims,
        inputs,
        outputs,
    };
    let used = Nonzero::find(
        outputs.div_ceil(PANEL_WIDTH),
        [taps.len(), inputs],
        |panel, row| {
            let (tap, input) = (row / inputs, row % inputs);
            let outputs = panel * PANEL_WIDTH..((panel + 1) * PANEL_WIDTH).min(outputs);
            mask.is_some_and(|mask| {
                outputs
                    .into_iter()
                    .all(|o| mask[(o * inputs + input) * taps.len() + tap] == 0.0)
            })
        },
    );
    let mut dw = vec![0.0; row * outputs];
    dw.par_chunks_mut(inputs * outputs)
        .zip(taps)
        .enumerate()
        .for_each(|(index, (dw, &tap))| {
            dw.par_chunks_mut(WeightGradient::ROWS * outputs)
                .enumerate()
                .for_each(|(block, dw)| gradient.compute(block, (index, tap), &used, dw));
        });
    // To the layout of PyTorch, some outputs at a time, whose numbers lie side by side.
    filled(
        dw.len(),
        [dw.len(), PANEL_WIDTH * row],
        |_, part, by_output| {
            for (o, row) in by_output.chunks_exact_mut(row).enumerate() {
                for (i, of_input) in row.chunks_exact_mut(taps.len()).enumerate() {
                    let output = part * PANEL_WIDTH + o;
                    for (tap, value) in of_input.iter_mut().enumerate() {
                        let used =
                            mask.is_none_or(|m| m[(output * inputs + i) * taps.len() + tap] != 0.0);
                        if used {
                            *value = dw[(tap * inputs + i) * outputs + output];
                        }
                    }
                }
            }
        },
    )
}

/// The operands of the gradient of the weights.
struct WeightGradient<'a> {
    x: &'a [f32],
    /// The gradient of the outputs, whose rows are padded to whole panels.
    dy: &'a [f32],
    dims: [usize; 3],
    inputs: usize,
    outputs: usize,
}

impl WeightGradient<'_> {
    /// The number of inputs whose gradients one thread computes at a time.
    const ROWS: usize = 64;

    /// Computes the gradients of a block of inputs of a tap, `[inputs, outputs]`, as far as they are used.
    fn compute(&self, block: usize, (index, tap): (usize, Tap), used: &[Nonzero], dw: &mut [f32]) {
        let Self {
            inputs, outputs, ..
        } = *self;
        let [batch, height, width] = self.dims;
        let dy_row = outputs.next_multiple_of(PANEL_WIDTH);
        let span = |length: usize, offset: isize| {
            let length = length as isize;
            let start = (-offset).clamp(0, length);
            (
                start as usize,
                (length - offset).clamp(start, length) as usize,
            )
        };
        let (top, bottom) = span(height, tap.row);
        let (left, right) = span(width, tap.column);
        if left == right {
            return;
        }
        let first = block * Self::ROWS;
        let rows = first..first + dw.len() / outputs;
        let at = |image: usize, row: usize| {
            let position = (image * height + row) * width + left;
            let read = position
                .checked_add_signed(tap.row * width as isize + tap.column)
                .expect("the span keeps the tap in the image");
            (read * inputs, position * dy_row)
        };
        let lines: Vec<(usize, usize)> = (0..batch)
            .flat_map(|image| (top..bottom).map(move |row| at(image, row)))
            .collect();
        let areas = used.iter().flat_map(|nonzero| {
            let ranges = nonzero.inputs.iter().filter(|(tap, _)| *tap == index);
            ranges.map(|(_, range)| {
                let range = range.start.max(rows.start)..range.end.min(rows.end);
                let first = nonzero.panels.start * PANEL_WIDTH;
                (
                    range,
                    first..(nonzero.panels.end * PANEL_WIDTH).min(outputs),
                )
            })
        });
        let areas: Vec<_> = areas.filter(|(range, _)| !range.is_empty()).collect();
        for lines in lines.chunks((CHUNK / width).max(1)) {
            for (range, columns) in &areas {
                let (reads, gradients): (Vec<_>, Vec<_>) = (lines.iter())
                    .map(|(read, dy)| (read + range.start, dy + columns.start))
                    .unzip();
                batch_reduce_gemm(
                    LhsBatch {
                        data: self.x,
                        offsets: &reads,
                        row_stride: 1,
                        depth_stride: inputs,
                    },
                    RhsPanels {
                        data: self.dy,
                        offsets: &gradients,
                        depth_stride: dy_row,
                        panel_stride: PANEL_WIDTH,
                    },
                    right - left,
                    Init::Output,
                    OutputMatrix {
                        data: &mut dw[(range.start - rows.start) * outputs + columns.start..],
                        row_stride: outputs,
                        rows: range.len(),
                        columns: columns.len(),
                    },
                );
            }
        }
    }
}

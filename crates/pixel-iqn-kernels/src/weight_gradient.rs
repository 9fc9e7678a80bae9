use rayon::prelude::*;

use crate::batch_reduce::{
    Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels, batch_reduce_gemm,
};
use crate::bfloat16::Bfloat16;
use crate::conv::Tap;
use crate::element::Element;
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
    let Some((inputs, outputs)) = features(x, dy, dims) else {
        return Vec::new();
    };
    let padded = pad_columns(dy, outputs);
    let [_, _, width] = dims;
    let gradient = WeightGradient {
        x: &|tap| Line {
            data: x,
            width,
            shift: tap.column,
        },
        dy: padded.as_deref().unwrap_or(dy),
        dims,
        positions: 1,
        inputs,
        outputs,
    };
    gradient.of_taps(taps, mask)
}

/// Computes the gradient of the weights, as [`weight_gradient`] does, by products of bfloat16 numbers.
///
/// # Panics
///
/// Panics as [`weight_gradient`] does.
pub fn weight_gradient_bfloat16(
    bfloat16: Bfloat16,
    x: &[f32],
    dy: &[f32],
    dims: [usize; 3],
    taps: &[Tap],
    mask: Option<&[f32]>,
) -> Vec<f32> {
    let Some((inputs, outputs)) = features(x, dy, dims) else {
        return Vec::new();
    };
    let [_, _, width] = dims;
    let padded = outputs.next_multiple_of(PANEL_WIDTH);
    // Taps an even number of columns away read pairs that begin at even columns, the others at odd ones.
    let pairs = [0, 1].map(|first| {
        let read = taps
            .iter()
            .any(|tap| tap.column.rem_euclid(2) == first as isize);
        let pairs = read.then(|| bfloat16.pair_positions(x, [width, inputs, inputs], first));
        pairs.unwrap_or_default()
    });
    let gradient = WeightGradient {
        x: &|tap| {
            let first = tap.column.rem_euclid(2);
            Line {
                data: &pairs[first as usize],
                width: (width + first as usize).div_ceil(2),
                shift: (tap.column + first) / 2,
            }
        },
        dy: &bfloat16.pair_positions(dy, [width, outputs, padded], 0),
        dims: [dims[0], dims[1], width.div_ceil(2)],
        positions: 2,
        inputs,
        outputs,
    };
    gradient.of_taps(taps, mask)
}

/// The features of the inputs and of the gradient of the outputs at each position, where there are any of both.
fn features(x: &[f32], dy: &[f32], dims: [usize; 3]) -> Option<(usize, usize)> {
    let positions = dims.iter().product::<usize>();
    let (inputs, outputs) = (x.len() / positions, dy.len() / positions);
    assert_eq!(x.len(), positions * inputs, "x does not fit");
    assert_eq!(dy.len(), positions * outputs, "dy does not fit");
    (inputs * outputs > 0).then_some((inputs, outputs))
}

/// The inputs that a tap reads.
struct Line<'a, T> {
    /// The inputs, `[batch, height, width, inputs]`.
    data: &'a [T],
    /// The number of elements in a row.
    width: usize,
    /// The distance from the element of an output to that of its input.
    shift: isize,
}

/// The operands of the gradient of the weights, whose elements have one or several neighbouring positions of a
/// row.
struct WeightGradient<'a, T> {
    /// The inputs that a tap reads.
    x: &'a (dyn Fn(Tap) -> Line<'a, T> + Sync),
    /// The gradient of the outputs, whose rows are padded to whole panels.
    dy: &'a [T],
    /// Batch, height, and the elements in a row of the gradient of the outputs.
    dims: [usize; 3],
    /// The positions of an element.
    positions: usize,
    inputs: usize,
    outputs: usize,
}

impl<T: Element> WeightGradient<'_, T> {
    /// The number of inputs whose gradients one thread computes at a time.
    const ROWS: usize = 64;

    /// Computes the gradients of all taps, `[outputs, inputs, taps]`.
    fn of_taps(&self, taps: &[Tap], mask: Option<&[f32]>) -> Vec<f32> {
        let Self {
            inputs, outputs, ..
        } = *self;
        let row = inputs * taps.len();
        if let Some(mask) = mask {
            assert_eq!(mask.len(), outputs * row, "the mask does not fit");
        }
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
                dw.par_chunks_mut(Self::ROWS * outputs)
                    .enumerate()
                    .for_each(|(block, dw)| self.compute(block, (index, tap), &used, dw));
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
                            let used = mask
                                .is_none_or(|m| m[(output * inputs + i) * taps.len() + tap] != 0.0);
                            if used {
                                *value = dw[(tap * inputs + i) * outputs + output];
                            }
                        }
                    }
                }
            },
        )
    }

    /// Computes the gradients of a block of inputs of a tap, `[inputs, outputs]`, as far as they are used.
    fn compute(&self, block: usize, (index, tap): (usize, Tap), used: &[Nonzero], dw: &mut [f32]) {
        let Self {
            inputs, outputs, ..
        } = *self;
        let [batch, height, width] = self.dims;
        let dy_row = outputs.next_multiple_of(PANEL_WIDTH);
        let x = (self.x)(tap);
        // The elements of an axis whose inputs are there.
        let span = |length: usize, inputs: usize, shift: isize| {
            let end = (inputs as isize - shift).clamp(0, length as isize);
            ((-shift).clamp(0, end) as usize, end as usize)
        };
        let (top, bottom) = span(height, height, tap.row);
        let (left, right) = span(width, x.width, x.shift);
        if left == right {
            return;
        }
        let first = block * Self::ROWS;
        let rows = first..first + dw.len() / outputs;
        let at = |image: usize, row: usize| {
            let read = (image * height + row)
                .checked_add_signed(tap.row)
                .and_then(|row| (row * x.width + left).checked_add_signed(x.shift));
            let read = read.expect("the span keeps the tap in the image");
            (
                read * inputs,
                ((image * height + row) * width + left) * dy_row,
            )
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
        for lines in lines.chunks((CHUNK / self.positions / width).max(1)) {
            for (range, columns) in &areas {
                let (reads, gradients): (Vec<_>, Vec<_>) = (lines.iter())
                    .map(|(read, dy)| (read + range.start, dy + columns.start))
                    .unzip();
                batch_reduce_gemm(
                    LhsBatch {
                        data: x.data,
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

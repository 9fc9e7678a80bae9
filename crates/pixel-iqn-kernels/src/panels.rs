use aligned_vec::{AVec, ConstAlign, avec};

use rayon::prelude::*;

use crate::batch_reduce::{
    Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels, batch_reduce_gemm,
};
use crate::element::Element;
use crate::nonzero::Nonzero;
use crate::rows::Rows;

/// The weights of a convolution or a linear layer, `[taps * inputs, outputs]`, packed into column
/// panels of outputs, so that a matrix product reads memory in order.
///
/// A linear layer has one tap. Panels of [`Pair`](crate::Pair)s have two inputs in each element.
#[derive(Debug, Clone)]
pub struct Panels<T = f32> {
    /// The panels, `[panels, taps * inputs, PANEL_WIDTH]`, padded with zeros. A row of a panel is
    /// one cache line.
    data: AVec<T, ConstAlign<64>>,
    /// Where the rows of each tap start in a panel.
    offsets: Vec<usize>,
    inputs: usize,
    outputs: usize,
}

impl Panels {
    /// Packs the weights whose element `[k, n]` is `element(k, n)`, for `k < taps * inputs` and
    /// `n < outputs`.
    pub fn new(
        [taps, inputs, outputs]: [usize; 3],
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        Self::from_elements([taps, inputs, outputs], element)
    }

    /// Packs weights panel by panel on all threads: `row(input, first, row)` writes, for an input and the
    /// outputs from `first` on, those of all taps to `row`, which is zero where there is no output.
    pub(crate) fn by_rows<const TAPS: usize>(
        [inputs, outputs]: [usize; 2],
        fill: impl Fn(usize, usize, &mut [[f32; PANEL_WIDTH]; TAPS]) + Sync,
    ) -> Self {
        let panel = TAPS * inputs * PANEL_WIDTH;
        let mut data = avec![[64]| 0.0; outputs.div_ceil(PANEL_WIDTH) * panel];
        let panels = data.par_chunks_mut(panel.max(1)).enumerate();
        panels.for_each(|(p, panel)| {
            for input in 0..inputs {
                let mut rows = [[0.0; PANEL_WIDTH]; TAPS];
                fill(input, p * PANEL_WIDTH, &mut rows);
                for (tap, row) in rows.iter().enumerate() {
                    panel[(tap * inputs + input) * PANEL_WIDTH..][..PANEL_WIDTH]
                        .copy_from_slice(row);
                }
            }
        });
        Self {
            data,
            offsets: (0..TAPS).map(|tap| tap * inputs * PANEL_WIDTH).collect(),
            inputs,
            outputs,
        }
    }
}

impl<T: Element> Panels<T> {
    /// Packs the weights whose element `[k, n]` is `element(k, n)`, with so many elements for the inputs of
    /// each tap.
    pub(crate) fn from_elements(
        [taps, inputs, outputs]: [usize; 3],
        element: impl Fn(usize, usize) -> T + Sync,
    ) -> Self {
        let panel = taps * inputs * PANEL_WIDTH;
        let mut data = avec![[64]| T::default(); outputs.div_ceil(PANEL_WIDTH) * panel];
        let panels = data.par_chunks_mut(panel.max(1)).enumerate();
        panels.for_each(|(p, panel)| {
            let first = p * PANEL_WIDTH;
            for (k, row) in panel.chunks_exact_mut(PANEL_WIDTH).enumerate() {
                for (n, value) in (first..outputs).zip(row) {
                    *value = element(k, n);
                }
            }
        });
        Self {
            data,
            offsets: (0..taps).map(|tap| tap * inputs * PANEL_WIDTH).collect(),
            inputs,
            outputs,
        }
    }

    /// The number of taps.
    pub fn taps(&self) -> usize {
        self.offsets.len()
    }

    /// The number of inputs of each tap, or of their pairs.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// The offset of a tap in the data of [`rhs`](Self::rhs).
    pub(crate) fn offset(&self, tap: usize) -> usize {
        self.offsets[tap]
    }

    /// The distance from one column panel to the next in the data of [`rhs`](Self::rhs).
    pub(crate) fn panel_stride(&self) -> usize {
        self.taps() * self.inputs * PANEL_WIDTH
    }

    /// The weights that are not zero, in ranges.
    pub(crate) fn nonzero(&self) -> Vec<Nonzero> {
        let panels = self.outputs.div_ceil(PANEL_WIDTH);
        Nonzero::find(panels, [self.taps(), self.inputs], |panel, row| {
            let at = panel * self.panel_stride() + row * PANEL_WIDTH;
            self.data[at..][..PANEL_WIDTH].iter().all(|w| w.is_zero())
        })
    }

    /// The right operands of a batch-reduce GEMM over the taps at `offsets`.
    pub(crate) fn rhs<'a>(&'a self, offsets: &'a [usize]) -> RhsPanels<'a, T> {
        RhsPanels {
            data: &self.data,
            offsets,
            depth_stride: PANEL_WIDTH,
            panel_stride: self.panel_stride(),
        }
    }

    /// Computes each row of `y` as the sum over the taps of the inputs at the tap times the weights
    /// of the tap. The inputs at tap `t` of row `m` start at `taps[t] + m * x.stride`.
    ///
    /// # Panics
    ///
    /// Panics if the taps are not those of the weight, or if `x` or `y` is too short.
    pub fn multiply(&self, x: Rows<'_, T>, taps: &[usize], init: Init<'_>, y: OutputMatrix<'_>) {
        assert_eq!(y.columns, self.outputs, "wrong number of outputs");
        let x = LhsBatch {
            data: x.data,
            offsets: taps,
            row_stride: x.stride,
            depth_stride: 1,
        };
        batch_reduce_gemm(x, self.rhs(&self.offsets), self.inputs, init, y);
    }

    /// Adds `x * weight` to `rows` rows of `y`, which start `y_stride` apart, for weights of one
    /// tap.
    ///
    /// # Panics
    ///
    /// Panics if the weights have another number of taps, or if `x` or `y` is too short.
    pub fn accumulate(&self, x: Rows<'_, T>, y: &mut [f32], y_stride: usize, rows: usize) {
        if self.inputs == 0 {
            return;
        }
        let y = OutputMatrix {
            data: y,
            row_stride: y_stride,
            rows,
            columns: self.outputs,
        };
        self.multiply(x, &[0], Init::Output, y);
    }
}

/// Pads rows with zeros to whole panels, as the right operands of a product need it; returns
/// nothing where they are.
pub(crate) fn pad_columns(x: &[f32], columns: usize) -> Option<Vec<f32>> {
    /// The number of rows that one thread copies at a time.
    const CHUNK: usize = 256;
    let padded = columns.next_multiple_of(PANEL_WIDTH);
    if padded == columns {
        return None;
    }
    let mut out = vec![0.0; x.len() / columns * padded];
    out.par_chunks_mut(padded)
        .zip(x.par_chunks(columns))
        .with_min_len(CHUNK)
        .for_each(|(out, x)| out[..columns].copy_from_slice(x));
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn products_accumulate() {
        let w = Panels::new([1, 2, 3], |k, n| (3 * k + n + 1) as f32);
        let x = Rows {
            data: &[1.0, 1.0, 9.0, 0.0, 2.0],
            stride: 3,
        };
        let mut y = vec![1.0; 7];
        w.accumulate(x, &mut y, 4, 2);
        assert_eq!(y, [6.0, 8.0, 10.0, 1.0, 9.0, 11.0, 13.0]);
    }

    #[test]
    fn taps_overlap() {
        // y[m] = x[m] + 10 x[m + 2]
        let w = Panels::new([2, 1, 1], |k, _| [1.0, 10.0][k]);
        let x = Rows {
            data: &[1.0, 2.0, 3.0, 4.0],
            stride: 1,
        };
        let mut y = vec![0.0; 2];
        let output = OutputMatrix {
            data: &mut y,
            row_stride: 1,
            rows: 2,
            columns: 1,
        };
        w.multiply(x, &[0, 2], Init::Zero, output);
        assert_eq!(y, [31.0, 42.0]);
    }

    #[test]
    #[should_panic = "the output is too short"]
    fn a_short_output_panics() {
        let w = Panels::new([1, 2, 3], |_, _| 1.0);
        let x = Rows {
            data: &[1.0; 4],
            stride: 2,
        };
        w.accumulate(x, &mut [0.0; 5], 3, 2);
    }
}

use aligned_vec::{AVec, ConstAlign, avec};

use crate::Rows;
use crate::product::{Left, Output, Right, STRIP, Start, product};

/// A weight, `[taps * inputs, outputs]`, packed for [`product`]: strips of outputs one after the
/// other, so that a product reads memory in order.
#[derive(Debug, Clone)]
pub struct Panels {
    /// `[strips, taps * inputs, STRIP]`, zero beyond the outputs; each step is one cache line.
    data: AVec<f32, ConstAlign<64>>,
    /// Where the steps of each tap begin in a strip.
    starts: Vec<usize>,
    inputs: usize,
    outputs: usize,
}

impl Panels {
    /// Packs the weight whose element `[k, n]`, with `k` below `taps * inputs` and `n` below
    /// `outputs`, is `element(k, n)`.
    pub fn new([taps, inputs, outputs]: [usize; 3], element: impl Fn(usize, usize) -> f32) -> Self {
        let steps = taps * inputs;
        let mut data = avec![[64]| 0.0; outputs.div_ceil(STRIP) * steps * STRIP];
        for n in 0..outputs {
            for k in 0..steps {
                data[(n / STRIP * steps + k) * STRIP + n % STRIP] = element(k, n);
            }
        }
        Self {
            data,
            starts: (0..taps).map(|tap| tap * inputs * STRIP).collect(),
            inputs,
            outputs,
        }
    }

    fn steps(&self) -> usize {
        self.starts.len() * self.inputs
    }

    /// Taps of the weight.
    pub fn taps(&self) -> usize {
        self.starts.len()
    }

    /// Inputs of each tap.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// Outputs.
    pub fn outputs(&self) -> usize {
        self.outputs
    }

    /// Where a tap starts in the data of [`right`](Self::right).
    pub(crate) fn start(&self, tap: usize) -> usize {
        self.starts[tap]
    }

    /// From one strip of outputs to the next in the data of [`right`](Self::right).
    pub(crate) fn strip(&self) -> usize {
        self.steps() * STRIP
    }

    /// The operand of a product with the taps that start there.
    pub(crate) fn right<'a>(&'a self, starts: &'a [usize]) -> Right<'a> {
        Right {
            data: &self.data,
            starts,
            step: STRIP,
            strip: self.strip(),
        }
    }

    /// For each row of `y`, the sum over the taps of the inputs there times the tap's weights. Tap
    /// `t` of row `m` begins at `taps[t] + m * x.stride`.
    ///
    /// # Panics
    ///
    /// Panics if the taps are not those of the weight, or if `x` or `y` is too short.
    pub fn multiply(&self, x: Rows<'_>, taps: &[usize], start: Start<'_>, y: Output<'_>) {
        assert_eq!(y.columns, self.outputs, "wrong number of outputs");
        let x = Left {
            data: x.data,
            starts: taps,
            row: x.stride,
            step: 1,
        };
        product(x, self.right(&self.starts), self.inputs, start, y);
    }

    /// `y += x * weight` for `rows` rows, those of `y` `y_stride` apart, with a weight of one tap.
    ///
    /// # Panics
    ///
    /// As [`multiply`](Self::multiply).
    pub fn accumulate(&self, x: Rows<'_>, y: &mut [f32], y_stride: usize, rows: usize) {
        if self.inputs == 0 {
            return;
        }
        let y = Output {
            data: y,
            row: y_stride,
            rows,
            columns: self.outputs,
        };
        self.multiply(x, &[0], Start::Output, y);
    }
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
        let output = Output {
            data: &mut y,
            row: 1,
            rows: 2,
            columns: 1,
        };
        w.multiply(x, &[0, 2], Start::Zero, output);
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

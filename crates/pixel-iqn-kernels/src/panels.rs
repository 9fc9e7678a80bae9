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
    fn zeros([taps, inputs, outputs]: [usize; 3]) -> Self {
        let length = outputs.div_ceil(STRIP) * taps * inputs * STRIP;
        Self {
            data: avec![[64]| 0.0; length],
            starts: (0..taps).map(|tap| tap * inputs * STRIP).collect(),
            inputs,
            outputs,
        }
    }

    /// Packs the weight whose element `[k, n]`, with `k` below `taps * inputs` and `n` below
    /// `outputs`, is `element(k, n)`.
    pub fn new(shape: [usize; 3], element: impl Fn(usize, usize) -> f32) -> Self {
        let mut panels = Self::zeros(shape);
        let steps = panels.steps();
        for n in 0..panels.outputs {
            for k in 0..steps {
                panels.data[(n / STRIP * steps + k) * STRIP + n % STRIP] = element(k, n);
            }
        }
        panels
    }

    /// Packs a weight in row-major order, `[taps, inputs, outputs]`.
    ///
    /// # Panics
    ///
    /// Panics if it has another length.
    pub fn pack(weight: &[f32], shape: [usize; 3]) -> Self {
        assert_eq!(
            weight.len(),
            shape.iter().product::<usize>(),
            "the weight does not fit"
        );
        let mut panels = Self::zeros(shape);
        let (steps, outputs) = (panels.steps(), panels.outputs);
        for (k, row) in weight.chunks_exact(outputs.max(1)).enumerate() {
            for (strip, row) in row.chunks(STRIP).enumerate() {
                panels.data[(strip * steps + k) * STRIP..][..row.len()].copy_from_slice(row);
            }
        }
        panels
    }

    /// Packs the same, with inputs and outputs exchanged: the weight of the gradient of the
    /// inputs, whose taps are the [mirrored](crate::Tap::mirrored) ones.
    ///
    /// # Panics
    ///
    /// Panics if it has another length.
    pub fn pack_transposed(weight: &[f32], [taps, inputs, outputs]: [usize; 3]) -> Self {
        assert_eq!(
            weight.len(),
            taps * inputs * outputs,
            "the weight does not fit"
        );
        let mut panels = Self::zeros([taps, outputs, inputs]);
        let steps = panels.steps();
        for (k, row) in weight.chunks_exact(outputs.max(1)).enumerate() {
            let (tap, input) = (k / inputs, k % inputs);
            let strip = (input / STRIP * steps + tap * outputs) * STRIP + input % STRIP;
            for (o, &weight) in row.iter().enumerate() {
                panels.data[strip + o * STRIP] = weight;
            }
        }
        panels
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

    /// The operand of a product with the taps that start there.
    pub(crate) fn right<'a>(&'a self, starts: &'a [usize]) -> Right<'a> {
        Right {
            data: &self.data,
            starts,
            step: STRIP,
            strip: self.steps() * STRIP,
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
    fn weights_pack_in_any_order() {
        let shape = [2, 3, 20];
        let weight: Vec<f32> = (0..120).map(|i| i as f32).collect();
        let by_element = Panels::new(shape, |k, n| weight[k * 20 + n]);
        assert_eq!(Panels::pack(&weight, shape).data, by_element.data);
        let by_element = Panels::new([2, 20, 3], |k, n| weight[(k / 20 * 3 + n) * 20 + k % 20]);
        let transposed = Panels::pack_transposed(&weight, shape);
        assert_eq!(transposed.data, by_element.data);
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

//! Products and gates on slices.

use gemm::Parallelism;

/// A matrix in a slice: rows start `stride` apart.
#[derive(Clone, Copy)]
pub(super) struct Rows<'a> {
    pub data: &'a [f32],
    pub stride: usize,
}

/// A packed weight, `[inputs, outputs]` row by row.
#[derive(Debug, Clone)]
pub(super) struct Matrix {
    pub data: Vec<f32>,
    pub inputs: usize,
    pub outputs: usize,
}

impl Matrix {
    pub(super) fn new(data: Vec<f32>, inputs: usize, outputs: usize) -> Self {
        assert_eq!(data.len(), inputs * outputs);
        Self {
            data,
            inputs,
            outputs,
        }
    }

    /// `y += x * self` for `count` rows; the rows of `y` start `y_stride` apart.
    pub(super) fn accumulate(&self, x: Rows<'_>, y: &mut [f32], y_stride: usize, count: usize) {
        let (k, n) = (self.inputs, self.outputs);
        if count == 0 || k == 0 {
            return;
        }
        assert!(x.data.len() >= (count - 1) * x.stride + k, "x is too short");
        assert!(y.len() >= (count - 1) * y_stride + n, "y is too short");
        // SAFETY: the last elements read of `x` and of the weight, `k * n` long by construction,
        // and the last one written of `y` lie inside of their slices, as just asserted; `y` is
        // borrowed exclusively, so it overlaps with neither.
        unsafe {
            gemm::gemm(
                count,
                n,
                k,
                y.as_mut_ptr(),
                1,
                y_stride as isize,
                true,
                x.data.as_ptr(),
                1,
                x.stride as isize,
                self.data.as_ptr(),
                1,
                n as isize,
                1.0,
                1.0,
                false,
                false,
                false,
                Parallelism::None,
            );
        }
    }
}

/// `tanh(x) = 1 - 2 / (exp(2x) + 1)`, to about 2e-7 absolute. It is 1 in single precision from 9
/// on.
#[inline(always)]
fn tanh(x: f32) -> f32 {
    1.0 - 2.0 / (exp(2.0 * x.clamp(-9.0, 9.0)) + 1.0)
}

/// `exp(x)` for `|x| < 80`, to about 1e-7 relative: 2^i times a polynomial on [-½ ln 2, ½ ln 2].
#[inline(always)]
fn exp(x: f32) -> f32 {
    const LOG2_E: f32 = core::f32::consts::LOG2_E;
    // ln 2 in two parts, so that the reduction is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
    // Adding and subtracting 1.5 * 2^23 rounds to the nearest integer.
    const ROUND: f32 = 12_582_912.0;
    let shifted = x * LOG2_E + ROUND;
    let i = shifted - ROUND;
    let r = (x - i * LN2_HIGH) - i * LN2_LOW;
    // The Taylor series to the sixth order: the next term is below 2e-7 / 7.
    let p = 1.0 / 720.0;
    let p = p * r + 1.0 / 120.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r + 1.0 / 6.0;
    let p = p * r + 0.5;
    let p = p * r + 1.0;
    let p = p * r + 1.0;
    // The low bits of `shifted` are `i`: shift them into the exponent.
    let scale = f32::from_bits((shifted.to_bits() << 23).wrapping_add(1.0f32.to_bits()));
    p * scale
}

/// `tanh(a) * sigmoid(b)`, element by element.
#[inline(always)]
fn gate_slices(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        let b = b.clamp(-40.0, 40.0);
        *out = tanh(a) / (1.0 + exp(-b));
    }
}

/// The gates of `rows` rows: for each, the pairs of halves of `half` features at `x` to `out`.
pub(super) fn gate(
    x: Rows<'_>,
    out: &mut [f32],
    out_stride: usize,
    rows: usize,
    groups: usize,
    half: usize,
) {
    pulp::Arch::new().dispatch(|| {
        for row in 0..rows {
            let x = &x.data[row * x.stride..][..2 * groups * half];
            let out = &mut out[row * out_stride..][..groups * half];
            for (pair, out) in x.chunks_exact(2 * half).zip(out.chunks_exact_mut(half)) {
                let (a, b) = pair.split_at(half);
                gate_slices(a, b, out);
            }
        }
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gates_equal_the_standard_library() {
        let a: Vec<f32> = (-3000..3000).map(|i| i as f32 / 100.0).collect();
        for b in [-100.0f32, -5.0, -0.3, 0.0, 1.0, 90.0] {
            let mut out = vec![0.0; a.len()];
            gate_slices(&a, &vec![b; a.len()], &mut out);
            for (out, a) in out.iter().zip(&a) {
                let expected = f64::from(*a).tanh() / (1.0 + (-f64::from(b)).exp());
                assert!(
                    (f64::from(*out) - expected).abs() < 5e-7,
                    "{a} {b}: {out} {expected}"
                );
            }
        }
    }

    #[test]
    fn products_accumulate() {
        let w = Matrix::new(vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0], 2, 3);
        let x = Rows {
            data: &[1.0, 1.0, 9.0, 0.0, 2.0],
            stride: 3,
        };
        let mut y = vec![1.0; 7];
        w.accumulate(x, &mut y, 4, 2);
        assert_eq!(y, [6.0, 8.0, 10.0, 1.0, 9.0, 11.0, 13.0]);
    }

    #[test]
    #[should_panic = "y is too short"]
    fn a_short_output_panics() {
        let w = Matrix::new(vec![1.0; 6], 2, 3);
        let x = Rows {
            data: &[1.0; 4],
            stride: 2,
        };
        w.accumulate(x, &mut [0.0; 5], 3, 2);
    }
}

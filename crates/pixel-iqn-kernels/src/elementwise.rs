//! Elementwise functions, written so that the compiler vectorises them: the gates with their
//! gradient, and the cosines of the quantile embedding.

use core::f32::consts::{LOG2_E, PI};

use pulp::Arch;

use crate::filled::filled;
use crate::rows::Rows;

/// The constant 1.5 * 2^23: adding it to a number rounds that to the nearest integer, which then is
/// in the low bits of the sum.
const ROUND: f32 = 12_582_912.0;

/// Computes `exp(x)` for `|x| < 80` to about 1e-7 relative, as 2^i times a polynomial on
/// [-½ ln 2, ½ ln 2].
#[inline(always)]
fn exp(x: f32) -> f32 {
    // ln 2 is in two parts, so that the reduction is exact.
    const LN2_HIGH: f32 = 0.693_359_4;
    const LN2_LOW: f32 = -2.121_944_4e-4;
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

/// Computes `tanh(a)` and `sigmoid(b)` to about 2e-7 absolute, with one division:
///
/// ```text
/// tanh(a) = (A - 1) / (A + 1)    sigmoid(b) = 1 / (1 + B)    A = exp(2a)    B = exp(-b)
/// ```
///
/// In single precision tanh is 1 from 9 on. From 40 on the sigmoid is 0 or 1 within this error, and
/// up to there the product of the denominators is finite.
#[inline(always)]
fn tanh_and_sigmoid(a: f32, b: f32) -> (f32, f32) {
    let a = exp(2.0 * a.clamp(-9.0, 9.0));
    let b = exp(-b.clamp(-40.0, 40.0));
    let inverse = 1.0 / ((a + 1.0) * (1.0 + b));
    ((a - 1.0) * (1.0 + b) * inverse, (a + 1.0) * inverse)
}

/// Computes `cos(x)` for `0 <= x < 4096` to about 1e-7 absolute beyond the rounding of `x`, from
/// the sign at the nearest multiple of pi and the Taylor series of the rest, in [-½ pi, ½ pi].
#[inline(always)]
fn cos(x: f32) -> f32 {
    // pi is in three parts, so that the reduction is exact.
    const PI_HIGH: f32 = 3.140_625;
    const PI_MIDDLE: f32 = 9.670_257_6e-4;
    const PI_LOW: f32 = 6.277_114e-7;
    let shifted = x * (1.0 / PI) + ROUND;
    let i = shifted - ROUND;
    let r = ((x - i * PI_HIGH) - i * PI_MIDDLE) - i * PI_LOW;
    let r = r * r;
    // The next term is below 7e-9.
    let p = 1.0 / 479_001_600.0;
    let p = p * r - 1.0 / 3_628_800.0;
    let p = p * r + 1.0 / 40_320.0;
    let p = p * r - 1.0 / 720.0;
    let p = p * r + 1.0 / 24.0;
    let p = p * r - 0.5;
    let p = p * r + 1.0;
    f32::from_bits(p.to_bits() ^ (shifted.to_bits() << 31))
}

/// The number of rows that one thread computes at a time.
const ROWS: usize = 256;

/// Computes the cosines of the quantile embedding, `cos(pi i tau)` for `i = 0 .. n - 1`, on all
/// threads.
///
/// # Shapes
///
/// - `tau`: `[values]`, in [0, 1]
/// - output: `[values, n]`
pub fn cosines(tau: &[f32], n: usize) -> Vec<f32> {
    let len = tau.len() * n;
    filled(len, [len, ROWS * n], |_, part, out| {
        let tau = &tau[part * ROWS..];
        Arch::new().dispatch(|| {
            for (&tau, out) in tau.iter().zip(out.chunks_exact_mut(n)) {
                for (i, out) in out.iter_mut().enumerate() {
                    *out = cos(PI * i as f32 * tau);
                }
            }
        });
    })
}

/// Computes `tanh(a) * sigmoid(b)` elementwise.
#[inline(always)]
fn gate_slices(a: &[f32], b: &[f32], out: &mut [f32]) {
    for ((out, &a), &b) in out.iter_mut().zip(a).zip(b) {
        let (tanh, sigmoid) = tanh_and_sigmoid(a, b);
        *out = tanh * sigmoid;
    }
}

/// Applies the gate `tanh(a) * sigmoid(b)` to `rows` rows on the calling thread. In each group of a
/// row, `a` is the first half of the features and `b` the second.
///
/// # Shapes
///
/// - `x`: `[rows, groups, 2 * half]`, whose rows start `x.stride` apart
/// - `out`: `[rows, groups, half]`, whose rows start `out_stride` apart
///
/// # Panics
///
/// Panics if `x` or `out` is too short, or if `half` is 0.
pub fn gate(
    x: Rows<'_>,
    out: &mut [f32],
    out_stride: usize,
    rows: usize,
    groups: usize,
    half: usize,
) {
    Arch::new().dispatch(|| {
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

/// Applies the gate `tanh(a) * sigmoid(b)` to the two halves of each row, on all threads.
///
/// # Shapes
///
/// - `x`: `[rows, 2 * features]`
/// - output: `[rows, features]`
pub fn gate_rows(x: &[f32], features: usize) -> Vec<f32> {
    let len = x.len() / 2;
    filled(len, [len, ROWS * features], |_, part, out| {
        let rows = out.len() / features;
        let x = Rows {
            data: &x[part * ROWS * 2 * features..],
            stride: 2 * features,
        };
        gate(x, out, features, rows, 1, features);
    })
}

/// Computes the gradient of [`gate_rows`] with respect to `x` from the gradient of its output.
///
/// # Shapes
///
/// - `x`: `[rows, 2 * features]`
/// - `dy`: `[rows, features]`
/// - output: `[rows, 2 * features]`
///
/// # Panics
///
/// Panics if `dy` has not half the length of `x`.
pub fn gate_gradient(x: &[f32], dy: &[f32], features: usize) -> Vec<f32> {
    assert_eq!(x.len(), 2 * dy.len(), "the gradient does not fit");
    filled(x.len(), [x.len(), ROWS * 2 * features], |_, part, dx| {
        let (x, dy) = (
            &x[part * ROWS * 2 * features..],
            &dy[part * ROWS * features..],
        );
        Arch::new().dispatch(|| {
            let rows = x.chunks_exact(2 * features).zip(dy.chunks_exact(features));
            for (dx, (x, dy)) in dx.chunks_exact_mut(2 * features).zip(rows) {
                let (a, b) = x.split_at(features);
                let (da, db) = dx.split_at_mut(features);
                gate_gradient_slices(a, b, dy, da, db);
            }
        });
    })
}

/// Computes the gradients of both operands of [`gate_slices`] from the gradient of its output.
#[inline(always)]
fn gate_gradient_slices(a: &[f32], b: &[f32], dy: &[f32], da: &mut [f32], db: &mut [f32]) {
    for ((((da, db), &a), &b), &dy) in da.iter_mut().zip(db).zip(a).zip(b).zip(dy) {
        let (t, s) = tanh_and_sigmoid(a, b);
        *da = dy * s * (1.0 - t * t);
        *db = dy * t * s * (1.0 - s);
    }
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
    fn cosines_equal_the_standard_library() {
        let tau: Vec<f32> = (0..=1000).map(|i| i as f32 / 1000.0).collect();
        let (n, mut i) = (200, 0);
        for (&tau, out) in tau.iter().zip(cosines(&tau, n).chunks_exact(n)) {
            for out in out {
                let angle = PI * (i % n) as f32 * tau;
                let expected = f64::from(angle).cos();
                assert!(
                    (f64::from(*out) - expected).abs() < 3e-7,
                    "cos({angle}): {out} {expected}"
                );
                i += 1;
            }
        }
    }

    #[test]
    fn gradients_of_gates_equal_differences() {
        let x: Vec<f32> = (0..400)
            .map(|i| (i * 37 % 101) as f32 / 17.0 - 3.0)
            .collect();
        let (features, h) = (4, 1e-2);
        let dy: Vec<f32> = (0..200).map(|i| (i % 7) as f32 - 3.0).collect();
        let dx = gate_gradient(&x, &dy, features);
        for i in 0..x.len() {
            let value = |h: f32| -> f64 {
                let mut x = x.clone();
                x[i] += h;
                let gates = gate_rows(&x, features);
                gates
                    .iter()
                    .zip(&dy)
                    .map(|(g, d)| f64::from(*g) * f64::from(*d))
                    .sum()
            };
            let expected = (value(h) - value(-h)) / f64::from(2.0 * h);
            assert!(
                (f64::from(dx[i]) - expected).abs() < 2e-3,
                "{i}: {} {expected}",
                dx[i]
            );
        }
    }
}

//! A matrix product over operands in pieces, in the registers' tiles.
//!
//! ```text
//! y[m, n] = start[m, n] + Σ over pieces p and steps k of a_p[m, k] b_p[k, n]
//! ```
//!
//! The pieces are what makes a causal convolution one product without gathered taps: with a piece
//! for each tap, `a_p` is the same image at another offset and `b_p` that tap's weights. The
//! gradient of the weights is a product of the same form, with a piece for each row of the image.
//!
//! Every sum has one order, whatever the number of rows, so that the result for a row does not
//! depend on the rows computed with it.

use pulp::{Arch, Simd, WithSimd};

/// Columns are computed in strips of so many.
pub const STRIP: usize = 16;

/// The left operand: element `[m, k]` of piece `p` at `starts[p] + m * row + k * step`.
#[derive(Debug, Clone, Copy)]
pub struct Left<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Where each piece starts.
    pub starts: &'a [usize],
    /// From one row to the next.
    pub row: usize,
    /// From one step to the next.
    pub step: usize,
}

/// The right operand: element `[k, n]` of piece `p` at
/// `starts[p] + n / STRIP * strip + k * step + n % STRIP`. The last strip must be there in whole.
#[derive(Debug, Clone, Copy)]
pub struct Right<'a> {
    /// The numbers.
    pub data: &'a [f32],
    /// Where each piece starts.
    pub starts: &'a [usize],
    /// From one step to the next.
    pub step: usize,
    /// From one strip to the next.
    pub strip: usize,
}

/// What the sums start from.
#[derive(Debug, Clone, Copy)]
pub enum Start<'a> {
    /// The values in the output.
    Output,
    /// The same row everywhere.
    Row(&'a [f32]),
    /// Zero.
    Zero,
}

/// The output: element `[m, n]` at `m * row + n`.
#[derive(Debug)]
pub struct Output<'a> {
    /// The numbers.
    pub data: &'a mut [f32],
    /// From one row to the next.
    pub row: usize,
    /// Rows to compute.
    pub rows: usize,
    /// Columns to compute.
    pub columns: usize,
}

/// Computes the product of operands whose pieces have `steps` steps each.
///
/// # Panics
///
/// Panics if an operand or the output is too short.
pub fn product(a: Left<'_>, b: Right<'_>, steps: usize, start: Start<'_>, y: Output<'_>) {
    let (rows, columns) = (y.rows, y.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    let strips = columns.div_ceil(STRIP);
    assert_eq!(
        a.starts.len(),
        b.starts.len(),
        "the operands' pieces differ"
    );
    if steps > 0 {
        for (&a_start, &b_start) in a.starts.iter().zip(b.starts) {
            let last = last_index(a_start, [(rows, a.row), (steps, a.step)]);
            assert!(last < a.data.len(), "the left operand is too short");
            let last = last_index(b_start, [(strips, b.strip), (steps, b.step)]);
            let last = last.saturating_add(STRIP - 1);
            assert!(last < b.data.len(), "the right operand is too short");
        }
    }
    let last = last_index(0, [(rows, y.row), (columns, 1)]);
    assert!(last < y.data.len(), "the output is too short");
    if let Start::Row(row) = start {
        assert!(row.len() >= columns, "the row to start from is too short");
    }
    Arch::new().dispatch(Product {
        a,
        b,
        steps,
        start,
        y,
    });
}

/// The largest index on axes of one step or more, each with its steps and stride; the largest
/// number there is where that overflows.
fn last_index(start: usize, axes: [(usize, usize); 2]) -> usize {
    axes.iter().fold(start, |index, &(steps, stride)| {
        index.saturating_add((steps - 1).saturating_mul(stride))
    })
}

/// Checked operands, so that no index below leaves them.
struct Product<'a> {
    a: Left<'a>,
    b: Right<'a>,
    steps: usize,
    start: Start<'a>,
    y: Output<'a>,
}

impl WithSimd for Product<'_> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The rows of a tile of 1, 2, ... strips: as many sums as the registers hold beside the
        // operands, and enough of them to hide the latency of a fused multiply-add. More strips
        // and fewer rows were no faster, 5 by 5 half as fast: the compiler spills sums.
        match S::F32_LANES {
            16 => self.tiles::<S, 1>(simd, &[8, 8, 8]),
            8 => self.tiles::<S, 2>(simd, &[6]),
            4 => self.tiles::<S, 4>(simd, &[6]),
            _ => self.tiles::<S, 16>(simd, &[1]),
        }
    }
}

impl Product<'_> {
    /// `rows[i]` is the rows of a tile of `i + 1` strips; `V` the vectors of a strip.
    #[inline(always)]
    fn tiles<S: Simd, const V: usize>(mut self, simd: S, tile_rows: &[usize]) {
        let strips = self.y.columns.div_ceil(STRIP);
        for (strip, width) in even_parts(strips, tile_rows.len()) {
            for (row, height) in even_parts(self.y.rows, tile_rows[width - 1]) {
                macro_rules! tile {
                    ($($width:literal: $($height:literal)*;)*) => {
                        match (width, height) {
                            // SAFETY: `product` checked every index of these rows and strips.
                            $($(($width, $height) => unsafe {
                                self.tile::<S, V, $width, $height>(simd, strip, row)
                            },)*)*
                            _ => unreachable!("no tile has {width} strips and {height} rows"),
                        }
                    };
                }
                if V == 1 {
                    tile! {
                        1: 1 2 3 4 5 6 7 8;
                        2: 1 2 3 4 5 6 7 8;
                        3: 1 2 3 4 5 6 7 8;
                    }
                } else {
                    tile! { 1: 1 2 3 4 5 6; }
                }
            }
        }
    }

    /// # Safety
    ///
    /// The strips `strip .. strip + W` and rows `row .. row + H` must be those of the output.
    #[inline(always)]
    unsafe fn tile<S: Simd, const V: usize, const W: usize, const H: usize>(
        &mut self,
        simd: S,
        strip: usize,
        row: usize,
    ) {
        assert!(S::F32_LANES * V == STRIP);
        let (a, b) = (self.a, self.b);
        let mut sums = [[[simd.splat_f32s(0.0); V]; W]; H];
        let first = strip * STRIP;
        let columns = self.y.columns - first;
        match self.start {
            Start::Zero => {}
            Start::Row(start) => {
                for (sums, start) in sums[0].iter_mut().zip(start[first..].chunks(STRIP)) {
                    *sums = load::<S, V>(simd, start);
                }
                sums = [sums[0]; H];
            }
            Start::Output => {
                for (m, sums) in sums.iter_mut().enumerate() {
                    let y = &self.y.data[(row + m) * self.y.row + first..];
                    for (sums, y) in sums.iter_mut().zip(y[..columns.min(y.len())].chunks(STRIP)) {
                        *sums = load::<S, V>(simd, y);
                    }
                }
            }
        }
        // Without a step, nothing says that a piece starts inside of its operand.
        let pieces = if self.steps == 0 { 0 } else { a.starts.len() };
        for (&a_start, &b_start) in a.starts.iter().zip(b.starts).take(pieces) {
            // SAFETY: `product` asserted that the last elements of the last rows, strips and steps
            // of this piece lie inside of the operands; all strides are positive.
            unsafe {
                let mut a_k = a.data.as_ptr().add(a_start + row * a.row);
                let mut b_k = b.data.as_ptr().add(b_start + strip * b.strip);
                for _ in 0..self.steps {
                    let mut right = [[simd.splat_f32s(0.0); V]; W];
                    for (w, right) in right.iter_mut().enumerate() {
                        for (v, right) in right.iter_mut().enumerate() {
                            let vector = b_k.wrapping_add(w * b.strip).cast::<S::f32s>();
                            *right = vector.add(v).read_unaligned();
                        }
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let left = simd.splat_f32s(*a_k.wrapping_add(m * a.row));
                        for (sums, right) in sums.iter_mut().zip(&right) {
                            for (sum, &right) in sums.iter_mut().zip(right) {
                                *sum = simd.mul_add_e_f32s(left, right, *sum);
                            }
                        }
                    }
                    a_k = a_k.wrapping_add(a.step);
                    b_k = b_k.wrapping_add(b.step);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            let y = &mut self.y.data[(row + m) * self.y.row + first..];
            let columns = columns.min(y.len());
            for (sums, y) in sums.iter().zip(y[..columns].chunks_mut(STRIP)) {
                store::<S, V>(simd, y, sums);
            }
        }
    }
}

/// The vectors of a strip, which may be cut short; zero beyond.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, strip: &[f32]) -> [S::f32s; V] {
    if strip.len() == STRIP {
        let (vectors, _) = S::as_simd_f32s(strip);
        core::array::from_fn(|v| vectors[v])
    } else {
        core::array::from_fn(|v| {
            simd.partial_load_f32s(&strip[(v * S::F32_LANES).min(strip.len())..])
        })
    }
}

/// The part of the vectors that the strip has room for.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, strip: &mut [f32], vectors: &[S::f32s; V]) {
    if strip.len() == STRIP {
        let (room, _) = S::as_mut_simd_f32s(strip);
        room.copy_from_slice(vectors);
        return;
    }
    let mut rest = strip;
    for &vector in vectors {
        let (now, later) = rest.split_at_mut(S::F32_LANES.min(rest.len()));
        simd.partial_store_f32s(now, vector);
        rest = later;
    }
}

/// Cuts `total` into the fewest parts of at most `max`, as even as can be: their starts and
/// lengths.
#[inline(always)]
fn even_parts(total: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(max);
    (0..parts).map(move |part| {
        let start = part * total / parts;
        (start, (part + 1) * total / parts - start)
    })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::values;

    proptest! {
        #[test]
        fn equals_the_sum_of_products(
            (rows, columns, steps, pieces) in (1..20usize, 1..100usize, 0..12usize, 1..4usize),
            (start, pad) in (0..3u8, 0..3usize),
            seed in any::<u32>(),
        ) {
            let strips = columns.div_ceil(STRIP);
            let row = steps + pad;
            let a = values(seed, pieces + rows * row + 1);
            let a_starts: Vec<usize> = (0..pieces).collect();
            let b = values(seed ^ 1, (pieces * steps * strips).max(1) * STRIP);
            let b_starts: Vec<usize> = (0..pieces).map(|p| p * steps * STRIP).collect();
            let strip = pieces * steps * STRIP;
            let y_row = columns + pad;
            let before = values(seed ^ 2, rows * y_row);
            let bias = values(seed ^ 3, columns);
            let mut y = before.clone();
            product(
                Left { data: &a, starts: &a_starts, row, step: 1 },
                Right { data: &b, starts: &b_starts, step: STRIP, strip },
                steps,
                [Start::Zero, Start::Row(&bias), Start::Output][usize::from(start)],
                Output { data: &mut y, row: y_row, rows, columns },
            );
            for (i, (&y, &before)) in y.iter().zip(&before).enumerate() {
                let (m, n) = (i / y_row, i % y_row);
                if n >= columns {
                    prop_assert_eq!(y, before, "row {} is written beyond its end", m);
                    continue;
                }
                let mut expected = [0.0, bias[n], before][usize::from(start)] as f64;
                for p in 0..pieces {
                    for k in 0..steps {
                        let a = a[p + m * row + k];
                        let b = b[p * steps * STRIP + n / STRIP * strip + k * STRIP + n % STRIP];
                        expected += f64::from(a) * f64::from(b);
                    }
                }
                prop_assert!((f64::from(y) - expected).abs() < 1e-5, "{} is not {}", y, expected);
            }
        }
    }

    #[test]
    #[should_panic = "the left operand is too short"]
    fn strides_that_overflow_are_refused() {
        let (a, b, mut y) = ([0.0; 5], [0.0; STRIP], [0.0; 3]);
        let a = Left {
            data: &a,
            starts: &[0],
            row: usize::MAX / 2 + 1,
            step: 1,
        };
        let b = Right {
            data: &b,
            starts: &[0],
            step: STRIP,
            strip: STRIP,
        };
        let y = Output {
            data: &mut y,
            row: 1,
            rows: 3,
            columns: 1,
        };
        product(a, b, 1, Start::Zero, y);
    }

    #[test]
    #[should_panic = "the left operand is too short"]
    fn short_operands_are_refused() {
        let (a, b, mut y) = ([0.0; 5], [0.0; 2 * STRIP], [0.0; 3]);
        product(
            Left {
                data: &a,
                starts: &[0],
                row: 2,
                step: 1,
            },
            Right {
                data: &b,
                starts: &[0],
                step: STRIP,
                strip: 2 * STRIP,
            },
            2,
            Start::Zero,
            Output {
                data: &mut y,
                row: 1,
                rows: 3,
                columns: 1,
            },
        );
    }
}

//! Products of bfloat16 numbers with sums in single precision, where the processor has instructions for them
//! (AVX-512 BF16).
//!
//! A bfloat16 number has the sign and the exponent of a single-precision one and the upper 7 bits of its
//! fraction. `vdpbf16ps` multiplies pairs of them and adds both products to a sum in single precision, so that
//! it does twice the multiplications of a fused multiply-add of single precision. Subnormal numbers are zero to
//! these instructions.

use crate::element::{Element, Multiply};
use crate::filled::filled;
use crate::microkernel::Gemm;
use crate::panels::Panels;

/// The numbers that a thread rounds at a time.
const PART: usize = 8192;

/// Two bfloat16 numbers that lie one after the other along the depth of a product, as their bits: those of the
/// first are the lower ones.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[repr(transparent)]
pub struct Pair(u32);

/// The proof that the processor multiplies bfloat16 numbers, which makes the operands of such products.
#[derive(Debug, Clone, Copy)]
pub struct Bfloat16(());

impl Bfloat16 {
    /// Looks for the instructions. There is nothing for processors without AVX-512 BF16.
    pub fn detect() -> Option<Self> {
        #[cfg(target_arch = "x86_64")]
        if is_x86_feature_detected!("avx512bf16") && pulp::x86::V4::try_new().is_some() {
            return Some(Self(()));
        }
        None
    }

    /// Rounds the rows of a matrix to pairs of neighbouring columns. An odd last column is paired with zero.
    ///
    /// # Shapes
    ///
    /// - `x`: `[rows, columns]`
    /// - output: `[rows, columns / 2]`, rounded up
    ///
    /// # Panics
    ///
    /// Panics if there are no columns, or if `x` does not divide into them.
    pub fn pair_columns(self, x: &[f32], columns: usize) -> Vec<Pair> {
        assert!(x.len().is_multiple_of(columns), "the rows do not divide");
        let (rows, row) = (x.len() / columns, columns.div_ceil(2));
        let part = (PART / columns).max(1);
        filled(rows * row, [rows * row, part * row], |_, i, pairs| {
            let x = &x[i * part * columns..][..pairs.len() / row * columns];
            self.round_rows(x, (0..).step_by(columns), columns, pairs);
        })
    }

    /// Rounds the `columns` numbers from each of the places on to pairs, one place after the other. An odd last
    /// number is paired with zero.
    ///
    /// # Shapes
    ///
    /// - `pairs`: `[places, columns / 2]`, rounded up
    ///
    /// # Panics
    ///
    /// Panics if there are no columns, or if `x` ends before the numbers of a place do.
    pub fn round_rows(
        self,
        x: &[f32],
        places: impl Iterator<Item = usize>,
        columns: usize,
        pairs: &mut [Pair],
    ) {
        for (pairs, at) in pairs.chunks_exact_mut(columns.div_ceil(2)).zip(places) {
            self.pair_neighbours(&x[at..][..columns], pairs);
        }
    }

    /// Rounds rows of an image to pairs of neighbouring positions: with `first` 0 those at the columns 0 and 1,
    /// 2 and 3, and so on; with `first` 1 those at -1 and 0, 1 and 2, and so on. There are zeros outside of the
    /// image.
    ///
    /// # Shapes
    ///
    /// - `x`: `[rows, width, features]`
    /// - output: `[rows, (width + first) / 2, padded]`, rounded up, with zeros from `features` on
    ///
    /// # Panics
    ///
    /// Panics if a size is 0, if `x` does not divide into them, or if `padded` is below `features`.
    pub(crate) fn pair_positions(
        self,
        x: &[f32],
        [width, features, padded]: [usize; 3],
        first: usize,
    ) -> Vec<Pair> {
        let line = width * features;
        assert!(x.len().is_multiple_of(line), "the rows do not divide");
        assert!(padded >= features, "the positions are too wide");
        let row = (width + first).div_ceil(2) * padded;
        let len = x.len() / line * row;
        filled(len, [len, row], |_, i, pairs| {
            let x = &x[i * line..][..line];
            let position = |column: usize| match column.checked_sub(first) {
                Some(column) if column < width => &x[column * features..][..features],
                _ => &[],
            };
            for (j, pairs) in pairs.chunks_exact_mut(padded).enumerate() {
                self.pair_rows(position(2 * j), position(2 * j + 1), &mut pairs[..features]);
            }
        })
    }

    /// Rounds and packs the weights whose element `[k, n]` is `element(k, n)`, as [`Panels::new`] does, with
    /// pairs of neighbouring inputs. An odd last input is paired with zero.
    pub fn pack(
        self,
        [taps, inputs, outputs]: [usize; 3],
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Panels<Pair> {
        let pairs = inputs.div_ceil(2);
        Panels::from_elements([taps, pairs, outputs], |k, n| {
            let (tap, input) = (k / pairs, 2 * (k % pairs));
            let number = |input: usize| match input < inputs {
                true => u32::from(round(element(tap * inputs + input, n))),
                false => 0,
            };
            Pair(number(input) | number(input + 1) << 16)
        })
    }

    /// Rounds neighbouring numbers to pairs; an odd last one is paired with zero.
    fn pair_neighbours(self, x: &[f32], pairs: &mut [Pair]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `self` is there where the instructions are.
        unsafe {
            x86::pair_neighbours(x, pairs);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (x, pairs);
    }

    /// Rounds the numbers of two rows to pairs; a row without numbers is zero.
    fn pair_rows(self, low: &[f32], high: &[f32], pairs: &mut [Pair]) {
        #[cfg(target_arch = "x86_64")]
        // SAFETY: `self` is there where the instructions are.
        unsafe {
            x86::pair_rows(low, high, pairs);
        }
        #[cfg(not(target_arch = "x86_64"))]
        let _ = (low, high, pairs);
    }
}

/// Rounds a number to the nearest bfloat16 number, to the even one of two; what is not a number stays so.
fn round(x: f32) -> u16 {
    let bits = x.to_bits();
    let nearest = bits.wrapping_add(0x7fff + (bits >> 16 & 1));
    // Rounding could carry the fraction of what is not a number into that of infinity.
    let bits = if x.is_nan() {
        bits | 0x40_0000
    } else {
        nearest
    };
    (bits >> 16) as u16
}

impl Element for Pair {
    fn is_zero(self) -> bool {
        // Without the signs.
        self.0 & 0x7fff_7fff == 0
    }
}

impl Multiply for Pair {
    unsafe fn multiply(gemm: Gemm<'_, Self>) {
        #[cfg(target_arch = "x86_64")]
        {
            let simd = pulp::x86::V4::try_new().expect("pairs are made where there is AVX-512");
            // SAFETY: pairs are made by `Bfloat16`, which is there where the instructions are; the indices are
            // the caller's.
            unsafe { x86::multiply(simd, gemm) };
        }
        #[cfg(not(target_arch = "x86_64"))]
        unreachable!("no pairs are made for this processor: {}", gemm.y.rows);
    }
}

#[cfg(target_arch = "x86_64")]
mod x86 {
    use core::arch::x86_64::*;

    use pulp::Simd;
    use pulp::x86::V4;

    use super::Pair;
    use crate::microkernel::{AVX512_ROWS, Gemm, Operand};

    /// The numbers of a vector.
    const LANES: usize = 16;

    /// Multiplies with microkernels for these instructions.
    ///
    /// # Safety
    ///
    /// The processor must have them, and no index of the product may leave its operands.
    #[target_feature(enable = "avx512f,avx512bw,avx512cd,avx512dq,avx512vl,avx512bf16,avx2,fma")]
    pub unsafe fn multiply(simd: V4, gemm: Gemm<'_, Pair>) {
        gemm.run::<V4, 1>(simd, &AVX512_ROWS);
    }

    /// Rounds neighbouring numbers to pairs.
    #[target_feature(enable = "avx512f,avx512bf16")]
    pub fn pair_neighbours(x: &[f32], pairs: &mut [Pair]) {
        for (x, pairs) in x.chunks(2 * LANES).zip(pairs.chunks_mut(LANES)) {
            let (low, high) = x.split_at(LANES.min(x.len()));
            // The numbers of the second operand come first.
            store(_mm512_cvtne2ps_pbh(load(high), load(low)), pairs);
        }
    }

    /// Rounds the numbers of two rows to pairs.
    #[target_feature(enable = "avx512f,avx512bw,avx512bf16")]
    pub fn pair_rows(low: &[f32], high: &[f32], pairs: &mut [Pair]) {
        const TURNS: [i16; 2 * LANES] = {
            let mut turns = [0; 2 * LANES];
            let mut i = 0;
            while i < LANES {
                (turns[2 * i], turns[2 * i + 1]) = (i as i16, (LANES + i) as i16);
                i += 1;
            }
            turns
        };
        // SAFETY: an array of the size of the vector.
        let turns: __m512i = unsafe { core::mem::transmute(TURNS) };
        for (i, pairs) in pairs.chunks_mut(LANES).enumerate() {
            let [low, high] = [low, high].map(|row| row.get(i * LANES..).unwrap_or_default());
            let rounded = bits(_mm512_cvtne2ps_pbh(load(high), load(low)));
            store_bits(_mm512_permutexvar_epi16(turns, rounded), pairs);
        }
    }

    /// Loads up to a vector of numbers, with zeros after the last one.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn load(x: &[f32]) -> __m512 {
        // SAFETY: the mask leaves out what is not in the slice.
        unsafe { _mm512_maskz_loadu_ps(first(x.len()), x.as_ptr()) }
    }

    #[inline]
    #[target_feature(enable = "avx512f,avx512bf16")]
    fn store(rounded: __m512bh, pairs: &mut [Pair]) {
        store_bits(bits(rounded), pairs);
    }

    /// Stores up to a vector of pairs.
    #[inline]
    #[target_feature(enable = "avx512f")]
    fn store_bits(rounded: __m512i, pairs: &mut [Pair]) {
        // SAFETY: the mask leaves out what is not in the slice, and a pair is its 32 bits.
        unsafe {
            _mm512_mask_storeu_epi32(pairs.as_mut_ptr().cast(), first(pairs.len()), rounded);
        }
    }

    /// The mask of the first lanes.
    #[inline]
    fn first(lanes: usize) -> __mmask16 {
        u16::MAX
            .checked_shr((LANES - lanes.min(LANES)) as u32)
            .unwrap_or_default()
    }

    #[inline]
    fn bits(rounded: __m512bh) -> __m512i {
        // SAFETY: vectors of one size.
        unsafe { core::mem::transmute(rounded) }
    }

    impl Operand<V4> for Pair {
        type Vector = __m512i;

        #[inline(always)]
        fn splat(_: V4, Self(bits): Self) -> __m512i {
            // SAFETY: `V4` is there where AVX-512 is.
            unsafe { _mm512_set1_epi32(bits.cast_signed()) }
        }

        #[inline(always)]
        unsafe fn load(start: *const Self) -> __m512i {
            // SAFETY: the caller's.
            unsafe { _mm512_loadu_si512(start.cast()) }
        }

        #[inline(always)]
        fn multiply_add(
            _: V4,
            left: __m512i,
            right: __m512i,
            sums: <V4 as Simd>::f32s,
        ) -> <V4 as Simd>::f32s {
            // SAFETY: pairs are made where the instruction is, and vectors of one size are bits of each other.
            unsafe {
                let bits = core::mem::transmute::<__m512i, __m512bh>;
                let sums: __m512 = core::mem::transmute(sums);
                core::mem::transmute(_mm512_dpbf16_ps(sums, bits(left), bits(right)))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::conv::{Tap, convolve};
    use crate::testing::{distance, values};
    use crate::weight_gradient::{weight_gradient, weight_gradient_bfloat16};

    /// The number that the bits of a bfloat16 number stand for.
    fn number(bits: u16) -> f32 {
        f32::from_bits(u32::from(bits) << 16)
    }

    proptest! {
        #[test]
        fn numbers_are_rounded_to_the_nearest(bits in any::<u32>()) {
            let x = f32::from_bits(bits);
            let rounded = number(round(x));
            if x.is_nan() {
                prop_assert!(rounded.is_nan());
            } else if x.abs() < number(0x7f7f) {
                let bits = (bits >> 16) as u16;
                let (near, far) = (number(bits), number(bits + 1));
                let [near, far, error] =
                    [near, far, rounded].map(|y| (f64::from(x) - f64::from(y)).abs());
                prop_assert_eq!(error, near.min(far));
                prop_assert!(near != far || round(x).is_multiple_of(2), "{} is not to an even one", x);
            }
        }

        /// Of numbers that bfloat16 has, both products are exact, and the sums are in single precision.
        #[test]
        fn exact_operands_give_the_results_of_single_precision(
            dims in (1..3usize, 1..10usize, 1..10usize),
            (inputs, outputs) in (1..40usize, 1..70usize),
            taps in prop::collection::hash_set((-2..=1isize, -2..=2isize), 1..6),
            masked in any::<bool>(),
            seed in any::<u32>(),
        ) {
            // Elsewhere there are no such operands, and nothing to test.
            let Some(bfloat16) = Bfloat16::detect() else { return Ok(()) };
            let coarse = |seed, count| -> Vec<f32> {
                values(seed, count).into_iter().map(|x| number(round(x))).collect()
            };
            let dims = [dims.0, dims.1, dims.2];
            let positions = dims.iter().product::<usize>();
            let taps: Vec<Tap> =
                taps.into_iter().map(|(row, column)| Tap { row, column }).collect();
            let shape = [taps.len(), inputs, outputs];
            let x = coarse(seed, positions * inputs);
            let dy = coarse(seed ^ 1, positions * outputs);
            let mut w = coarse(seed ^ 2, shape.iter().product());
            let mask: Vec<f32> = (0..w.len())
                .map(|i| f32::from(u8::from(!masked || i / taps.len() % inputs < inputs / 2)))
                .collect();
            for (i, w) in w.iter_mut().enumerate() {
                // Negative zeros, too, must be left out.
                *w *= mask[(i % outputs * inputs + i / outputs % inputs) * taps.len() + i / outputs / inputs];
            }
            let bias = values(seed ^ 3, outputs);
            let element = |k: usize, n: usize| w[k * outputs + n];
            let y = convolve(
                &bfloat16.pair_columns(&x, inputs),
                dims,
                &bfloat16.pack(shape, element),
                &taps,
                Some(&bias),
            );
            let expected = convolve(&x, dims, &Panels::new(shape, element), &taps, Some(&bias));
            prop_assert!(distance(&y, &expected) < 1e-4);
            let dw = weight_gradient_bfloat16(bfloat16, &x, &dy, dims, &taps, Some(&mask));
            let expected = weight_gradient(&x, &dy, dims, &taps, Some(&mask));
            prop_assert!(distance(&dw, &expected) < 1e-4);
        }
    }
}

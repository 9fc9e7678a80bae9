//! The microkernel of the batch-reduce GEMM, for operands of any [`Operand`] elements.

use pulp::{Simd, WithSimd};

use crate::batch_reduce::{Depth, Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels};

/// A batch-reduce GEMM whose operands are checked: no index that the microkernels compute leaves
/// them.
pub struct Gemm<'a, T> {
    pub(crate) a: LhsBatch<'a, T>,
    pub(crate) b: RhsPanels<'a, T>,
    pub(crate) depth: Depth<'a>,
    pub(crate) init: Init<'a>,
    pub(crate) y: OutputMatrix<'a>,
}

/// The numbers of operands of a product, in vectors of a processor.
pub(crate) trait Operand<S: Simd>: Copy + Default {
    /// As many elements as `S` has sums in a vector.
    type Vector: Copy;

    /// A vector of one element.
    fn splat(simd: S, element: Self) -> Self::Vector;

    /// Loads a vector.
    ///
    /// # Safety
    ///
    /// The elements must be readable from `start` on; they need no alignment.
    unsafe fn load(start: *const Self) -> Self::Vector;

    /// Adds the products of two vectors to the sums.
    fn multiply_add(simd: S, left: Self::Vector, right: Self::Vector, sums: S::f32s) -> S::f32s;
}

impl<S: Simd> Operand<S> for f32 {
    type Vector = S::f32s;

    #[inline(always)]
    fn splat(simd: S, element: Self) -> S::f32s {
        simd.splat_f32s(element)
    }

    #[inline(always)]
    unsafe fn load(start: *const Self) -> S::f32s {
        // SAFETY: the caller's.
        unsafe { start.cast::<S::f32s>().read_unaligned() }
    }

    #[inline(always)]
    fn multiply_add(simd: S, left: S::f32s, right: S::f32s, sums: S::f32s) -> S::f32s {
        simd.mul_add_e_f32s(left, right, sums)
    }
}

impl WithSimd for Gemm<'_, f32> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        // The rows of a microkernel of 1, 2, ... panels: as many sums as the registers hold beside
        // the operands, and enough of them to hide the latency of a fused multiply-add. More panels
        // and fewer rows were no faster, 5 by 5 half as fast, because the compiler spills sums; but one
        // or two rows, as sampling an image has, are too few sums without more panels.
        match S::F32_LANES {
            16 => self.run::<S, 1>(simd, &AVX512_ROWS),
            8 => self.run::<S, 2>(simd, &[6, 2, 1, 1]),
            // A browser on x86-64 has 16 registers for these vectors: with six rows it spilt sums, and
            // sampling took 2.5 times as long as with two.
            4 if cfg!(target_arch = "wasm32") => self.run::<S, 4>(simd, &[2]),
            4 => self.run::<S, 4>(simd, &[6]),
            _ => self.run::<S, 16>(simd, &[1]),
        }
    }
}

/// The rows of a microkernel of 1, 2, ... panels, for 32 registers of 16 numbers.
pub(crate) const AVX512_ROWS: [usize; 8] = [8, 8, 8, 2, 2, 2, 1, 1];

impl<T> Gemm<'_, T> {
    /// Covers the output with microkernels: `kernel_rows[i]` is the largest number of rows of a
    /// microkernel of `i + 1` panels, and `V` the number of vectors in a row of a panel. They are as wide as
    /// they can be with as many rows as there are.
    #[inline(always)]
    pub(crate) fn run<S: Simd, const V: usize>(mut self, simd: S, kernel_rows: &[usize])
    where
        T: Operand<S>,
    {
        let panels = self.y.columns.div_ceil(PANEL_WIDTH);
        let rows = self.y.rows.min(kernel_rows[0]);
        let widest = kernel_rows.iter().take_while(|&&height| height >= rows);
        for (panel, width) in even_parts(panels, widest.count()) {
            for (row, height) in even_parts(self.y.rows, kernel_rows[width - 1]) {
                macro_rules! dispatch {
                    ($($width:literal: $($height:literal)*;)*) => {
                        match (width, height) {
                            // SAFETY: `batch_reduce_gemm` checked every index of these rows and
                            // panels.
                            $($(($width, $height) => unsafe {
                                self.microkernel::<S, V, $width, $height>(simd, panel, row)
                            },)*)*
                            _ => unreachable!("no microkernel is {width} panels by {height} rows"),
                        }
                    };
                }
                match V {
                    1 => dispatch! {
                        1: 1 2 3 4 5 6 7 8;
                        2: 1 2 3 4 5 6 7 8;
                        3: 1 2 3 4 5 6 7 8;
                        4: 1 2;
                        5: 1 2;
                        6: 1 2;
                        7: 1;
                        8: 1;
                    },
                    2 => dispatch! {
                        1: 1 2 3 4 5 6;
                        2: 1 2;
                        3: 1;
                        4: 1;
                    },
                    _ => dispatch! { 1: 1 2 3 4 5 6; },
                }
            }
        }
    }

    /// The microkernel: computes `H` rows of `W` column panels of the output, from row `row` and
    /// panel `panel` on, with all sums in registers.
    ///
    /// # Safety
    ///
    /// The panels `panel .. panel + W` and rows `row .. row + H` must be those of the output.
    #[inline(always)]
    unsafe fn microkernel<S: Simd, const V: usize, const W: usize, const H: usize>(
        &mut self,
        simd: S,
        panel: usize,
        row: usize,
    ) where
        T: Operand<S>,
    {
        assert!(S::F32_LANES * V == PANEL_WIDTH);
        let (a, b) = (self.a, self.b);
        let mut sums = [[[simd.splat_f32s(0.0); V]; W]; H];
        let first = panel * PANEL_WIDTH;
        let columns = self.y.columns - first;
        match self.init {
            Init::Zero => {}
            Init::Bias(bias) => {
                for (sums, bias) in sums[0].iter_mut().zip(bias[first..].chunks(PANEL_WIDTH)) {
                    *sums = load::<S, V>(simd, bias);
                }
                sums = [sums[0]; H];
            }
            Init::Output => {
                for (m, sums) in sums.iter_mut().enumerate() {
                    let y = &self.y.data[(row + m) * self.y.row_stride + first..];
                    for (sums, y) in sums
                        .iter_mut()
                        .zip(y[..columns.min(y.len())].chunks(PANEL_WIDTH))
                    {
                        *sums = load::<S, V>(simd, y);
                    }
                }
            }
        }
        for (block, (&a_offset, &b_offset)) in a.offsets.iter().zip(b.offsets).enumerate() {
            let depth = self.depth.of(block);
            if depth == 0 {
                // Nothing says that such a block starts inside of its operand.
                continue;
            }
            // SAFETY: `batch_reduce_gemm` asserted that the last elements of this block, those of
            // the last row or panel at the full depth, lie inside of the operands; all strides are
            // positive.
            unsafe {
                let mut a_k = a.data.as_ptr().add(a_offset + row * a.row_stride);
                let mut b_k = b.data.as_ptr().add(b_offset + panel * b.panel_stride);
                for _ in 0..depth {
                    let mut right = [[T::splat(simd, T::default()); V]; W];
                    for (w, right) in right.iter_mut().enumerate() {
                        for (v, right) in right.iter_mut().enumerate() {
                            let panel = b_k.wrapping_add(w * b.panel_stride);
                            *right = T::load(panel.add(v * S::F32_LANES));
                        }
                    }
                    for (m, sums) in sums.iter_mut().enumerate() {
                        let left = T::splat(simd, *a_k.wrapping_add(m * a.row_stride));
                        for (sums, right) in sums.iter_mut().zip(&right) {
                            for (sum, &right) in sums.iter_mut().zip(right) {
                                *sum = T::multiply_add(simd, left, right, *sum);
                            }
                        }
                    }
                    a_k = a_k.wrapping_add(a.depth_stride);
                    b_k = b_k.wrapping_add(b.depth_stride);
                }
            }
        }
        for (m, sums) in sums.iter().enumerate() {
            let y = &mut self.y.data[(row + m) * self.y.row_stride + first..];
            let columns = columns.min(y.len());
            for (sums, y) in sums.iter().zip(y[..columns].chunks_mut(PANEL_WIDTH)) {
                store::<S, V>(simd, y, sums);
            }
        }
    }
}

/// Loads a row of a panel as vectors; where the row is cut short, zeros fill them.
#[inline(always)]
fn load<S: Simd, const V: usize>(simd: S, row: &[f32]) -> [S::f32s; V] {
    if row.len() == PANEL_WIDTH {
        let (vectors, _) = S::as_simd_f32s(row);
        core::array::from_fn(|v| vectors[v])
    } else {
        core::array::from_fn(|v| simd.partial_load_f32s(&row[(v * S::F32_LANES).min(row.len())..]))
    }
}

/// Stores vectors into a row of a panel, as far as it goes.
#[inline(always)]
fn store<S: Simd, const V: usize>(simd: S, row: &mut [f32], vectors: &[S::f32s; V]) {
    if row.len() == PANEL_WIDTH {
        let (room, _) = S::as_mut_simd_f32s(row);
        room.copy_from_slice(vectors);
        return;
    }
    let mut rest = row;
    for &vector in vectors {
        let (now, later) = rest.split_at_mut(S::F32_LANES.min(rest.len()));
        simd.partial_store_f32s(now, vector);
        rest = later;
    }
}

/// Cuts `total` into the fewest parts of at most `max`, as even as possible, and returns the start
/// and length of each.
#[inline(always)]
fn even_parts(total: usize, max: usize) -> impl Iterator<Item = (usize, usize)> {
    let parts = total.div_ceil(max);
    (0..parts).map(move |part| {
        let start = part * total / parts;
        (start, (part + 1) * total / parts - start)
    })
}

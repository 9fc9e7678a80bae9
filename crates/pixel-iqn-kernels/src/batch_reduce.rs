//! The batch-reduce GEMM: the sum of a batch of matrix products in one output matrix (Georganas et
//! al., "High-Performance Deep Learning via a Single Building Block", 2019,
//! <https://arxiv.org/abs/1906.06440>).
//!
//! ```text
//! y[m, n] = init[m, n] + Σ over the batch p and the depth k of a_p[m, k] b_p[k, n]
//! ```
//!
//! The blocks of each operand are given by their offsets in one slice. A causal convolution then is
//! one batch-reduce GEMM without a copy of gathered inputs: the batch runs over the taps, `a_p` is
//! the image at the offset of a tap, and `b_p` holds the weights of that tap. The gradient of the
//! weights has the same form, with a batch that runs over the rows of the image.
//!
//! Every sum has one order, whatever the number of rows, so that the result for a row does not
//! depend on the rows that are computed with it.

use crate::element::Element;
use crate::microkernel::Gemm;

/// The width of a column panel: the right operand is packed, and the output computed, in panels of
/// this many columns.
pub(crate) const PANEL_WIDTH: usize = 16;

/// The left operands of a batch-reduce GEMM, which share one layout: element `[m, k]` of block `p`
/// is at `offsets[p] + m * row_stride + k * depth_stride`.
#[derive(Debug, Clone, Copy)]
pub(crate) struct LhsBatch<'a, T = f32> {
    /// The slice that holds all blocks.
    pub data: &'a [T],
    /// Where each block of the batch starts in `data`.
    pub offsets: &'a [usize],
    /// The distance from one row to the next.
    pub row_stride: usize,
    /// The distance from one step of the depth to the next.
    pub depth_stride: usize,
}

/// The right operands of a batch-reduce GEMM in column panels: element `[k, n]` of block `p` is at
/// `offsets[p] + n / PANEL_WIDTH * panel_stride + k * depth_stride + n % PANEL_WIDTH`. The last
/// panel is padded to its whole width.
#[derive(Debug, Clone, Copy)]
pub(crate) struct RhsPanels<'a, T = f32> {
    /// The slice that holds all blocks.
    pub data: &'a [T],
    /// Where each block of the batch starts in `data`.
    pub offsets: &'a [usize],
    /// The distance from one step of the depth to the next.
    pub depth_stride: usize,
    /// The distance from one column panel to the next.
    pub panel_stride: usize,
}

/// What the sums of a product are initialised with.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub enum Init<'a> {
    /// The values that the output has already: the product is added to them.
    Output,
    /// A bias, one value for each column, the same for all rows.
    Bias(&'a [f32]),
    /// Zero.
    Zero,
}

/// The output matrix of a product: element `[m, n]` is at `m * row_stride + n`.
#[derive(Debug)]
pub struct OutputMatrix<'a> {
    /// The slice, from the first element on.
    pub data: &'a mut [f32],
    /// The distance from one row to the next.
    pub row_stride: usize,
    /// The number of rows to compute.
    pub rows: usize,
    /// The number of columns to compute.
    pub columns: usize,
}

/// The depth of the blocks: the number of columns of the left ones and of rows of the right ones.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Depth<'a> {
    /// All blocks have the same.
    All(usize),
    /// Each block has its own.
    Each(&'a [usize]),
}

impl From<usize> for Depth<'_> {
    fn from(depth: usize) -> Self {
        Self::All(depth)
    }
}

impl Depth<'_> {
    #[inline(always)]
    pub fn of(self, block: usize) -> usize {
        match self {
            Self::All(depth) => depth,
            Self::Each(depths) => depths[block],
        }
    }
}

/// Computes a batch-reduce GEMM whose blocks are `depth` elements deep.
///
/// # Panics
///
/// Panics if the operands and depths have different numbers of blocks, or if an operand, the bias
/// or the output is too short.
pub(crate) fn batch_reduce_gemm<'a, T: Element>(
    a: LhsBatch<'a, T>,
    b: RhsPanels<'a, T>,
    depth: impl Into<Depth<'a>>,
    init: Init<'a>,
    y: OutputMatrix<'a>,
) {
    let depth = depth.into();
    let (rows, columns) = (y.rows, y.columns);
    if rows == 0 || columns == 0 {
        return;
    }
    let panels = columns.div_ceil(PANEL_WIDTH);
    assert_eq!(
        a.offsets.len(),
        b.offsets.len(),
        "the operands have different numbers of blocks"
    );
    if let Depth::Each(depths) = depth {
        assert_eq!(depths.len(), a.offsets.len(), "each block has a depth");
    }
    for (block, (&a_offset, &b_offset)) in a.offsets.iter().zip(b.offsets).enumerate() {
        let depth = depth.of(block);
        if depth > 0 {
            let last = last_index(a_offset, [(rows, a.row_stride), (depth, a.depth_stride)]);
            assert!(last < a.data.len(), "the left operand is too short");
            let last = last_index(
                b_offset,
                [(panels, b.panel_stride), (depth, b.depth_stride)],
            );
            let last = last.saturating_add(PANEL_WIDTH - 1);
            assert!(last < b.data.len(), "the right operand is too short");
        }
    }
    let last = last_index(0, [(rows, y.row_stride), (columns, 1)]);
    assert!(last < y.data.len(), "the output is too short");
    if let Init::Bias(bias) = init {
        assert!(bias.len() >= columns, "the bias is too short");
    }
    let gemm = Gemm {
        a,
        b,
        depth,
        init,
        y,
    };
    // SAFETY: the indices that the microkernels compute were checked above.
    unsafe { T::multiply(gemm) };
}

/// The largest index of a matrix that starts at `offset`, whose axes are given as length, at least
/// 1, and stride. It saturates at `usize::MAX` where it overflows.
fn last_index(offset: usize, axes: [(usize, usize); 2]) -> usize {
    axes.iter().fold(offset, |index, &(length, stride)| {
        index.saturating_add((length - 1).saturating_mul(stride))
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
            (rows, columns, depth, blocks) in (1..20usize, 1..100usize, 0..12usize, 1..4usize),
            (init, pad, each) in (0..3u8, 0..3usize, any::<bool>()),
            seed in any::<u32>(),
        ) {
            let panels = columns.div_ceil(PANEL_WIDTH);
            let row_stride = depth + pad;
            // Each block is as deep as there is room, or less by its number.
            let depths: Vec<usize> =
                (0..blocks).map(|p| depth.saturating_sub(if each { p } else { 0 })).collect();
            let depth_of = if each { Depth::Each(&depths) } else { Depth::All(depth) };
            let a = values(seed, blocks + rows * row_stride + 1);
            let a_offsets: Vec<usize> = (0..blocks).collect();
            let b = values(seed ^ 1, (blocks * depth * panels).max(1) * PANEL_WIDTH);
            let b_offsets: Vec<usize> = (0..blocks).map(|p| p * depth * PANEL_WIDTH).collect();
            let panel_stride = blocks * depth * PANEL_WIDTH;
            let y_row = columns + pad;
            let before = values(seed ^ 2, rows * y_row);
            let bias = values(seed ^ 3, columns);
            let mut y = before.clone();
            batch_reduce_gemm(
                LhsBatch { data: &a, offsets: &a_offsets, row_stride, depth_stride: 1 },
                RhsPanels {
                    data: &b,
                    offsets: &b_offsets,
                    depth_stride: PANEL_WIDTH,
                    panel_stride,
                },
                depth_of,
                [Init::Zero, Init::Bias(&bias), Init::Output][usize::from(init)],
                OutputMatrix { data: &mut y, row_stride: y_row, rows, columns },
            );
            for (i, (&y, &before)) in y.iter().zip(&before).enumerate() {
                let (m, n) = (i / y_row, i % y_row);
                if n >= columns {
                    prop_assert_eq!(y, before, "row {} is written beyond its end", m);
                    continue;
                }
                let mut expected = [0.0, bias[n], before][usize::from(init)] as f64;
                for p in 0..blocks {
                    for k in 0..depths[p] {
                        let a = a[p + m * row_stride + k];
                        let panel = p * depth * PANEL_WIDTH + n / PANEL_WIDTH * panel_stride;
                        let b = b[panel + k * PANEL_WIDTH + n % PANEL_WIDTH];
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
        let (a, b, mut y) = ([0.0; 5], [0.0; PANEL_WIDTH], [0.0; 3]);
        let a = LhsBatch {
            data: &a,
            offsets: &[0],
            row_stride: usize::MAX / 2 + 1,
            depth_stride: 1,
        };
        let b = RhsPanels {
            data: &b,
            offsets: &[0],
            depth_stride: PANEL_WIDTH,
            panel_stride: PANEL_WIDTH,
        };
        let y = OutputMatrix {
            data: &mut y,
            row_stride: 1,
            rows: 3,
            columns: 1,
        };
        batch_reduce_gemm(a, b, 1, Init::Zero, y);
    }

    #[test]
    #[should_panic = "the left operand is too short"]
    fn short_operands_are_refused() {
        let (a, b, mut y) = ([0.0; 5], [0.0; 2 * PANEL_WIDTH], [0.0; 3]);
        batch_reduce_gemm(
            LhsBatch {
                data: &a,
                offsets: &[0],
                row_stride: 2,
                depth_stride: 1,
            },
            RhsPanels {
                data: &b,
                offsets: &[0],
                depth_stride: PANEL_WIDTH,
                panel_stride: 2 * PANEL_WIDTH,
            },
            2,
            Init::Zero,
            OutputMatrix {
                data: &mut y,
                row_stride: 1,
                rows: 3,
                columns: 1,
            },
        );
    }
}

//! Convolutions over images in channels-last layout, with zeros outside of the image.

use rayon::prelude::*;

use crate::batch_reduce::{Depth, Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};
use crate::element::Element;
use crate::filled::filled;
use crate::nonzero::Nonzero;
use crate::panels::Panels;

/// A tap of a convolution: the offset from a position to one that it reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Tap {
    /// The number of rows down; negative is up.
    pub row: isize,
    /// The number of columns to the right; negative is left.
    pub column: isize,
}

impl Tap {
    /// The opposite offset, which leads from a position to the one that reads it through this tap.
    pub fn mirrored(self) -> Self {
        Self {
            row: -self.row,
            column: -self.column,
        }
    }
}

/// The number of rows of an image that one thread computes at a time.
const BLOCK: usize = 8;

/// Cuts `[0, length)` into spans, on each of which every offset leads either always or never out of
/// the range.
fn spans(length: usize, offsets: impl Iterator<Item = isize>) -> Vec<(usize, usize)> {
    let clamp = |i: isize| i.clamp(0, length as isize) as usize;
    let mut cuts: Vec<usize> = offsets
        .flat_map(|offset| [clamp(-offset), clamp(length as isize - offset)])
        .chain([0, length])
        .collect();
    cuts.sort_unstable();
    cuts.dedup();
    cuts.windows(2).map(|pair| (pair[0], pair[1])).collect()
}

/// Convolves a batch of images: an output is the sum over the taps of the inputs at the tap times
/// the weights of the tap.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`, or the [`Pair`](crate::Pair)s of inputs, as the weights have them
/// - `dims`: batch, height and width
/// - `weight`: `[taps, inputs, outputs]`
/// - `bias`: `[outputs]`, or `[batch, outputs]` with one for each image
/// - output: `[batch, height, width, outputs]`
///
/// # Panics
///
/// Panics if a slice or the number of taps does not fit, or if the weight has no inputs.
pub fn convolve<T: Element>(
    x: &[T],
    dims: [usize; 3],
    weight: &Panels<T>,
    taps: &[Tap],
    bias: Option<&[f32]>,
) -> Vec<f32> {
    let (outputs, images) = (weight.outputs(), Images::new(x, dims, weight.inputs()));
    images.expect_bias(bias, outputs);
    let convolution = Direct::new(images, weight, taps);
    let [len, image, block] = images.lengths(BLOCK, outputs);
    filled(len, [image, block], |image, block, y| {
        let init = bias.map_or(Init::Zero, |bias| {
            Init::Bias(of_image(bias, outputs, image))
        });
        convolution.compute(image, block, init, y);
    })
}

/// Adds a convolution, as [`convolve`] computes it, to the outputs `y`,
/// `[batch, height, width, outputs]`.
///
/// # Panics
///
/// Panics if a slice or the number of taps does not fit, or if the weight has no inputs.
pub fn convolve_onto<T: Element>(
    x: &[T],
    dims: [usize; 3],
    weight: &Panels<T>,
    taps: &[Tap],
    y: &mut [f32],
) {
    let (outputs, images) = (weight.outputs(), Images::new(x, dims, weight.inputs()));
    let convolution = Direct::new(images, weight, taps);
    images.add(BLOCK, outputs, y, |image, block, y| {
        convolution.compute(image, block, Init::Output, y);
    });
}

/// A batch of images, whose convolution is computed some rows at a time.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Images<'a, T = f32> {
    x: &'a [T],
    dims: [usize; 3],
    inputs: usize,
}

impl<'a, T: Sync> Images<'a, T> {
    /// Checks that `x` is `[batch, height, width, inputs]`.
    pub fn new(x: &'a [T], dims: [usize; 3], inputs: usize) -> Self {
        let positions: usize = dims.iter().product();
        assert_eq!(x.len(), positions * inputs, "x does not fit");
        Self { x, dims, inputs }
    }

    /// Checks that a bias has one value for each output, or for each image and output.
    pub fn expect_bias(&self, bias: Option<&[f32]>, outputs: usize) {
        let fits = |bias: &[f32]| bias.len() == outputs || bias.len() == self.dims[0] * outputs;
        assert!(bias.is_none_or(fits), "the bias does not fit");
    }

    /// The inputs of an image.
    pub fn image(&self, image: usize) -> &'a [T] {
        let length = self.dims[1] * self.dims[2] * self.inputs;
        &self.x[image * length..][..length]
    }

    /// The numbers of all outputs, of those of an image, and of `rows` rows of it.
    pub fn lengths(&self, rows: usize, outputs: usize) -> [usize; 3] {
        let [batch, height, width] = self.dims;
        let row = width * outputs;
        [batch * height * row, height * row, rows * row]
    }

    /// Calls `add(image, block, y)` for each block of `rows` rows of the outputs, on all threads.
    pub fn add(
        &self,
        rows: usize,
        outputs: usize,
        y: &mut [f32],
        add: impl Fn(usize, usize, &mut [f32]) + Sync,
    ) {
        let [len, image, block] = self.lengths(rows, outputs);
        assert_eq!(y.len(), len, "y does not fit");
        if y.is_empty() {
            return;
        }
        y.par_chunks_mut(image).enumerate().for_each(|(i, y)| {
            let blocks = y.par_chunks_mut(block).enumerate();
            blocks.for_each(|(block, y)| add(i, block, y));
        });
    }
}

/// A convolution by its definition.
struct Direct<'a, T> {
    images: Images<'a, T>,
    weight: &'a Panels<T>,
    taps: &'a [Tap],
    /// The spans of rows, and those of columns, in which all positions have the same taps in the image.
    rows: Vec<(usize, usize)>,
    columns: Vec<(usize, usize)>,
    nonzero: Vec<Nonzero>,
}

impl<'a, T: Element> Direct<'a, T> {
    fn new(images: Images<'a, T>, weight: &'a Panels<T>, taps: &'a [Tap]) -> Self {
        assert_eq!(taps.len(), weight.taps(), "the taps do not fit");
        let [_, height, width] = images.dims;
        Self {
            images,
            weight,
            taps,
            rows: spans(height, taps.iter().map(|tap| tap.row)),
            columns: spans(width, taps.iter().map(|tap| tap.column)),
            nonzero: weight.nonzero(),
        }
    }

    /// Computes a block of [`BLOCK`] rows of an image.
    fn compute(&self, image: usize, block: usize, init: Init<'_>, y: &mut [f32]) {
        let [_, height, width] = self.images.dims;
        let x = self.images.image(image);
        let block = block * BLOCK..((block + 1) * BLOCK).min(height);
        for &(top, bottom) in &self.rows {
            let (top, bottom) = (top.max(block.start), bottom.min(block.end));
            if top >= bottom {
                continue;
            }
            for &(left, right) in &self.columns {
                let area = Area {
                    rows: (top, bottom),
                    columns: (left, right),
                    size: [height, width],
                };
                let y = &mut y[(top - block.start) * width * self.weight.outputs()..];
                area.convolve(x, self, init, y);
            }
        }
    }
}

/// The bias of an image, of one for all images or of one for each.
pub(crate) fn of_image(bias: &[f32], outputs: usize, image: usize) -> &[f32] {
    match bias.len() == outputs {
        true => bias,
        false => &bias[image * outputs..][..outputs],
    }
}

/// A rectangle of an image, at all positions of which the same taps lead out of the image.
struct Area {
    rows: (usize, usize),
    columns: (usize, usize),
    size: [usize; 2],
}

impl Area {
    /// Convolves the rectangle of one image. `y` starts at the first of its rows.
    fn convolve<T: Element>(
        &self,
        x: &[T],
        convolution: &Direct<'_, T>,
        init: Init<'_>,
        y: &mut [f32],
    ) {
        let ((top, bottom), (left, right)) = (self.rows, self.columns);
        let [height, width] = self.size;
        let weight = convolution.weight;
        let (inputs, outputs) = (weight.inputs(), weight.outputs());
        // Where each tap reads, unless it leads out of the image.
        let reads: Vec<Option<usize>> = (convolution.taps.iter())
            .map(|tap| {
                let row = top.checked_add_signed(tap.row).filter(|&r| r < height)?;
                let column = left.checked_add_signed(tap.column).filter(|&c| c < width)?;
                Some((row * width + column) * inputs)
            })
            .collect();
        // A product runs along the rows, or down the columns where the area is narrow.
        let (lines, line, length, step) = if right - left == width {
            (1, 0, (bottom - top) * width, 1)
        } else if right - left >= bottom - top {
            (bottom - top, width, right - left, 1)
        } else {
            (right - left, 1, bottom - top, width)
        };
        let (mut offsets, mut panels, mut depths) = (Vec::new(), Vec::new(), Vec::new());
        for nonzero in &convolution.nonzero {
            offsets.clear();
            panels.clear();
            depths.clear();
            for (tap, range) in &nonzero.inputs {
                let Some(read) = reads[*tap] else { continue };
                offsets.push(read + range.start);
                panels.push(
                    weight.offset(*tap)
                        + nonzero.panels.start * weight.panel_stride()
                        + range.start * PANEL_WIDTH,
                );
                depths.push(range.len());
            }
            let first = nonzero.panels.start * PANEL_WIDTH;
            let columns = first..(nonzero.panels.end * PANEL_WIDTH).min(outputs);
            let init = match init {
                Init::Bias(bias) => Init::Bias(&bias[columns.clone()]),
                other => other,
            };
            for i in 0..lines {
                let shift = i * line;
                batch_reduce_gemm(
                    LhsBatch {
                        data: &x[shift * inputs..],
                        offsets: &offsets,
                        row_stride: step * inputs,
                        depth_stride: 1,
                    },
                    weight.rhs(&panels),
                    Depth::Each(&depths),
                    init,
                    OutputMatrix {
                        data: &mut y[(left + shift) * outputs + first..],
                        row_stride: step * outputs,
                        rows: length,
                        columns: columns.len(),
                    },
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{distance, values};
    use crate::weight_gradient::weight_gradient;

    fn taps() -> impl Strategy<Value = Vec<Tap>> {
        prop::collection::hash_set((-3..=3isize, -3..=3isize), 1..8).prop_map(|taps| {
            taps.into_iter()
                .map(|(row, column)| Tap { row, column })
                .collect()
        })
    }

    /// Lists all reads inside of the images as the index of the reading position, the index of the
    /// tap, and the index of the position that is read.
    fn reads([batch, height, width]: [usize; 3], taps: &[Tap]) -> Vec<(usize, usize, usize)> {
        let mut reads = Vec::new();
        for position in 0..batch * height * width {
            let (row, column) = (position / width % height, position % width);
            for (t, tap) in taps.iter().enumerate() {
                let r = row as isize + tap.row;
                let c = column as isize + tap.column;
                if (0..height as isize).contains(&r) && (0..width as isize).contains(&c) {
                    let image = position / width / height;
                    reads.push((
                        position,
                        t,
                        (image * height + r as usize) * width + c as usize,
                    ));
                }
            }
        }
        reads
    }

    proptest! {
        #[test]
        fn convolutions_and_their_gradients_equal_the_sums(
            dims in (1..3usize, 1..12usize, 1..12usize),
            (inputs, outputs) in (1..40usize, 1..70usize),
            taps in taps(),
            by_image in any::<bool>(),
            // The last tap of the outputs before the second number reads the inputs before the first.
            corner in (0..=20usize, 0..=40usize),
            seed in any::<u32>(),
        ) {
            let dims = [dims.0, dims.1, dims.2];
            let positions = dims.iter().product::<usize>();
            let x = values(seed, positions * inputs);
            let used = |tap: usize, i: usize, o: usize| {
                tap + 1 < taps.len() || o >= corner.1 || i < corner.0
            };
            let mut w = values(seed ^ 1, taps.len() * inputs * outputs);
            for (k, w) in w.iter_mut().enumerate() {
                let (tap, i, o) = (k / outputs / inputs, k / outputs % inputs, k % outputs);
                if !used(tap, i, o) {
                    *w = 0.0;
                }
            }
            let mask: Vec<f32> = (0..w.len())
                .map(|k| (k % taps.len(), k / taps.len() % inputs, k / taps.len() / inputs))
                .map(|(tap, i, o)| f32::from(u8::from(used(tap, i, o))))
                .collect();
            let bias = values(seed ^ 2, outputs * if by_image { dims[0] } else { 1 });
            let dy = values(seed ^ 3, positions * outputs);

            let per_image = positions / dims[0];
            let mut expected: Vec<f32> = (0..positions * outputs)
                .map(|i| {
                    let image = if by_image { i / outputs / per_image } else { 0 };
                    bias[image * outputs + i % outputs]
                })
                .collect();
            let mut dx = vec![0.0; x.len()];
            let mut dw = vec![0.0; w.len()];
            for (position, tap, read) in reads(dims, &taps) {
                for i in 0..inputs {
                    for o in 0..outputs {
                        let weight = (tap * inputs + i) * outputs + o;
                        expected[position * outputs + o] += x[read * inputs + i] * w[weight];
                        dx[read * inputs + i] += dy[position * outputs + o] * w[weight];
                        dw[(o * inputs + i) * taps.len() + tap] +=
                            dy[position * outputs + o] * x[read * inputs + i];
                    }
                }
            }

            let packed = Panels::new([taps.len(), inputs, outputs], |k, n| w[k * outputs + n]);
            let mut y = convolve(&x, dims, &packed, &taps, Some(&bias));
            prop_assert!(distance(&y, &expected) < 1e-4);
            convolve_onto(&x, dims, &packed, &taps, &mut y);
            let twice: Vec<f32> = expected
                .iter()
                .enumerate()
                .map(|(i, e)| {
                    let image = if by_image { i / outputs / per_image } else { 0 };
                    2.0 * e - bias[image * outputs + i % outputs]
                })
                .collect();
            prop_assert!(distance(&y, &twice) < 2e-4);

            let mirrored: Vec<Tap> = taps.iter().map(|tap| tap.mirrored()).collect();
            let transposed = Panels::new([taps.len(), outputs, inputs], |k, n| {
                w[(k / outputs * inputs + n) * outputs + k % outputs]
            });
            let result = convolve(&dy, dims, &transposed, &mirrored, None);
            prop_assert!(distance(&result, &dx) < 2e-4);
            prop_assert!(distance(&weight_gradient(&x, &dy, dims, &taps, None), &dw) < 2e-4);
            for (dw, mask) in dw.iter_mut().zip(&mask) {
                *dw *= mask;
            }
            let masked = weight_gradient(&x, &dy, dims, &taps, Some(&mask));
            prop_assert!(distance(&masked, &dw) < 2e-4);
            prop_assert!(masked.iter().zip(&mask).all(|(&dw, &mask)| mask != 0.0 || dw == 0.0));
        }
    }
}

//! Ordinary convolutions of one image in channels-last layout, without a mask and with any stride,
//! followed by a bias and a ReLU: for the networks that scores of images are computed with.

use crate::batch_reduce::{Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};
use crate::panels::Panels;

/// The number of outputs that are computed for the whole image before the next ones, so that their
/// weights stay in the cache.
const OUTPUTS: usize = 3 * PANEL_WIDTH;

/// A convolution with a bias, followed by a ReLU: `max(0, bias + Σ weight * x)`.
#[derive(Debug, Clone)]
pub struct Conv2d {
    /// The weight with one block for each row of the kernel, since the inputs that a row of the
    /// kernel reads lie side by side in the image.
    weight: Panels,
    bias: Vec<f32>,
    kernel: [usize; 2],
    inputs: usize,
}

/// Where the kernel of a convolution or of a pooling is applied.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Window {
    /// The distance from one application to the next, down and to the right, in positions.
    pub stride: usize,
    /// The number of padding rows above and below the image, and of padding columns to its left and
    /// right.
    pub padding: [usize; 2],
}

impl Window {
    /// Computes the height and width of the output, from those of the image and of the kernel.
    ///
    /// # Panics
    ///
    /// Panics if the kernel is larger than the padded image, or if the stride is 0.
    pub fn output(&self, size: [usize; 2], kernel: [usize; 2]) -> [usize; 2] {
        [0, 1].map(|axis| {
            let padded = size[axis] + 2 * self.padding[axis];
            assert!(
                kernel[axis] <= padded && self.stride > 0,
                "a kernel of {kernel:?} does not fit {size:?} with {self:?}"
            );
            (padded - kernel[axis]) / self.stride + 1
        })
    }
}

impl Conv2d {
    /// Packs the weight and bias of a convolution.
    ///
    /// # Shapes
    ///
    /// - `weight`: `[outputs, inputs, height, width]`, the layout of PyTorch
    /// - `bias`: `[outputs]`
    ///
    /// # Panics
    ///
    /// Panics if a size is 0 or does not fit.
    pub fn new(weight: &[f32], bias: Vec<f32>, [outputs, inputs, kh, kw]: [usize; 4]) -> Self {
        assert!(
            outputs * inputs * kh * kw > 0,
            "a convolution has no size of 0"
        );
        assert_eq!(weight.len(), outputs * inputs * kh * kw, "weight");
        assert_eq!(bias.len(), outputs, "bias");
        let weight = Panels::new([kh, kw * inputs, outputs], |k, output| {
            let (row, column, input) = (k / (kw * inputs), k / inputs % kw, k % inputs);
            weight[((output * inputs + input) * kh + row) * kw + column]
        });
        Self {
            weight,
            bias,
            kernel: [kh, kw],
            inputs,
        }
    }

    /// Convolves one image. The outputs of neighbouring positions are written `y_step` numbers
    /// apart, so that several convolutions can write their features side by side.
    ///
    /// # Shapes
    ///
    /// - `x`: `[height, width, inputs]`
    /// - `y`: from the first output of the first position to the last output of the last
    ///
    /// # Panics
    ///
    /// Panics if a slice does not fit, if the kernel is larger than the padded image, or if the
    /// stride is 0.
    pub fn forward(
        &self,
        x: &[f32],
        size: [usize; 2],
        window: Window,
        y: &mut [f32],
        y_step: usize,
    ) {
        let inputs = self.inputs;
        let [kh, kw] = self.kernel;
        let outputs = self.bias.len();
        assert_eq!(x.len(), size[0] * size[1] * inputs, "x does not fit");
        let [height, width] = window.output(size, self.kernel);
        let stride = window.stride;
        let padded = pad(x, size, inputs, window.padding);
        let x = padded.as_deref().unwrap_or(x);
        let row = (size[1] + 2 * window.padding[1]) * inputs;
        let reads: Vec<usize> = (0..kh).map(|k| k * row).collect();
        // Rows that follow each other at the distance of positions are one long row.
        let (lines, length) = if kw == 1 && stride == 1 {
            (1, height * width)
        } else {
            (height, width)
        };
        for first in (0..outputs).step_by(OUTPUTS) {
            let count = OUTPUTS.min(outputs - first);
            let panel = first / PANEL_WIDTH * self.weight.panel_stride();
            let offsets: Vec<usize> = (0..kh).map(|k| panel + self.weight.offset(k)).collect();
            for line in 0..lines {
                let y = &mut y[line * width * y_step + first..];
                let lhs = LhsBatch {
                    data: &x[line * stride * row..],
                    offsets: &reads,
                    row_stride: stride * inputs,
                    depth_stride: 1,
                };
                batch_reduce_gemm(
                    lhs,
                    self.weight.rhs(&offsets),
                    kw * inputs,
                    Init::Bias(&self.bias[first..]),
                    OutputMatrix {
                        data: y,
                        row_stride: y_step,
                        rows: length,
                        columns: count,
                    },
                );
                for y in y.chunks_mut(y_step).take(length) {
                    for y in &mut y[..count] {
                        // A maximum would turn what is no number into 0.
                        if *y < 0.0 {
                            *y = 0.0;
                        }
                    }
                }
            }
        }
    }
}

/// Pads an image with zeros; returns nothing where there is no padding.
fn pad(x: &[f32], size: [usize; 2], inputs: usize, padding: [usize; 2]) -> Option<Vec<f32>> {
    if padding == [0, 0] {
        return None;
    }
    let [height, width] = [0, 1].map(|axis| size[axis] + 2 * padding[axis]);
    let mut padded = vec![0.0; height * width * inputs];
    let rows = x.chunks_exact(size[1] * inputs);
    for (padded, row) in padded[padding[0] * width * inputs..]
        .chunks_exact_mut(width * inputs)
        .zip(rows)
    {
        padded[padding[1] * inputs..][..row.len()].copy_from_slice(row);
    }
    Some(padded)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{distance, values};

    proptest! {
        #[test]
        fn equals_the_sums(
            (kh, kw) in (1..5usize, 1..5usize),
            (extra_height, extra_width) in (0..9usize, 0..9usize),
            (inputs, outputs) in (1..9usize, 1..100usize),
            stride in 1..4usize,
            padding in (0..3usize, 0..3usize),
            others in 0..3usize,
            seed in any::<u32>(),
        ) {
            let window = Window { stride, padding: [padding.0, padding.1] };
            let size = [kh + extra_height, kw + extra_width];
            let x = values(seed, size[0] * size[1] * inputs);
            let weight = values(seed ^ 1, outputs * inputs * kh * kw);
            let bias = values(seed ^ 2, outputs);
            let [height, width] = window.output(size, [kh, kw]);
            let step = outputs + others;
            let mut expected = vec![7.0; height * width * step];
            for (position, y) in expected.chunks_exact_mut(step).enumerate() {
                for (o, y) in y[..outputs].iter_mut().enumerate() {
                    let mut sum = bias[o];
                    for (i, a, b) in (0..inputs)
                        .flat_map(|i| (0..kh).flat_map(move |a| (0..kw).map(move |b| (i, a, b))))
                    {
                        let row = (position / width * stride + a).wrapping_sub(padding.0);
                        let column = (position % width * stride + b).wrapping_sub(padding.1);
                        if row < size[0] && column < size[1] {
                            sum += x[(row * size[1] + column) * inputs + i]
                                * weight[((o * inputs + i) * kh + a) * kw + b];
                        }
                    }
                    *y = sum.max(0.0);
                }
            }
            let mut y = vec![7.0; expected.len()];
            Conv2d::new(&weight, bias, [outputs, inputs, kh, kw])
                .forward(&x, size, window, &mut y, step);
            prop_assert!(distance(&y, &expected) < 1e-4);
        }
    }

    #[test]
    #[should_panic = "does not fit [2, 9]"]
    fn a_kernel_larger_than_the_image_is_refused() {
        let window = Window {
            stride: 1,
            padding: [0, 0],
        };
        window.output([2, 9], [3, 3]);
    }
}

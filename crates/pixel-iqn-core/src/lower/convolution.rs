//! The lowering of a causal convolution to the backend's own, with the kernel cropped to the
//! receptive field.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::{ReceptiveField, padding, to_channels_first, to_channels_last};

/// Computes `height` rows of a causal convolution, with zeros outside of the image.
///
/// # Shapes
///
/// - `x`: `[batch, rows, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]`, with the rows and columns of `field`
/// - output: `[batch, height, width, features_out]`
pub(super) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    field: ReceptiveField,
    padding_rows: (usize, usize),
    height: usize,
) -> Tensor<4> {
    let [batch, _, width, _] = x.dims();
    let [outputs, ..] = weight.dims();
    let padding = [padding_rows, padding(field.column_offsets())];
    let options = ConvOptions::new_with_padding([1, 1], padding, field.dilation, 1);
    // This is a permuted view, which backends that convolve channels-last take without a copy.
    let y = conv2d(to_channels_first(x), weight, None, options);
    // A receptive field that ends before the position gives more outputs than there are positions.
    to_channels_last(y).slice([0..batch, 0..height, 0..width, 0..outputs])
}

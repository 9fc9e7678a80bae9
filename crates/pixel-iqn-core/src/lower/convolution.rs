//! A causal convolution by the convolution of the backend, with the kernel cropped to the field.

use burn::tensor::Tensor;
use burn::tensor::module::conv2d;
use burn::tensor::ops::ConvOptions;

use super::{ReceptiveField, padding, to_channels_first, to_channels_last};

/// The field's convolution, zero outside of the image, of `height` rows.
///
/// # Shapes
///
/// - `x`: `[batch, rows, width, features_in]`
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
    let padding = [padding_rows, padding(field.columns)];
    let options = ConvOptions::new_with_padding([1, 1], padding, [1, 1], 1);
    // A permuted view: backends that convolve channels-last take it as it lies.
    let y = conv2d(to_channels_first(x), weight, None, options);
    // A window that ends before the position makes more outputs than there are positions.
    to_channels_last(y).slice([0..batch, 0..height, 0..width, 0..outputs])
}

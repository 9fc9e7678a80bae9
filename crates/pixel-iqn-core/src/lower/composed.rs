//! The lowering to ordinary operations of Burn, for every backend.

use core::f64::consts::PI;

use burn::tensor::Tensor;
use burn::tensor::activation::sigmoid;

use super::{KernelMask, Lowering, ReceptiveField, convolution, padding};

pub(super) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    mask: Option<&KernelMask>,
    field: ReceptiveField,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
    lowering: Lowering,
) -> Tensor<4> {
    let [outputs, ..] = weight.dims();
    let [_, height, ..] = x.dims();
    let mut y = if lowering == Lowering::Convolution && field != ReceptiveField::POINT {
        let weight = KernelMask::apply(mask, weight);
        convolution::convolve(x, weight, field, padding(field.row_offsets()), height)
    } else {
        // The mask is multiplied in the layout of the product's matrix: with fusion, a gradient
        // that arrives as a permuted view and meets an elementwise product is read with wrong
        // strides (docs/devices.md).
        let mut matrix = tap_matrix(weight);
        if let Some(mask) = mask {
            matrix = matrix * mask.matrix.clone();
        }
        product(gather_taps(x, field), matrix)
    };
    if let Some(bias) = bias {
        let [images, _] = bias.dims();
        y = y + bias.reshape([images, 1, 1, outputs]);
    }
    match base {
        Some(base) => base + y,
        None => y,
    }
}

pub(super) fn convolve_last_row(
    x: Tensor<4>,
    weight: Tensor<4>,
    field: ReceptiveField,
    lowering: Lowering,
) -> Tensor<4> {
    // The rows are those of the taps alone, next to each other.
    let field = ReceptiveField {
        dilation: [1, field.dilation[1]],
        ..field
    };
    if lowering == Lowering::Convolution {
        return convolution::convolve(x, weight, field, (0, 0), 1);
    }
    let [_, _, width, _] = x.dims();
    let x = pad(x, (0, 0), padding(field.column_offsets()));
    product(cut_taps(x, field, [1, width]), tap_matrix(weight))
}

pub(super) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    let features = x.dims()[D - 1] / 2;
    let a = x.clone().narrow(D - 1, 0, features);
    let b = x.narrow(D - 1, features, features);
    a.tanh() * sigmoid(b)
}

pub(super) fn project_tau(base: Tensor<4>, phi: Tensor<3>, weight: Tensor<3>) -> Tensor<4> {
    let [groups, positions, embedding] = phi.dims();
    let [_, features, _] = weight.dims();
    let group = features / groups;
    // There is one product per group, each with its two gate halves side by side.
    let weight = weight
        .reshape([2, groups, group, embedding])
        .permute([1, 3, 0, 2])
        .reshape([groups, embedding, 2 * group]);
    let y = phi
        .matmul(weight)
        .reshape([groups, positions, 2, group])
        .permute([1, 2, 0, 3]);
    let shape = base.dims();
    base + y.reshape(shape)
}

pub(super) fn cosines(tau: Tensor<2>, n: usize) -> Tensor<2> {
    // 0, 1, 2, ... by a sum on the device: Burn builds what `arange` makes on the host and uploads it.
    let ones = Tensor::<2>::ones([1, n], (&tau.device(), tau.dtype()));
    let i = ones.cumsum(1).sub_scalar(1.0);
    (tau * i.mul_scalar(PI)).cos()
}

/// Gathers the inputs at the taps of every position side by side, with zeros outside of the image.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features]`
/// - output: `[batch, height, width, taps * features]`, with the taps in row-major order
fn gather_taps(x: Tensor<4>, field: ReceptiveField) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    if field == ReceptiveField::POINT {
        return x;
    }
    let x = pad(
        x,
        padding(field.row_offsets()),
        padding(field.column_offsets()),
    );
    cut_taps(x, field, [height, width])
}

/// Pads images with zeros. Under autodiff, Burn's `pad` builds a tensor of the padded size on the
/// host and uploads it at every call; this function fills one on the device.
fn pad(x: Tensor<4>, (top, bottom): (usize, usize), (left, right): (usize, usize)) -> Tensor<4> {
    let [batch, height, width, features] = x.dims();
    let padded = [batch, top + height + bottom, left + width + right, features];
    if padded == x.dims() {
        return x;
    }
    Tensor::zeros(padded, (&x.device(), x.dtype())).slice_assign(
        [0..batch, top..top + height, left..left + width, 0..features],
        x,
    )
}

/// Gathers the inputs at the taps of `size` positions from padded images.
fn cut_taps(x: Tensor<4>, field: ReceptiveField, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, _, features] = x.dims();
    // A first offset of -1 has one row of padding, so that it reads padded row 0, and so on.
    let start = |(first, _): (isize, isize)| first.max(0) as usize;
    let (top, left) = (start(field.row_offsets()), start(field.column_offsets()));
    let ([rows, columns], [down, right]) = (field.size(), field.dilation);
    let taps = (0..rows)
        .flat_map(|row| (0..columns).map(move |column| (row, column)))
        .map(|(row, column)| (top + row * down, left + column * right))
        .map(|(row, column)| {
            x.clone().slice([
                0..batch,
                row..row + height,
                column..column + width,
                0..features,
            ])
        })
        .collect();
    Tensor::cat(taps, 3)
}

/// Reshapes a kernel to the matrix of a product.
///
/// # Shapes
///
/// - `weight`: `[features_out, features_in, rows, columns]`
/// - output: `[rows * columns * features_in, features_out]`
pub(super) fn tap_matrix(weight: Tensor<4>) -> Tensor<2> {
    let [out, features, rows, columns] = weight.dims();
    weight
        .permute([0, 2, 3, 1])
        .reshape([out, rows * columns * features])
        .transpose()
}

/// Multiplies the last axis of a feature map with a matrix.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, k]`
/// - `matrix`: `[k, m]`
/// - output: `[batch, height, width, m]`
fn product(x: Tensor<4>, matrix: Tensor<2>) -> Tensor<4> {
    let [batch, height, width, k] = x.dims();
    let [_, out] = matrix.dims();
    x.reshape([batch * height * width, k])
        .matmul(matrix)
        .reshape([batch, height, width, out])
}

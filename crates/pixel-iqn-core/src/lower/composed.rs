//! Ordinary operations of Burn, for every backend.

use core::f64::consts::PI;

use burn::tensor::activation::sigmoid;
use burn::tensor::{Int, Tensor, ops::PadMode};

use super::{Lowering, Window, convolution, padding};

pub(super) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    window: Window,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
    lowering: Lowering,
) -> Tensor<4> {
    let [outputs, ..] = weight.dims();
    let [_, height, ..] = x.dims();
    let mut y = if lowering == Lowering::Convolution && window != Window::POINT {
        convolution::convolve(x, weight, window, padding(window.rows), height)
    } else {
        product(gather_taps(x, window), tap_matrix(weight, window))
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
    window: Window,
    lowering: Lowering,
) -> Tensor<4> {
    if lowering == Lowering::Convolution {
        return convolution::convolve(x, weight, window, (0, 0), 1);
    }
    let [_, _, width, _] = x.dims();
    let (left, right) = padding(window.columns);
    let x = x.pad(
        [(0, 0), (0, 0), (left, right), (0, 0)],
        PadMode::Constant(0.0),
    );
    product(cut_taps(x, window, [1, width]), tap_matrix(weight, window))
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
    // One product per group, each with its two gate halves side by side.
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
    let i = Tensor::<1, Int>::arange(0..n as i64, &tau.device()).float();
    (tau * i.mul_scalar(PI).reshape([1, n])).cos()
}

/// The taps of every position side by side, zero outside of the image.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features]`
/// - output: `[batch, height, width, taps * features]`, taps in row-major order
fn gather_taps(x: Tensor<4>, window: Window) -> Tensor<4> {
    let [_, height, width, _] = x.dims();
    if window == Window::POINT {
        return x;
    }
    let padding = [
        (0, 0),
        padding(window.rows),
        padding(window.columns),
        (0, 0),
    ];
    let x = x.pad(padding, PadMode::Constant(0.0));
    cut_taps(x, window, [height, width])
}

/// The taps of an image that was padded: those of `size` positions.
fn cut_taps(x: Tensor<4>, window: Window, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, _, features] = x.dims();
    // The offset -1 reads padded row 0 where the padding is one row, and so on.
    let start = |(first, _): (isize, isize)| first.max(0) as usize;
    let (top, left) = (start(window.rows), start(window.columns));
    let [rows, columns] = window.size();
    let taps = (top..top + rows)
        .flat_map(|row| (left..left + columns).map(move |column| (row, column)))
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

/// `[features_out, features_in, rows, columns]` to `[taps * features_in, features_out]`.
fn tap_matrix(weight: Tensor<4>, window: Window) -> Tensor<2> {
    let [out, features, ..] = weight.dims();
    weight
        .permute([0, 2, 3, 1])
        .reshape([out, window.taps() * features])
        .transpose()
}

/// `x`: `[.., k]` times `matrix`: `[k, m]`.
fn product(x: Tensor<4>, matrix: Tensor<2>) -> Tensor<4> {
    let [batch, height, width, k] = x.dims();
    let [_, out] = matrix.dims();
    x.reshape([batch * height * width, k])
        .matmul(matrix)
        .reshape([batch, height, width, out])
}

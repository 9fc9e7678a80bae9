//! The lowering of causal convolutions and grouped products to matrix products.
//!
//! Feature maps are `[batch, height, width, features]` inside the models: the taps that a
//! position reads then lie side by side, and a convolution is one product of the matrix
//! `[batch * height * width, taps * features]` with the weights. Every backend has a fast matrix
//! product, forward and backward; few have a fast convolution backward. A backend that can do
//! better replaces the functions here and nothing else.

use burn::tensor::{Tensor, ops::PadMode};

/// The rectangle of inputs that a position reads: `up` rows above up to its own, columns from
/// `left` before it to `right` after it. `right = -1` leaves out the position's own column.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub up: usize,
    pub left: usize,
    pub right: isize,
}

impl Window {
    fn columns(&self) -> usize {
        (self.left as isize + self.right + 1) as usize
    }

    /// Inputs that a position reads.
    pub(crate) fn taps(&self) -> usize {
        (self.up + 1) * self.columns()
    }
}

/// The taps of every position side by side, zero outside of the image.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features]`
/// - output: `[batch, height, width, taps * features]`, taps in row-major order
pub(crate) fn gather_taps(x: Tensor<4>, window: Window) -> Tensor<4> {
    let Window { up, left, right } = window;
    let [_, height, width, _] = x.dims();
    if (up, left, right) == (0, 0, 0) {
        return x;
    }
    let padding = [(0, 0), (up, 0), (left, right.max(0) as usize), (0, 0)];
    cut_taps(
        x.pad(padding, PadMode::Constant(0.0)),
        window,
        [height, width],
    )
}

/// The taps of an image that was padded: those of `size` positions.
fn cut_taps(x: Tensor<4>, window: Window, [height, width]: [usize; 2]) -> Tensor<4> {
    let [batch, _, _, features] = x.dims();
    let taps = (0..=window.up)
        .flat_map(|row| (0..window.columns()).map(move |column| (row, column)))
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

/// A causal convolution: every position's taps times `weight`.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]` of the window
/// - output: `[batch, height, width, features_out]`
pub(crate) fn causal_conv(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    product(gather_taps(x, window), tap_matrix(weight, window))
}

/// The last row of a [`causal_conv`], from the rows that it reads.
///
/// # Shapes
///
/// - `x`: `[batch, up + 1, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]` of the window
/// - output: `[batch, 1, width, features_out]`
pub(crate) fn causal_conv_last_row(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    let [_, _, width, _] = x.dims();
    let padding = [
        (0, 0),
        (0, 0),
        (window.left, window.right.max(0) as usize),
        (0, 0),
    ];
    let taps = cut_taps(x.pad(padding, PadMode::Constant(0.0)), window, [1, width]);
    product(taps, tap_matrix(weight, window))
}

/// `[features_out, features_in, rows, columns]` to `[taps * features_in, features_out]`.
fn tap_matrix(weight: Tensor<4>, window: Window) -> Tensor<2> {
    let [out, features, ..] = weight.dims();
    weight
        .permute([0, 2, 3, 1])
        .reshape([out, window.taps() * features])
        .transpose()
}

/// A 1x1 convolution: every position's features times `weight`.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features_in]`
/// - `weight`: `[features_out, features_in]`
/// - output: `[batch, height, width, features_out]`
pub(crate) fn pointwise(x: Tensor<4>, weight: Tensor<2>) -> Tensor<4> {
    product(x, weight.transpose())
}

/// `x`: `[.., k]` times `matrix`: `[k, m]`.
fn product(x: Tensor<4>, matrix: Tensor<2>) -> Tensor<4> {
    let [batch, height, width, k] = x.dims();
    let [_, out] = matrix.dims();
    x.reshape([batch * height * width, k])
        .matmul(matrix)
        .reshape([batch, height, width, out])
}

/// Row `r` of the result is row `r - 1` of `x`; row 0 is zero.
pub(crate) fn shift_down(x: Tensor<4>) -> Tensor<4> {
    let [batch, height, width, features] = x.dims();
    let top = Tensor::zeros([batch, 1, width, features], &x.device());
    if height == 1 {
        return top;
    }
    let rows = x.slice([0..batch, 0..height - 1, 0..width, 0..features]);
    Tensor::cat(vec![top, rows], 1)
}

/// Splits the feature axis into its channel groups and puts them first:
/// `[batch, height, width, groups * k]` to `[groups, batch * height * width, k]`.
pub(crate) fn split_groups(x: Tensor<4>, groups: usize) -> Tensor<3> {
    let [batch, height, width, features] = x.dims();
    x.reshape([batch * height * width, groups, features / groups])
        .swap_dims(0, 1)
}

/// The opposite of [`split_groups`] for one output per group and position.
///
/// # Shapes
///
/// - `x`: `[groups, batch * height * width, 1]`
/// - output: `[batch, height, width, groups]`
pub(crate) fn join_groups(x: Tensor<3>, [batch, height, width]: [usize; 3]) -> Tensor<4> {
    let [groups, positions, _] = x.dims();
    debug_assert_eq!(positions, batch * height * width);
    x.reshape([groups, positions])
        .swap_dims(0, 1)
        .reshape([batch, height, width, groups])
}

/// Puts the two gate halves of each channel group side by side: `[batch, 1, width, 2 F]`, in the
/// order of half, group and feature, to `[batch, width, groups, 2 F / groups]`.
pub(crate) fn gates_by_group(x: Tensor<4>, groups: usize) -> Tensor<4> {
    let [batch, _, width, gates] = x.dims();
    x.reshape([batch, width, 2, groups, gates / 2 / groups])
        .swap_dims(2, 3)
        .reshape([batch, width, groups, gates / groups])
}

/// `[B, C, H, W]`, the layout outside, to `[B, H, W, C]`, the layout inside.
pub(crate) fn to_channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// `[B, H, W, C]`, the layout inside, to `[B, C, H, W]`, the layout outside.
pub(crate) fn to_channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Device, Distribution, Tolerance};

    /// The definition, value by value.
    fn direct(x: &Tensor<4>, weight: &Tensor<4>, window: Window) -> Tensor<4> {
        let [batch, height, width, features] = x.dims();
        let [out, _, rows, columns] = weight.dims();
        let xs: Vec<f32> = x.to_data().try_to_vec().unwrap();
        let ws: Vec<f32> = weight.to_data().try_to_vec().unwrap();
        let mut ys = vec![0.0f32; batch * height * width * out];
        for (i, y) in ys.iter_mut().enumerate() {
            let (o, column) = (i % out, i / out % width);
            let (row, b) = (i / out / width % height, i / out / width / height);
            for (dr, dc, f) in (0..rows * columns * features)
                .map(|t| (t / features / columns, t / features % columns, t % features))
            {
                let r = row as isize + dr as isize - window.up as isize;
                let c = column as isize + dc as isize - window.left as isize;
                if r >= 0 && c >= 0 && c < width as isize {
                    let at = ((b * height + r as usize) * width + c as usize) * features + f;
                    *y += xs[at] * ws[((o * features + f) * rows + dr) * columns + dc];
                }
            }
        }
        Tensor::<1>::from_data(ys.as_slice(), &x.device()).reshape([batch, height, width, out])
    }

    #[test]
    fn conv_is_its_definition() {
        let device = Device::flex();
        let uniform = Distribution::Uniform(-1.0, 1.0);
        for (up, left, right) in [
            (1, 1, 1),
            (0, 2, 0),
            (0, 2, -1),
            (0, 1, -1),
            (3, 3, 3),
            (0, 0, 0),
        ] {
            let window = Window { up, left, right };
            for size in [[2, 4, 5], [1, 1, 3], [1, 3, 1], [1, 1, 1]] {
                let x = Tensor::random([size[0], size[1], size[2], 2], uniform, &device);
                let kernel = [3, 2, up + 1, window.columns()];
                let weight = Tensor::random(kernel, uniform, &device);
                causal_conv(x.clone(), weight.clone(), window)
                    .to_data()
                    .assert_approx_eq::<f32>(
                        &direct(&x, &weight, window).to_data(),
                        Tolerance::absolute(1e-5),
                    );
            }
        }
    }

    #[test]
    fn shift_moves_rows_down() {
        let device = Device::flex();
        let x = Tensor::<1>::from_data([1.0, 2.0, 3.0], &device).reshape([1, 3, 1, 1]);
        let y: Vec<f32> = shift_down(x).to_data().try_to_vec().unwrap();
        assert_eq!(y, [0.0, 1.0, 2.0]);
        let one_row = shift_down(Tensor::ones([1, 1, 2, 1], &device));
        assert_eq!(one_row.to_data().try_to_vec::<f32>().unwrap(), [0.0, 0.0]);
    }
}

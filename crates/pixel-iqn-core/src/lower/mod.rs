//! The lowering of causal convolutions, gates and the projection of tau: what a backend may
//! replace by kernels of its own.
//!
//! Feature maps are `[batch, height, width, features]` inside the models: the taps that a
//! position reads then lie side by side, and a convolution is one product of the matrix
//! `[batch * height * width, taps * features]` with the weights. Every backend has a fast matrix
//! product, forward and backward; few have a fast convolution backward. So `composed` is made of
//! ordinary operations, for every backend, and `flex` of operations with hand-written gradients,
//! for Burn's Flex backend. A backend that can do better comes in here and nowhere else.

mod composed;
mod convolution;
#[cfg(feature = "flex")]
mod flex;

use core::sync::atomic::{AtomicU8, Ordering};

use burn::tensor::Tensor;

/// How causal convolutions become operations of a backend. All give the same up to rounding.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Lowering {
    /// What was measured to be the fastest on the backend: kernels of our own on Burn's Flex,
    /// [`Product`](Self::Product) everywhere else.
    #[default]
    Fastest,
    /// The taps of every position side by side, and one matrix product.
    Product,
    /// The backend's convolution, its kernel cropped to what a position may read. Pointwise ones
    /// stay products.
    Convolution,
}

static LOWERING: AtomicU8 = AtomicU8::new(Lowering::Fastest as u8);

/// Changes the lowering of all models of this process: for measurements, and for backends on which
/// another one is faster.
pub fn set_lowering(lowering: Lowering) {
    LOWERING.store(lowering as u8, Ordering::Relaxed);
}

fn lowering() -> Lowering {
    const PRODUCT: u8 = Lowering::Product as u8;
    const CONVOLUTION: u8 = Lowering::Convolution as u8;
    match LOWERING.load(Ordering::Relaxed) {
        PRODUCT => Lowering::Product,
        CONVOLUTION => Lowering::Convolution,
        _ => Lowering::Fastest,
    }
}

/// The rectangle of inputs that a position reads: rows and columns from the first to the last
/// offset, both included. `(0, 0)` is the position itself, negative is above or left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Window {
    pub rows: (isize, isize),
    pub columns: (isize, isize),
}

impl Window {
    /// The position itself.
    pub(crate) const POINT: Self = Self {
        rows: (0, 0),
        columns: (0, 0),
    };

    /// The position in the row above.
    pub(crate) const ABOVE: Self = Self {
        rows: (-1, -1),
        columns: (0, 0),
    };

    /// Rows and columns.
    fn size(&self) -> [usize; 2] {
        [self.rows, self.columns].map(|(first, last)| (last - first + 1).max(0) as usize)
    }

    /// Inputs that a position reads.
    fn taps(&self) -> usize {
        self.size().iter().product()
    }
}

/// A causal convolution: every position's taps times `weight`, zero outside of the image, and what
/// it is added to.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]` of the window
/// - `bias`: `[1, features_out]` or `[batch, features_out]`
/// - `base`: `[batch, height, width, features_out]`
/// - output: `[batch, height, width, features_out]`
pub(crate) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    window: Window,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
) -> Tensor<4> {
    let [_, _, rows, columns] = weight.dims();
    debug_assert_eq!(window.size(), [rows, columns]);
    let lowering = lowering();
    #[cfg(feature = "flex")]
    if lowering == Lowering::Fastest && flex::handles([&x, &weight]) {
        return flex::convolve(x, weight, window, bias, base);
    }
    composed::convolve(x, weight, window, bias, base, lowering)
}

/// `tanh(a) * sigmoid(b)` of the two halves of the last axis.
///
/// # Shapes
///
/// - `x`: `[.., 2 * features]`
/// - output: `[.., features]`
pub(crate) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    #[cfg(feature = "flex")]
    if flex::handles([&x]) {
        return flex::gate(x);
    }
    composed::gate(x)
}

/// `base` and the embedding of each channel group's tau times the group's weights.
///
/// # Shapes
///
/// - `base`: `[batch, height, width, 2 * features]`: gate half, group, feature
/// - `phi`: `[groups, batch * height * width, embedding]`
/// - `weight`: `[2, features, embedding]`
/// - output: `[batch, height, width, 2 * features]`
pub(crate) fn project_tau(base: Tensor<4>, phi: Tensor<3>, weight: Tensor<3>) -> Tensor<4> {
    #[cfg(feature = "flex")]
    if flex::handles([&phi]) {
        return flex::project_tau(base, phi, weight);
    }
    composed::project_tau(base, phi, weight)
}

/// `cos(pi i tau)` for `i = 0 .. n - 1`.
///
/// # Shapes
///
/// - `tau`: `[positions, 1]`
/// - output: `[positions, n]`
pub(crate) fn cosines(tau: Tensor<2>, n: usize) -> Tensor<2> {
    #[cfg(feature = "flex")]
    if flex::handles([&tau]) {
        return flex::cosines(tau, n);
    }
    composed::cosines(tau, n)
}

/// The last row of a [`convolve`] whose window ends at the position's own row, from the rows that
/// it reads.
///
/// # Shapes
///
/// - `x`: `[batch, rows, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]` of the window
/// - output: `[batch, 1, width, features_out]`
pub(crate) fn convolve_last_row(x: Tensor<4>, weight: Tensor<4>, window: Window) -> Tensor<4> {
    composed::convolve_last_row(x, weight, window, lowering())
}

/// Zeros before and after an axis for the offsets of a window.
fn padding((first, last): (isize, isize)) -> (usize, usize) {
    ((-first).max(0) as usize, last.max(0) as usize)
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
                let r = row as isize + dr as isize + window.rows.0;
                let c = column as isize + dc as isize + window.columns.0;
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
        for (rows, columns) in [
            ((-1, 0), (-1, 1)),
            ((0, 0), (-2, 0)),
            ((0, 0), (-2, -1)),
            ((-1, -1), (0, 0)),
            ((-3, 0), (-3, 3)),
            ((0, 0), (0, 0)),
        ] {
            let window = Window { rows, columns };
            for size in [[2, 4, 5], [1, 1, 3], [1, 3, 1], [1, 1, 1]] {
                let x = Tensor::<4>::random([size[0], size[1], size[2], 2], uniform, &device);
                let [rows, columns] = window.size();
                let kernel = [3, 2, rows, columns];
                let weight = Tensor::<4>::random(kernel, uniform, &device);
                let expected = direct(&x, &weight, window).to_data();
                for lowering in [Lowering::Product, Lowering::Convolution] {
                    let (x, weight) = (x.clone(), weight.clone());
                    let y = composed::convolve(x, weight, window, None, None, lowering);
                    y.to_data()
                        .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
                }
            }
        }
    }

    #[test]
    fn the_last_row_is_that_of_a_convolution() {
        let device = Device::flex();
        let uniform = Distribution::Uniform(-1.0, 1.0);
        let window = Window {
            rows: (-2, 0),
            columns: (-2, 2),
        };
        let x = Tensor::<4>::random([2, 3, 4, 3], uniform, &device);
        let weight = Tensor::<4>::random([5, 3, 3, 5], uniform, &device);
        let expected = direct(&x, &weight, window).slice([0..2, 2..3]).to_data();
        for lowering in [Lowering::Product, Lowering::Convolution] {
            let (x, weight) = (x.clone(), weight.clone());
            composed::convolve_last_row(x, weight, window, lowering)
                .to_data()
                .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
        }
    }
}

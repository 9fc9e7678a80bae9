//! The lowering of the models: how causal convolutions, gates and the projection of tau become
//! operations of a backend.
//!
//! Feature maps are `[batch, height, width, features]` inside the models. The inputs that a
//! position reads can then be gathered side by side, and a convolution is one product of the matrix
//! `[batch * height * width, taps * features]` with the weights. On the
//! backends that were measured, on CPUs, a product is the faster way (docs/benchmarks.md).
//!
//! `composed` has ordinary operations of Burn, for every backend. `flex` and `cube` have operations with
//! hand-written gradients, for Burn's Flex backend and for those on CubeCL (CUDA, WGPU, Vulkan): `operation`
//! is what the two share. Sampling has one more kernel for CubeCL backends (`sample/incremental/gpu.rs`).
//! There is no other place for the operations of a single backend.

mod composed;
mod convolution;
#[cfg(feature = "cube")]
mod cube;
#[cfg(feature = "flex")]
mod flex;
#[cfg(any(feature = "cube", feature = "flex"))]
mod operation;

use burn::module::Module;
use burn::tensor::{Device, Tensor};
#[cfg(feature = "flex")]
use pixel_iqn_kernels::Bfloat16;
use pixel_iqn_loss::{Knots, QuantileFunctions};

/// The way in which the causal convolutions of a model become operations of a backend. All give the
/// same results up to rounding, which is that of bfloat16 numbers for [`Bfloat16`](Self::Bfloat16).
///
/// [`PixelModel::with_lowering`](crate::PixelModel::with_lowering) sets it for a model.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Lowering {
    /// Kernels of our own on Burn's Flex backend, where they were measured to be the fastest, and on CUDA,
    /// WGPU and Vulkan in a build without fusion, where no GPU has been measured: they need fewer launches
    /// than the others there. [`Product`](Self::Product) on all other backends.
    #[default]
    Fastest,
    /// A matrix product with the inputs of every position gathered side by side.
    Product,
    /// The convolution of the backend, with the kernel cropped to the receptive field. 1x1
    /// convolutions stay matrix products.
    Convolution,
    /// As [`Fastest`](Self::Fastest), but most operands of convolutions on Flex are rounded to bfloat16
    /// numbers, in the forward and the backward pass, where the processor multiplies them
    /// ([`has_bfloat16`](Self::has_bfloat16)); elsewhere it is `Fastest`. Sums, weights and all other
    /// operations stay in single precision, and so do the quantile embedding and the last layer, whose
    /// rounding would move values by up to an intensity level, and what has the fewer products of Winograd.
    Bfloat16,
}

impl Lowering {
    /// The lowering of the quantile embedding and of the last layer.
    pub(crate) fn unrounded(self) -> Self {
        match self {
            Self::Bfloat16 => Self::Fastest,
            other => other,
        }
    }

    /// Whether [`Fastest`](Self::Fastest) is kernels of our own on a device, on threads of this process: it
    /// is Flex.
    pub fn has_kernels(device: &Device) -> bool {
        #[cfg(feature = "flex")]
        return flex::handles([&Tensor::<1>::zeros([1], device)]);
        #[cfg(not(feature = "flex"))]
        {
            let _ = device;
            false
        }
    }

    /// Whether convolutions are kernels of our own on the backends that have them.
    #[cfg(any(feature = "cube", feature = "flex"))]
    fn is_ours(self) -> bool {
        matches!(self, Self::Fastest | Self::Bfloat16)
    }

    /// Whether a model with this lowering has kernels of our own on a device of a CubeCL backend.
    #[cfg(feature = "cube")]
    pub(crate) fn has_kernels_of_gpus(self, device: &Device) -> bool {
        self.is_ours() && Self::has_gpu_kernels(device)
    }

    /// Whether [`Fastest`](Self::Fastest) is kernels of our own on a device, as programs of a GPU: it is a
    /// CubeCL backend (CUDA, WGPU or Vulkan) in a build without fusion.
    pub fn has_gpu_kernels(device: &Device) -> bool {
        #[cfg(feature = "cube")]
        return cube::handles([&Tensor::<1>::zeros([1], device)]);
        #[cfg(not(feature = "cube"))]
        {
            let _ = device;
            false
        }
    }

    /// Whether [`Bfloat16`](Self::Bfloat16) is another lowering than [`Fastest`](Self::Fastest) on a device:
    /// it is Flex, on a processor that multiplies bfloat16 numbers (AVX-512 BF16).
    pub fn has_bfloat16(device: &Device) -> bool {
        #[cfg(feature = "flex")]
        return Bfloat16::detect().is_some() && Self::has_kernels(device);
        #[cfg(not(feature = "flex"))]
        {
            let _ = device;
            false
        }
    }
}

/// The rectangle of inputs that a position reads, as the first and last of its taps in rows and
/// columns, both included. `(0, 0)` is the position itself; negative is above or left of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct ReceptiveField {
    pub rows: (isize, isize),
    pub columns: (isize, isize),
    /// The distances of neighbouring taps, in rows and in columns.
    pub dilation: [usize; 2],
}

impl ReceptiveField {
    /// The position itself, which a 1x1 convolution reads.
    pub(crate) const POINT: Self = Self {
        rows: (0, 0),
        columns: (0, 0),
        dilation: [1, 1],
    };

    /// The position in the row above.
    pub(crate) const ABOVE: Self = Self {
        rows: (-1, -1),
        columns: (0, 0),
        dilation: [1, 1],
    };

    /// The offsets in rows of the first and last tap.
    fn row_offsets(&self) -> (isize, isize) {
        let step = self.dilation[0] as isize;
        (self.rows.0 * step, self.rows.1 * step)
    }

    /// The offsets in columns of the first and last tap.
    fn column_offsets(&self) -> (isize, isize) {
        let step = self.dilation[1] as isize;
        (self.columns.0 * step, self.columns.1 * step)
    }

    /// The numbers of rows and columns of taps.
    fn size(&self) -> [usize; 2] {
        [self.rows, self.columns].map(|(first, last)| (last - first + 1).max(0) as usize)
    }

    /// The number of positions that a position reads.
    #[cfg(feature = "flex")]
    fn taps(&self) -> usize {
        self.size().iter().product()
    }
}

/// The mask of the used weights of a convolution, in both layouts that lowerings need.
#[derive(Module, Debug)]
pub(crate) struct KernelMask {
    /// The mask as a kernel, `[features_out, features_in, rows, columns]`: 1 where the weight is
    /// used, else 0.
    kernel: Tensor<4>,
    /// The mask in the layout of the product's matrix,
    /// `[rows * columns * features_in, features_out]`.
    matrix: Tensor<2>,
}

impl KernelMask {
    /// Creates the mask from that of a kernel, `[features_out, features_in, rows, columns]`.
    pub(crate) fn new(kernel: Tensor<4>) -> Self {
        let matrix = composed::tap_matrix(kernel.clone());
        Self { kernel, matrix }
    }

    /// Sets the weights that the mask removes to zero, and keeps all of them without a mask.
    pub(crate) fn apply(mask: Option<&Self>, weight: Tensor<4>) -> Tensor<4> {
        match mask {
            Some(mask) => weight * mask.kernel.clone(),
            None => weight,
        }
    }
}

/// Applies a causal convolution, with zeros outside of the image, and adds a bias and a base.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]`, with the rows and columns of `field`
/// - `mask`: the mask of `weight`, where not all of it is used
/// - `bias`: `[1, features_out]` or `[batch, features_out]`
/// - `base`: `[batch, height, width, features_out]`
/// - output: `[batch, height, width, features_out]`
pub(crate) fn convolve(
    x: Tensor<4>,
    weight: Tensor<4>,
    mask: Option<&KernelMask>,
    field: ReceptiveField,
    bias: Option<Tensor<2>>,
    base: Option<Tensor<4>>,
    lowering: Lowering,
) -> Tensor<4> {
    let [_, _, rows, columns] = weight.dims();
    debug_assert_eq!(field.size(), [rows, columns]);
    #[cfg(feature = "flex")]
    if lowering.is_ours() && flex::handles([&x, &weight]) {
        let kernel = flex::Kernel {
            weight,
            mask: mask.map(|mask| mask.kernel.clone()),
            field,
            bfloat16: (lowering == Lowering::Bfloat16)
                .then(Bfloat16::detect)
                .flatten(),
        };
        return flex::convolve(x, kernel, bias, base);
    }
    #[cfg(feature = "cube")]
    if lowering.is_ours() && cube::handles([&x, &weight]) {
        let kernel = cube::Kernel {
            weight,
            mask: mask.map(|mask| mask.kernel.clone()),
            field,
        };
        return cube::convolve(x, kernel, bias, base);
    }
    composed::convolve(x, weight, mask, field, bias, base, lowering)
}

/// Applies the gate `tanh(a) * sigmoid(b)` to the two halves of the last axis.
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
    #[cfg(feature = "cube")]
    if cube::handles([&x]) {
        return cube::gate(x);
    }
    composed::gate(x)
}

/// Adds to `base` the projection of the quantile embedding: for each channel group, the embedding
/// of its tau times its weights.
///
/// # Shapes
///
/// - `base`: `[batch, height, width, 2 * features]`, in the order of gate half, group and feature
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

/// Computes the CRPS of quantile functions that are given by their increments (see
/// [`QuantileFunctions::from_increments`](pixel_iqn_loss::QuantileFunctions::from_increments)),
/// clamped to `bounds`. The target is a constant to autodiff.
///
/// # Shapes
///
/// - `increments`: `[batch, height, width, channels, knots]`
/// - `target`: `[batch, height, width, channels, 1]`
/// - output: `[batch, height, width, channels, 1]`
pub(crate) fn crps_of_increments(
    increments: Tensor<5>,
    knots: &Knots,
    target: Tensor<5>,
    [low, high]: [f64; 2],
) -> Tensor<5> {
    #[cfg(feature = "flex")]
    if flex::handles([&increments, &target]) {
        return flex::crps_of_increments(increments, knots, target, [low, high]);
    }
    QuantileFunctions::from_increments(increments, knots.clone())
        .with_bounds(low, high)
        .crps(target)
}

/// Computes the cosines of the quantile embedding, `cos(pi i tau)` for `i = 0 .. n - 1`.
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

/// Computes the last row of a [`convolve`] from the rows that it reads and no others, where the
/// receptive field ends at the position's own row. The dilation of the rows is not read.
///
/// # Shapes
///
/// - `x`: `[batch, rows, width, features_in]`
/// - `weight`: `[features_out, features_in, rows, columns]`, with the rows and columns of `field`
/// - output: `[batch, 1, width, features_out]`
pub(crate) fn convolve_last_row(
    x: Tensor<4>,
    weight: Tensor<4>,
    field: ReceptiveField,
    lowering: Lowering,
) -> Tensor<4> {
    composed::convolve_last_row(x, weight, field, lowering)
}

/// The numbers of zeros that an axis needs before and after it, for the first and last offset of a
/// receptive field.
fn padding((first, last): (isize, isize)) -> (usize, usize) {
    ((-first).max(0) as usize, last.max(0) as usize)
}

/// Splits the feature axis into its channel groups and moves them first.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, groups * k]`
/// - output: `[groups, batch * height * width, k]`
pub(crate) fn split_groups(x: Tensor<4>, groups: usize) -> Tensor<3> {
    let [batch, height, width, features] = x.dims();
    x.reshape([batch * height * width, groups, features / groups])
        .swap_dims(0, 1)
}

/// Inverts [`split_groups`] for one feature per group and position.
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

/// Moves the two gate halves of each channel group side by side.
///
/// # Shapes
///
/// - `x`: `[batch, 1, width, 2 F]`, in the order of gate half, group and feature
/// - output: `[batch, width, groups, 2 F / groups]`
pub(crate) fn gates_by_group(x: Tensor<4>, groups: usize) -> Tensor<4> {
    let [batch, _, width, gates] = x.dims();
    x.reshape([batch, width, 2, groups, gates / 2 / groups])
        .swap_dims(2, 3)
        .reshape([batch, width, groups, gates / groups])
}

/// Converts from `[batch, channels, height, width]`, the layout of images, to
/// `[batch, height, width, channels]`, the layout inside the models.
pub(crate) fn to_channels_last(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 2, 3, 1])
}

/// Converts from `[batch, height, width, channels]`, the layout inside the models, to `[batch,
/// channels, height, width]`, the layout of images.
pub(crate) fn to_channels_first(x: Tensor<4>) -> Tensor<4> {
    x.permute([0, 3, 1, 2])
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    /// Computes a convolution by its definition, value by value.
    fn direct(x: &Tensor<4>, weight: &Tensor<4>, field: ReceptiveField) -> Tensor<4> {
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
                let [row_step, column_step] = field.dilation.map(|step| step as isize);
                let r = row as isize + (dr as isize + field.rows.0) * row_step;
                let c = column as isize + (dc as isize + field.columns.0) * column_step;
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
        for (rows, columns, dilation) in [
            ((-1, 0), (-1, 1), [1, 1]),
            ((0, 0), (-2, 0), [1, 1]),
            ((0, 0), (-2, -1), [1, 1]),
            ((-1, -1), (0, 0), [1, 1]),
            ((-3, 0), (-3, 3), [1, 1]),
            ((0, 0), (0, 0), [1, 1]),
            ((-1, 0), (-1, 1), [2, 2]),
            ((-2, 0), (-2, 2), [3, 1]),
            ((0, 0), (-2, -1), [4, 2]),
        ] {
            let field = ReceptiveField {
                rows,
                columns,
                dilation,
            };
            for size in [[2, 4, 5], [1, 1, 3], [1, 3, 1], [1, 1, 1]] {
                let x = Tensor::<4>::random([size[0], size[1], size[2], 2], uniform, &device);
                let [rows, columns] = field.size();
                let kernel = [3, 2, rows, columns];
                let weight = Tensor::<4>::random(kernel, uniform, &device);
                let expected = direct(&x, &weight, field).to_data();
                for lowering in [Lowering::Product, Lowering::Convolution] {
                    let (x, weight) = (x.clone(), weight.clone());
                    let y = composed::convolve(x, weight, None, field, None, None, lowering);
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
        for dilation in [1, 2] {
            let field = ReceptiveField {
                rows: (-2, 0),
                columns: (-2, 2),
                dilation: [1, dilation],
            };
            let x = Tensor::<4>::random([2, 3, 4, 3], uniform, &device);
            let weight = Tensor::<4>::random([5, 3, 3, 5], uniform, &device);
            let expected = direct(&x, &weight, field).slice([0..2, 2..3]).to_data();
            for lowering in [Lowering::Product, Lowering::Convolution] {
                let (x, weight) = (x.clone(), weight.clone());
                composed::convolve_last_row(x, weight, field, lowering)
                    .to_data()
                    .assert_approx_eq::<f32>(&expected, Tolerance::absolute(1e-5));
            }
        }
    }
}

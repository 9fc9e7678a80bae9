use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, assert_shape};

use crate::draw::uniform_fan_in;
use crate::lower::{KernelMask, Lowering, ReceptiveField, convolve, convolve_last_row};
use crate::mask::{MaskKind, group_mask};

/// The configuration of a [`VerticalConv`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct VerticalConvConfig {
    /// The numbers of features in and out.
    pub channels: [usize; 2],
    /// The kernel size `K`, odd.
    pub kernel: usize,
    /// The distance `d` of neighbouring taps, at least 1.
    #[config(default = 1)]
    pub dilation: usize,
}

/// The causal convolution of the vertical stack (van den Oord et al. 2016, section 2.2): the
/// position at row `r` and column `c` reads rows `r - K / 2 ..= r` and columns
/// `c - K / 2 ..= c + K / 2`, with zeros outside of the image. With a dilation `d` its taps lie `d`
/// rows and columns apart.
///
/// A position reads its own row, so that the horizontal stack takes the output of the row above.
///
/// Should be created with [`VerticalConvConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct VerticalConv {
    /// The weights, `[features_out, features_in, K / 2 + 1, K]`.
    pub weight: Param<Tensor<4>>,
    /// The biases, `[features_out]`.
    pub bias: Param<Tensor<1>>,
    /// The distance of neighbouring taps.
    dilation: usize,
    #[module(skip)]
    pub(crate) lowering: Lowering,
}

impl VerticalConvConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics if the kernel size is even, or the dilation 0.
    pub fn init(&self, device: &Device) -> VerticalConv {
        expect_odd(self.kernel);
        expect_dilation(self.dilation);
        let [input, output] = self.channels;
        let rows = self.kernel / 2 + 1;
        let fan_in = input * rows * self.kernel;
        VerticalConv {
            weight: uniform_fan_in([output, input, rows, self.kernel], fan_in, device),
            bias: uniform_fan_in([output], fan_in, device),
            dilation: self.dilation,
            lowering: Lowering::default(),
        }
    }
}

impl VerticalConv {
    /// The distance of neighbouring taps, in rows and columns.
    pub fn dilation(&self) -> usize {
        self.dilation
    }

    /// Applies the convolution to feature maps.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, features_in]`
    /// - output: `[batch, height, width, features_out]`
    ///
    /// # Panics
    ///
    /// Panics if the features of `x` are not those of the layer.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_onto(x, self.bias.val().unsqueeze())
    }

    /// Applies the convolution with `bias`, `[1, features_out]` or `[batch, features_out]`, in
    /// place of its own.
    pub(crate) fn forward_onto(&self, x: Tensor<4>, bias: Tensor<2>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, input, ..] = weight.dims();
        assert_shape!(x, [_, _, _, input]);
        let field = self.receptive_field();
        convolve(x, weight, None, field, Some(bias), None, self.lowering)
    }

    /// Computes the last row of the output from the `K / 2 + 1` rows that it reads, which lie
    /// [`dilation`](Self::dilation) rows apart in the image.
    ///
    /// # Shapes
    ///
    /// - `rows`: `[batch, K / 2 + 1, width, features_in]`
    /// - `bias`: `[1, features_out]` or `[batch, features_out]`
    /// - output: `[batch, 1, width, features_out]`
    pub(crate) fn forward_last(&self, rows: Tensor<4>, bias: Tensor<2>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, input, height, _] = weight.dims();
        assert_shape!(rows, [_, height, _, input]);
        let [images, output] = bias.dims();
        convolve_last_row(rows, weight, self.receptive_field(), self.lowering)
            + bias.reshape([images, 1, 1, output])
    }

    /// The rectangle that a position reads.
    fn receptive_field(&self) -> ReceptiveField {
        let [.., kernel] = self.weight.val().dims();
        let half = kernel as isize / 2;
        ReceptiveField {
            rows: (-half, 0),
            columns: (-half, half),
            dilation: [self.dilation; 2],
        }
    }
}

/// The configuration of a [`HorizontalConv`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct HorizontalConvConfig {
    /// The numbers of features in and out.
    pub channels: [usize; 2],
    /// The kernel size `K`, odd.
    pub kernel: usize,
    /// The number of channel groups of the features, one per image channel.
    pub groups: usize,
    /// The number of feature maps that the output stacks, each in `groups` groups; 2 for the two
    /// halves of a gate.
    #[config(default = 2)]
    pub parts: usize,
    /// Whether this is the first layer, which has mask A; the others have mask B.
    #[config(default = false)]
    pub first: bool,
    /// The distance `d` of neighbouring taps, at least 1.
    #[config(default = 1)]
    pub dilation: usize,
}

/// The causal convolution of the horizontal stack (van den Oord et al. 2016, section 2.2): the
/// position at column `c` reads columns `c - K / 2 ..= c` of its row. At column `c` itself, an
/// output reads only the channel groups before its own (mask A) or up to its own (mask B). With a
/// dilation `d` its taps lie `d` columns apart.
///
/// Should be created with [`HorizontalConvConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct HorizontalConv {
    /// The weights, `[features_out, features_in, 1, K / 2 + 1]`. Weights that the mask removes are
    /// kept but not used, like in the reference implementation.
    pub weight: Param<Tensor<4>>,
    /// The biases, `[features_out]`.
    pub bias: Param<Tensor<1>>,
    /// The mask of the used weights. One group needs none: mask B then keeps all weights, and mask
    /// A removes the last tap, which `skip_last` cuts off.
    mask: Option<KernelMask>,
    /// Whether the mask empties the last tap: mask A with one group.
    skip_last: bool,
    /// The distance of neighbouring taps.
    dilation: usize,
    #[module(skip)]
    pub(crate) lowering: Lowering,
}

impl HorizontalConvConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics if the kernel size is even, if the dilation is 0, or if the features do not divide
    /// into the groups.
    pub fn init(&self, device: &Device) -> HorizontalConv {
        expect_odd(self.kernel);
        expect_dilation(self.dilation);
        let [input, output] = self.channels;
        let left = self.kernel / 2;
        let kind = if self.first { MaskKind::A } else { MaskKind::B };
        let centre = group_mask([output, input], self.groups, self.parts, kind, device)
            .reshape([output, input, 1, 1]);
        let mask = (self.groups > 1).then(|| {
            KernelMask::new(match left {
                0 => centre,
                _ => Tensor::cat(
                    vec![Tensor::ones([output, input, 1, left], device), centre],
                    3,
                ),
            })
        });
        let fan_in = input * (left + 1);
        HorizontalConv {
            weight: uniform_fan_in([output, input, 1, left + 1], fan_in, device),
            bias: uniform_fan_in([output], fan_in, device),
            mask,
            skip_last: self.first && self.groups == 1,
            dilation: self.dilation,
            lowering: Lowering::default(),
        }
    }
}

impl HorizontalConv {
    /// The distance of neighbouring taps, in columns.
    pub fn dilation(&self) -> usize {
        self.dilation
    }

    /// Computes the weights with zeros where the mask removes them.
    ///
    /// # Shapes
    ///
    /// - output: `[features_out, features_in, 1, K / 2 + 1]`
    pub fn masked_weight(&self) -> Tensor<4> {
        let weight = KernelMask::apply(self.mask.as_ref(), self.weight.val());
        if !self.skip_last {
            return weight;
        }
        let [output, input, _, taps] = weight.dims();
        let last = Tensor::zeros([output, input, 1, 1], (&weight.device(), weight.dtype()));
        match taps {
            1 => last,
            _ => Tensor::cat(vec![weight.narrow(3, 0, taps - 1), last], 3),
        }
    }

    /// Applies the masked convolution to feature maps.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, height, width, features_in]`
    /// - output: `[batch, height, width, features_out]`
    ///
    /// # Panics
    ///
    /// Panics if the features of `x` are not those of the layer.
    pub fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        self.forward_onto(x, Some(self.bias.val().unsqueeze()), None)
    }

    /// Applies the masked convolution with `bias`, `[1, features_out]` or `[batch,
    /// features_out]`, in place of its own, and adds it to `base`,
    /// `[batch, height, width, features_out]`.
    pub(crate) fn forward_onto(
        &self,
        x: Tensor<4>,
        bias: Option<Tensor<2>>,
        base: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, input, _, taps] = weight.dims();
        assert_shape!(x, [_, _, _, input]);
        let left = taps as isize - 1;
        if self.skip_last && left == 0 {
            // Nothing is read: the weights would be a tensor without elements.
            return self.without_taps(x, bias, base);
        }
        let (weight, last) = if self.skip_last {
            (weight.narrow(3, 0, taps - 1), -1)
        } else {
            (weight, 0)
        };
        let field = ReceptiveField {
            rows: (0, 0),
            columns: (-left, last),
            dilation: [self.dilation; 2],
        };
        let mask = self.mask.as_ref();
        convolve(x, weight, mask, field, bias, base, self.lowering)
    }

    /// Computes the output of a convolution without taps: the bias and the base alone.
    fn without_taps(
        &self,
        x: Tensor<4>,
        bias: Option<Tensor<2>>,
        base: Option<Tensor<4>>,
    ) -> Tensor<4> {
        let [batch, height, width, _] = x.dims();
        let [output] = self.bias.dims();
        let shape = [batch, height, width, output];
        let base = base.unwrap_or_else(|| Tensor::zeros(shape, &x.device()));
        match bias {
            Some(bias) => {
                let [images, _] = bias.dims();
                base + bias.reshape([images, 1, 1, output])
            }
            None => base,
        }
    }
}

/// Panics if a kernel size is even.
fn expect_odd(kernel: usize) {
    assert!(kernel % 2 == 1, "the kernel size must be odd, not {kernel}");
}

/// Panics if the taps of a kernel would all lie on one position.
fn expect_dilation(dilation: usize) {
    assert!(dilation > 0, "the dilation must be at least 1, not 0");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic = "the kernel size must be odd, not 4"]
    fn even_kernel() {
        VerticalConvConfig::new([1, 1], 4).init(&Device::flex());
    }

    #[test]
    fn mask_a_on_one_channel_ignores_the_pixel_itself() {
        let device = Device::flex();
        for kernel in [1, 3, 5] {
            let conv = HorizontalConvConfig::new([1, 2], kernel, 1)
                .with_first(true)
                .init(&device);
            let x = Tensor::<4>::zeros([1, 1, 4, 1], &device);
            let mut y = x.clone();
            y = y.slice_assign(
                [0..1, 0..1, 3..4, 0..1],
                Tensor::ones([1, 1, 1, 1], &device),
            );
            let difference = (conv.forward(y) - conv.forward(x)).abs().sum();
            assert_eq!(difference.into_scalar::<f32>(), 0.0, "kernel {kernel}");
        }
    }

    #[test]
    #[should_panic]
    fn wrong_features() {
        let device = Device::flex();
        let conv = VerticalConvConfig::new([3, 4], 3).init(&device);
        conv.forward(Tensor::zeros([1, 2, 2, 4], &device));
    }
}

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, assert_shape};

use crate::draw::uniform_fan_in;
use crate::lower::{KernelMask, Lowering, ReceptiveField, convolve};
use crate::mask::{MaskKind, group_mask};

/// The configuration of a [`Pointwise`] or [`MaskedPointwise`] convolution.
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct PointwiseConfig {
    /// The numbers of features in and out.
    pub channels: [usize; 2],
}

/// A 1x1 convolution.
///
/// Should be created with [`PointwiseConfig::init`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct Pointwise {
    /// The weights, `[features_out, features_in, 1, 1]`.
    pub weight: Param<Tensor<4>>,
    /// The biases, `[features_out]`.
    pub bias: Param<Tensor<1>>,
    #[module(skip)]
    pub(crate) lowering: Lowering,
}

/// A 1x1 convolution whose outputs read the channel groups up to their own (mask B).
///
/// Should be created with [`PointwiseConfig::init_masked`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct MaskedPointwise {
    /// The weights, `[features_out, features_in, 1, 1]`. Weights that the mask removes are kept but
    /// not used.
    pub weight: Param<Tensor<4>>,
    /// The biases, `[features_out]`.
    pub bias: Param<Tensor<1>>,
    /// The mask of the used weights; one group uses all of them and has no mask.
    mask: Option<KernelMask>,
    #[module(skip)]
    pub(crate) lowering: Lowering,
}

impl PointwiseConfig {
    /// Creates an unmasked layer.
    pub fn init(&self, device: &Device) -> Pointwise {
        let [input, output] = self.channels;
        Pointwise {
            weight: uniform_fan_in([output, input, 1, 1], input, device),
            bias: uniform_fan_in([output], input, device),
            lowering: Lowering::default(),
        }
    }

    /// Creates a layer that is lower block triangular over `groups` channel groups.
    ///
    /// # Panics
    ///
    /// Panics if the features do not divide into the groups.
    pub fn init_masked(&self, groups: usize, device: &Device) -> MaskedPointwise {
        let [input, output] = self.channels;
        let Pointwise {
            weight,
            bias,
            lowering,
        } = self.init(device);
        MaskedPointwise {
            weight,
            bias,
            lowering,
            mask: (groups > 1).then(|| {
                let mask = group_mask([output, input], groups, 1, MaskKind::B, device);
                KernelMask::new(mask.unsqueeze_dims(&[2, 3]))
            }),
        }
    }
}

impl Pointwise {
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
        self.forward_at(x, ReceptiveField::POINT, self.bias.val().unsqueeze())
    }

    /// Applies the convolution with `bias`, `[1, features_out]` or `[batch,
    /// features_out]`, in place of its own. Each position reads the one other position that `field`
    /// says.
    pub(crate) fn forward_at(
        &self,
        x: Tensor<4>,
        field: ReceptiveField,
        bias: Tensor<2>,
    ) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, input, ..] = weight.dims();
        assert_shape!(x, [_, _, _, input]);
        convolve(x, weight, None, field, Some(bias), None, self.lowering)
    }
}

impl MaskedPointwise {
    /// Computes the weights with zeros where the mask removes them.
    ///
    /// # Shapes
    ///
    /// - output: `[features_out, features_in]`
    pub fn masked_weight(&self) -> Tensor<2> {
        KernelMask::apply(self.mask.as_ref(), self.weight.val()).flatten(1, 3)
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
        self.forward_onto(x, None)
    }

    /// Applies the masked convolution and adds it to `base`, `[batch, height, width,
    /// features_out]`.
    pub(crate) fn forward_onto(&self, x: Tensor<4>, base: Option<Tensor<4>>) -> Tensor<4> {
        let weight = self.weight.val();
        let [_, input, ..] = weight.dims();
        assert_shape!(x, [_, _, _, input]);
        convolve(
            x,
            weight,
            self.mask.as_ref(),
            ReceptiveField::POINT,
            Some(self.bias.val().unsqueeze()),
            base,
            self.lowering,
        )
    }
}

/// The configuration of a [`GroupedPointwise`] convolution.
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct GroupedPointwiseConfig {
    /// The numbers of features in and out.
    pub channels: [usize; 2],
    /// The number of channel groups.
    pub groups: usize,
}

/// A 1x1 convolution within each channel group, which never mixes groups.
///
/// Should be created with [`GroupedPointwiseConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct GroupedPointwise {
    /// The weights, `[features_out, features_in / groups, 1, 1]`.
    pub weight: Param<Tensor<4>>,
    /// The biases, `[features_out]`.
    pub bias: Param<Tensor<1>>,
    /// The number of channel groups.
    groups: usize,
}

impl GroupedPointwiseConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics if the features do not divide into the groups.
    pub fn init(&self, device: &Device) -> GroupedPointwise {
        let ([input, output], groups) = (self.channels, self.groups);
        assert!(
            input.is_multiple_of(groups) && output.is_multiple_of(groups),
            "{input} inputs and {output} outputs must each divide into {groups} group(s)"
        );
        let fan_in = input / groups;
        GroupedPointwise {
            weight: uniform_fan_in([output, fan_in, 1, 1], fan_in, device),
            bias: uniform_fan_in([output], fan_in, device),
            groups,
        }
    }
}

impl GroupedPointwise {
    /// Computes the weights and biases of the groups as one matrix product per group.
    ///
    /// # Shapes
    ///
    /// - weight: `[groups, features_in / groups, features_out / groups]`
    /// - bias: `[groups, 1, features_out / groups]`
    pub fn matrices(&self) -> (Tensor<3>, Tensor<3>) {
        let weight = self.weight.val();
        let [output, input, ..] = weight.dims();
        let group = output / self.groups;
        (
            weight.reshape([self.groups, group, input]).swap_dims(1, 2),
            self.bias.val().reshape([self.groups, 1, group]),
        )
    }

    /// Applies the convolution to features with the groups first.
    ///
    /// # Shapes
    ///
    /// - `x`: `[groups, positions, features_in / groups]`
    /// - output: `[groups, positions, features_out / groups]`
    ///
    /// # Panics
    ///
    /// Panics if the groups or features of `x` are not those of the layer.
    pub fn forward(&self, x: Tensor<3>) -> Tensor<3> {
        let (weight, bias) = self.matrices();
        let [groups, input, _] = weight.dims();
        assert_shape!(x, [groups, _, input]);
        x.matmul(weight) + bias
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::{Distribution, Tolerance};

    #[test]
    fn grouped_is_block_diagonal() {
        let device = Device::flex();
        let layer = GroupedPointwiseConfig::new([4, 6], 2).init(&device);
        let x = Tensor::<3>::random([2, 5, 2], Distribution::Uniform(-1.0, 1.0), &device);
        let y = layer.forward(x.clone());
        for group in 0..2 {
            let x = x.clone().narrow(0, group, 1).reshape([5, 2]);
            let weight: Tensor<2> = layer.weight.val().narrow(0, 3 * group, 3).flatten(1, 3);
            let bias = layer.bias.val().narrow(0, 3 * group, 3).reshape([1, 3]);
            let expected = x.matmul(weight.transpose()) + bias;
            y.clone()
                .narrow(0, group, 1)
                .reshape([5, 3])
                .to_data()
                .assert_approx_eq::<f32>(&expected.to_data(), Tolerance::default());
        }
    }

    #[test]
    fn masked_weight_is_lower_triangular() {
        let layer = PointwiseConfig::new([4, 4]).init_masked(2, &Device::flex());
        let masked = layer.masked_weight();
        let upper = masked.clone().slice([0..2, 2..4]).abs().sum();
        assert_eq!(upper.into_scalar::<f32>(), 0.0);
        let weight: Tensor<2> = layer.weight.val().flatten(1, 3);
        masked
            .slice([2..4, 0..4])
            .to_data()
            .assert_approx_eq::<f32>(&weight.slice([2..4, 0..4]).to_data(), Tolerance::default());
    }
}

//! Gated PixelCNN: van den Oord et al., "Conditional Image Generation with PixelCNN Decoders",
//! NeurIPS 2016, <https://arxiv.org/abs/1606.05328>.

use burn::module::Module;
use burn::tensor::activation::softmax;
use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::gated_layer::Conditions;
use crate::lower::Lowering;
use crate::model::PixelModel;
use crate::output::Output;
use crate::pointwise::{MaskedPointwise, PointwiseConfig};
use crate::trunk::Trunk;

/// A Gated PixelCNN, the baseline of PixelIQN: it predicts the distribution of every value of an
/// image over the intensity levels, given the values before it.
///
/// Created by [`ModelConfig::init_gated_pixel_cnn`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct GatedPixelCnn {
    /// The layers shared with [`PixelIqn`](crate::PixelIqn).
    pub trunk: Trunk,
    /// The last layer, from the features of the trunk to logits.
    pub output: CategoricalOutput,
    #[module(skip)]
    config: ModelConfig,
}

/// The last layer of a [`GatedPixelCnn`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct CategoricalOutput {
    /// The 1x1 convolution to `channels * levels` logits. The logits of a channel read the feature
    /// groups up to their own.
    pub out: MaskedPointwise,
    /// The number of intensity levels.
    levels: usize,
}

impl ModelConfig {
    /// Creates a Gated PixelCNN with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid or its output is not [`Output::Categorical`].
    pub fn init_gated_pixel_cnn(&self, device: &Device) -> GatedPixelCnn {
        self.expect_valid();
        let Output::Categorical { levels } = self.output else {
            panic!("a Gated PixelCNN needs a config with the categorical output");
        };
        let shape = [self.features, self.channels * levels];
        // The trunk is created first, as that of a PixelIQN.
        GatedPixelCnn {
            trunk: Trunk::new(self, device),
            output: CategoricalOutput {
                out: PointwiseConfig::new(shape).init_masked(self.channels, device),
                levels,
            },
            config: self.clone(),
        }
    }
}

impl GatedPixelCnn {
    /// Computes the logits of the intensity levels of each value, given the values before it.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `conditions`: the labels, `[batch]`, of a class-conditional model, and the order
    /// - output: `[batch, channels, levels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if labels are missing for a class-conditional model, if the model has no such order,
    /// or if a shape is wrong.
    pub fn forward<'a>(&self, x: Tensor<4>, conditions: impl Into<Conditions<'a>>) -> Tensor<5> {
        let conditions = conditions.into();
        let logits = self.forward_reordered(conditions.order.reorder(x), conditions);
        conditions.order.restore(logits.permute([0, 3, 4, 1, 2]))
    }

    /// Computes the logits of images that are already in the raster of their order, with the levels
    /// last, as losses read them.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1], [reordered](crate::Order::reorder)
    /// - output: `[batch, height, width, channels, levels]`
    ///
    /// # Panics
    ///
    /// Panics where [`forward`](Self::forward) does.
    pub fn forward_reordered(&self, x: Tensor<4>, conditions: Conditions<'_>) -> Tensor<5> {
        let [batch, channels, height, width] = x.dims();
        let shape = [batch, height, width, channels, self.levels()];
        let context = self.trunk.forward(x, conditions, None);
        self.output.out.forward(context).reshape(shape)
    }

    /// The number of intensity levels; level `l` is the value `l / (levels - 1)`.
    pub fn levels(&self) -> usize {
        self.output.levels
    }
}

impl PixelModel for GatedPixelCnn {
    fn init(config: &ModelConfig, device: &Device) -> Self {
        config.init_gated_pixel_cnn(device)
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    /// Evaluates the inverse distribution function at tau: the lowest intensity level whose
    /// cumulative probability is at least tau, divided by `levels - 1`.
    fn values(&self, x: Tensor<4>, tau: Tensor<4>, conditions: Conditions<'_>) -> Tensor<4> {
        let order = conditions.order;
        let tau: Tensor<5> = order.reorder(tau).permute([0, 2, 3, 1]).unsqueeze_dim(4);
        let logits = self.forward_reordered(order.reorder(x), conditions);
        let values = inverse_cdf(logits, tau).squeeze_dim::<4>(4);
        order.restore(values.permute([0, 3, 1, 2]))
    }

    fn lowering(&self) -> Lowering {
        self.trunk.lowering()
    }

    fn set_lowering(&mut self, lowering: Lowering) {
        self.trunk.set_lowering(lowering);
        self.output.out.lowering = lowering.unrounded();
    }
}

/// Finds the lowest intensity level whose cumulative probability is at least tau, divided by
/// `levels - 1`. Where a logit is not a number, neither is the result.
///
/// # Shapes
///
/// - `logits`: `[.., levels]`
/// - `tau`: `[.., 1]`
/// - output: `[.., 1]`
pub(crate) fn inverse_cdf<const D: usize>(logits: Tensor<D>, tau: Tensor<D>) -> Tensor<D> {
    let top = logits.dims()[D - 1] - 1;
    // The last level is left out: it takes the remaining probability, whatever the rounding.
    let cumulative = softmax(logits, D - 1).cumsum(D - 1).narrow(D - 1, 0, top);
    // No comparison with what is no number holds, and that must not become the lowest level.
    let nothing = cumulative.clone().narrow(D - 1, 0, 1).mul_scalar(0.0);
    let below = cumulative.lower(tau).float().sum_dim(D - 1);
    below.div_scalar(top as f32) + nothing
}

//! PixelIQN: Ostrovski, Dabney and Munos, "Autoregressive Quantile Networks for Generative
//! Modeling", ICML 2018, <https://arxiv.org/abs/1806.05575>.

use burn::module::{Module, Param};
use burn::tensor::{Device, Tensor, assert_shape};
use pixel_iqn_loss::{Knots, QuantileFunctions, increments_of_uniform};

use crate::config::ModelConfig;
use crate::gated_layer::Conditions;
use crate::lower::{
    self, Lowering, join_groups, split_groups, to_channels_first, to_channels_last,
};
use crate::model::PixelModel;
use crate::output::Output;
use crate::pointwise::{
    GroupedPointwise, GroupedPointwiseConfig, MaskedPointwise, PointwiseConfig,
};
use crate::tau::{TauEmbedding, TauEmbeddingConfig};
use crate::tau_head::TauHeadBlock;
use crate::trunk::Trunk;

/// A PixelIQN: it predicts the quantile function of every value of an image, given the values
/// before it.
///
/// At uniform random tau its output is a sample, which a [`Sampler`](crate::Sampler) generates
/// value by value. Training by quantile regression at random tau minimises the quantile divergence.
///
/// Created by [`ModelConfig::init_pixel_iqn`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct PixelIqn {
    /// The layers shared with [`GatedPixelCnn`](crate::GatedPixelCnn).
    pub trunk: Trunk,
    /// The layers from the features of the trunk to quantiles.
    pub output: QuantileOutput,
    #[module(skip)]
    config: ModelConfig,
}

/// The layers of a [`PixelIqn`] besides its trunk, for each [`Output`] that predicts quantiles.
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one per model")]
#[non_exhaustive]
pub enum QuantileOutput {
    /// The layers of [`Output::Gates`].
    Gates(GatesOutput),
    /// The layers of [`Output::Head`].
    Head(HeadOutput),
    /// The layers of [`Output::Monotone`].
    Monotone(MonotoneOutput),
}

/// The layers of [`Output::Gates`], whose tau enters the gates of the trunk.
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct GatesOutput {
    /// The embedding of tau.
    pub tau_embedding: TauEmbedding,
    /// The 1x1 convolution to one value per channel, which reads the feature groups up to its own.
    pub out: MaskedPointwise,
}

/// The layers of [`Output::Head`], whose tau enters after the trunk.
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct HeadOutput {
    /// The embedding of tau.
    pub tau_embedding: TauEmbedding,
    /// The gated blocks whose gates tau enters.
    pub head_blocks: Vec<TauHeadBlock>,
    /// The 1x1 convolution to one value per channel, which reads its own feature group alone.
    pub out: GroupedPointwise,
}

/// The layers of [`Output::Monotone`], whose quantile functions need no tau.
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct MonotoneOutput {
    /// The 1x1 convolution to `channels * knots` numbers: for each channel the value at the first
    /// knot, then the increments to the others. Those of a channel read the feature groups up to its
    /// own.
    pub out: MaskedPointwise,
    #[module(skip)]
    knots: Knots,
}

impl MonotoneOutput {
    /// The quantile levels of the knots.
    pub fn knots(&self) -> &Knots {
        &self.knots
    }

    /// Computes the increments of every value's quantile function from the context features,
    /// `[batch, height, width, channels, knots]`.
    fn increments(&self, context: Tensor<4>) -> Tensor<5> {
        let [batch, height, width, _] = context.dims();
        let increments = self.out.forward(context);
        let [.., outputs] = increments.dims();
        let knots = self.knots.len();
        increments.reshape([batch, height, width, outputs / knots, knots])
    }
}

impl ModelConfig {
    /// Creates a PixelIQN with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid or its output does not predict quantiles.
    pub fn init_pixel_iqn(&self, device: &Device) -> PixelIqn {
        self.expect_valid();
        let shape = [self.features, self.channels];
        // The trunk first: its initial weights then are those of every other output.
        let trunk = Trunk::new(self, device);
        // Predictions start at the midpoint of the range of values: our choice.
        let bias = || Param::from_tensor(Tensor::full([self.channels], 0.5, device));
        let embedding = |cosines, features| {
            TauEmbeddingConfig::new()
                .with_cosines(cosines)
                .with_features(features)
                .init(device)
        };
        let output = match self.output {
            Output::Gates {
                cosines,
                tau_features,
            } => {
                let mut out = PointwiseConfig::new(shape).init_masked(self.channels, device);
                out.bias = bias();
                QuantileOutput::Gates(GatesOutput {
                    tau_embedding: embedding(cosines, tau_features),
                    out,
                })
            }
            Output::Head {
                blocks,
                cosines,
                tau_features,
            } => {
                let mut out = GroupedPointwiseConfig::new(shape, self.channels).init(device);
                out.bias = bias();
                let block = |_| TauHeadBlock::new(self, tau_features, device);
                QuantileOutput::Head(HeadOutput {
                    tau_embedding: embedding(cosines, tau_features),
                    head_blocks: (0..blocks).map(block).collect(),
                    out,
                })
            }
            Output::Monotone { ref knots } => {
                let knots = Knots::new(knots.as_slice()).expect("the config is valid");
                let shape = [self.features, self.channels * knots.len()];
                let mut out = PointwiseConfig::new(shape).init_masked(self.channels, device);
                // The quantile functions start uniform on the range of values: our choice.
                let bias = increments_of_uniform(&knots).repeat(self.channels);
                out.bias = Param::from_tensor(Tensor::from_data(bias.as_slice(), device));
                QuantileOutput::Monotone(MonotoneOutput { out, knots })
            }
            Output::Categorical { .. } => {
                panic!("a PixelIQN needs a config whose output predicts quantiles")
            }
        };
        PixelIqn {
            trunk,
            output,
            config: self.clone(),
        }
    }
}

impl PixelIqn {
    /// Computes the tau quantile of each value given those before it.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - `conditions`: the labels, `[batch]`, of a class-conditional model, and the order
    /// - output: `[batch, channels, height, width]`; near [0, 1], not clamped
    ///
    /// # Panics
    ///
    /// Panics if labels are missing for a class-conditional model, if the model has no such order,
    /// or if a shape is wrong.
    pub fn forward<'a>(
        &self,
        x: Tensor<4>,
        tau: Tensor<4>,
        conditions: impl Into<Conditions<'a>>,
    ) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        assert_shape!(tau, [batch, channels, height, width]);
        self.forward_many(x, tau, conditions)
    }

    /// Computes several quantiles of each value given those before it. With [`Output::Head`] and
    /// [`Output::Monotone`] they share one pass of the trunk.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[taus * batch, channels, height, width]`, in (0, 1); the first tau of every image,
    ///   then the second of every image, and so on
    /// - `conditions`: the labels, `[batch]`, of a class-conditional model, and the order
    /// - output: `[taus * batch, channels, height, width]`, in the order of `tau`
    ///
    /// # Panics
    ///
    /// Panics where [`forward`](Self::forward) does.
    pub fn forward_many<'a>(
        &self,
        x: Tensor<4>,
        tau: Tensor<4>,
        conditions: impl Into<Conditions<'a>>,
    ) -> Tensor<4> {
        let conditions = conditions.into();
        let order = conditions.order;
        order.restore(self.forward_reordered(order.reorder(x), order.reorder(tau), conditions))
    }

    /// Computes quantiles as [`forward_many`](Self::forward_many) does, of images that are already
    /// in the raster of their order, and leaves the result in it, as losses read it.
    ///
    /// # Shapes
    ///
    /// - `x`, `tau`, output: those of [`forward_many`](Self::forward_many),
    ///   [reordered](crate::Order::reorder)
    ///
    /// # Panics
    ///
    /// Panics where [`forward`](Self::forward) does.
    pub fn forward_reordered(
        &self,
        x: Tensor<4>,
        tau: Tensor<4>,
        conditions: Conditions<'_>,
    ) -> Tensor<4> {
        let ([batch, channels, height, width], [total, ..]) = (x.dims(), tau.dims());
        let taus = total / batch;
        assert_shape!(tau, [taus * batch, channels, height, width]);
        match &self.output {
            QuantileOutput::Gates(output) => {
                let phi = output.tau_embedding.forward_images(tau);
                let labels = match taus {
                    1 => conditions.labels.cloned(),
                    _ => (conditions.labels).map(|labels| labels.clone().repeat_dim(0, taus)),
                };
                let conditions = Conditions {
                    labels: labels.as_ref(),
                    ..conditions
                };
                let x = if taus == 1 { x } else { x.repeat_dim(0, taus) };
                let context = self.trunk.forward(x, conditions, Some(&phi));
                to_channels_first(output.out.forward(context))
            }
            QuantileOutput::Head(output) => {
                let context = self.trunk.forward(x, conditions, None);
                let context = match taus {
                    1 => context,
                    _ => context.repeat_dim(0, taus),
                };
                output.quantiles(context, tau)
            }
            QuantileOutput::Monotone(output) => {
                let increments = output.increments(self.trunk.forward(x, conditions, None));
                let functions =
                    QuantileFunctions::from_increments(increments, output.knots.clone());
                let tau = tau.reshape([taus, batch, channels, height, width]);
                functions
                    .quantile(tau.permute([1, 3, 4, 2, 0]))
                    .permute([4, 0, 3, 1, 2])
                    .reshape([total, channels, height, width])
            }
        }
    }

    /// Computes the quantile function of each value given those before it, for a model with
    /// [`Output::Monotone`]; other outputs have none.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `conditions`: the labels, `[batch]`, of a class-conditional model, and the order
    /// - output: quantile functions with values `[batch, channels, height, width, knots]`, not
    ///   bounded
    ///
    /// # Panics
    ///
    /// Panics where [`forward`](Self::forward) does.
    pub fn quantile_functions<'a>(
        &self,
        x: Tensor<4>,
        conditions: impl Into<Conditions<'a>>,
    ) -> Option<QuantileFunctions<5>> {
        let QuantileOutput::Monotone(output) = &self.output else {
            return None;
        };
        let conditions = conditions.into();
        let order = conditions.order;
        let context = self.trunk.forward(order.reorder(x), conditions, None);
        let increments = output.increments(context);
        let functions = QuantileFunctions::from_increments(increments, output.knots.clone());
        let values = order.restore(functions.values().permute([0, 3, 4, 1, 2]));
        let values = values.permute([0, 1, 3, 4, 2]);
        Some(QuantileFunctions::new(values, output.knots.clone()))
    }

    /// Computes the exact CRPS of the quantile function of each value, for a model with
    /// [`Output::Monotone`]: a loss without tau and without noise. Other outputs have none.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1], [reordered](crate::Order::reorder)
    /// - `target`: `[batch, channels, height, width]`, reordered; a constant to autodiff
    /// - `bounds`: what predictions are clamped to, `[0, 1]` for what is sampled, or infinite
    /// - output: `[batch, height, width, channels]`
    ///
    /// # Panics
    ///
    /// Panics where [`forward`](Self::forward) does.
    pub fn crps_reordered(
        &self,
        x: Tensor<4>,
        target: Tensor<4>,
        conditions: Conditions<'_>,
        bounds: [f64; 2],
    ) -> Option<Tensor<4>> {
        let QuantileOutput::Monotone(output) = &self.output else {
            return None;
        };
        let [batch, channels, height, width] = x.dims();
        assert_shape!(target, [batch, channels, height, width]);
        let increments = output.increments(self.trunk.forward(x, conditions, None));
        let target = to_channels_last(target).unsqueeze_dim(4);
        let crps = lower::crps_of_increments(increments, &output.knots, target, bounds);
        Some(crps.squeeze_dim(4))
    }
}

impl HeadOutput {
    /// Computes the tau quantile of each value from the context features, which do not depend on
    /// tau, so that many tau can share one pass of the trunk.
    ///
    /// # Shapes
    ///
    /// - `context`: `[batch, height, width, features]`, the output of [`Trunk::forward`]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - output: `[batch, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if a shape is wrong.
    pub fn quantiles(&self, context: Tensor<4>, tau: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = tau.dims();
        assert_shape!(context, [batch, height, width, _]);
        let phi = self.tau_embedding.forward_images(tau);
        let mut h = split_groups(context, channels);
        for block in &self.head_blocks {
            h = block.forward(h, phi.clone());
        }
        to_channels_first(join_groups(self.out.forward(h), [batch, height, width]))
    }
}

impl PixelModel for PixelIqn {
    fn init(config: &ModelConfig, device: &Device) -> Self {
        config.init_pixel_iqn(device)
    }

    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn values(&self, x: Tensor<4>, tau: Tensor<4>, conditions: Conditions<'_>) -> Tensor<4> {
        let values = self.forward(x, tau, conditions);
        // The nearest end would hide that the model predicts nothing.
        let nothing = values.clone().mul_scalar(0.0);
        values.clamp(0.0, 1.0) + nothing
    }

    fn lowering(&self) -> Lowering {
        self.trunk.lowering()
    }

    fn set_lowering(&mut self, lowering: Lowering) {
        self.trunk.set_lowering(lowering);
        match &mut self.output {
            QuantileOutput::Gates(output) => {
                output.tau_embedding.lowering = lowering.unrounded();
                output.out.lowering = lowering.unrounded();
            }
            QuantileOutput::Head(output) => output.tau_embedding.lowering = lowering.unrounded(),
            QuantileOutput::Monotone(output) => output.out.lowering = lowering.unrounded(),
        }
    }
}

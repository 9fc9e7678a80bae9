//! PixelIQN: Ostrovski, Dabney and Munos, "Autoregressive Quantile Networks for Generative
//! Modeling", ICML 2018, <https://arxiv.org/abs/1806.05575>.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, assert_shape};

use crate::config::ModelConfig;
use crate::gated_layer::Conditions;
use crate::lower::{Lowering, join_groups, split_groups, to_channels_first};
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

impl ModelConfig {
    /// Creates a PixelIQN with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid or its output does not predict quantiles.
    pub fn init_pixel_iqn(&self, device: &Device) -> PixelIqn {
        self.expect_valid();
        let shape = [self.features, self.channels];
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
            Output::Categorical { .. } => {
                panic!("a PixelIQN needs a config whose output predicts quantiles")
            }
        };
        PixelIqn {
            trunk: Trunk::new(self, device),
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
    /// - `labels`: `[batch]`, for a class-conditional model; the number of classes stands for no
    ///   class
    /// - output: `[batch, channels, height, width]`; near [0, 1], not clamped
    ///
    /// # Panics
    ///
    /// Panics if `labels` is missing for a class-conditional model, or if a shape is wrong.
    pub fn forward(
        &self,
        x: Tensor<4>,
        tau: Tensor<4>,
        labels: Option<&Tensor<1, Int>>,
    ) -> Tensor<4> {
        let [batch, channels, height, width] = x.dims();
        assert_shape!(tau, [batch, channels, height, width]);
        match &self.output {
            QuantileOutput::Gates(output) => {
                let phi = output.tau_embedding.forward_images(tau);
                let conditions = Conditions::new(labels).with_phi(&phi);
                let context = self.trunk.forward(x, conditions);
                to_channels_first(output.out.forward(context))
            }
            QuantileOutput::Head(output) => {
                let context = self.trunk.forward(x, Conditions::new(labels));
                output.quantiles(context, tau)
            }
        }
    }

    /// Computes several quantiles of each value given those before it. With [`Output::Head`] they
    /// share one pass of the trunk.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[taus * batch, channels, height, width]`, in (0, 1); the first tau of every image,
    ///   then the second of every image, and so on
    /// - `labels`: `[batch]`, for a class-conditional model; the number of classes stands for no
    ///   class
    /// - output: `[taus * batch, channels, height, width]`, in the order of `tau`
    ///
    /// # Panics
    ///
    /// Panics if `labels` is missing for a class-conditional model, or if a shape is wrong.
    pub fn forward_many(
        &self,
        x: Tensor<4>,
        tau: Tensor<4>,
        labels: Option<&Tensor<1, Int>>,
    ) -> Tensor<4> {
        let ([batch, channels, height, width], [total, ..]) = (x.dims(), tau.dims());
        let taus = total / batch;
        assert_shape!(tau, [taus * batch, channels, height, width]);
        if taus == 1 {
            return self.forward(x, tau, labels);
        }
        match &self.output {
            QuantileOutput::Gates(_) => {
                let labels = labels.map(|labels| labels.clone().repeat_dim(0, taus));
                self.forward(x.repeat_dim(0, taus), tau, labels.as_ref())
            }
            QuantileOutput::Head(output) => {
                let context = self.trunk.forward(x, Conditions::new(labels));
                output.quantiles(context.repeat_dim(0, taus), tau)
            }
        }
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

    fn values(&self, x: Tensor<4>, tau: Tensor<4>, labels: Option<&Tensor<1, Int>>) -> Tensor<4> {
        self.forward(x, tau, labels).clamp(0.0, 1.0)
    }

    fn set_lowering(&mut self, lowering: Lowering) {
        self.trunk.set_lowering(lowering);
        match &mut self.output {
            QuantileOutput::Gates(output) => {
                output.tau_embedding.lowering = lowering;
                output.out.lowering = lowering;
            }
            QuantileOutput::Head(output) => output.tau_embedding.lowering = lowering,
        }
    }
}

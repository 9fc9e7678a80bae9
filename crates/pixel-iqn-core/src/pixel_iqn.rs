//! PixelIQN: Ostrovski, Dabney and Munos, "Autoregressive Quantile Networks for Generative
//! Modeling", ICML 2018, <https://arxiv.org/abs/1806.05575>.

use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor, assert_shape};

use crate::config::{Head, ModelConfig, TauInjection};
use crate::lower::{join_groups, split_groups, to_channels_first};
use crate::model::PixelModel;
use crate::pointwise::{
    GroupedPointwise, GroupedPointwiseConfig, MaskedPointwise, PointwiseConfig,
};
use crate::tau::{TauEmbedding, TauEmbeddingConfig};
use crate::tau_head::TauHeadBlock;
use crate::trunk::Trunk;

/// The quantile function of every value of an image, given the values before it.
///
/// Fed with uniform noise tau it returns a sample ([`Sampler`](crate::Sampler)); trained
/// by quantile regression at random tau it minimises the quantile divergence.
///
/// Created by [`ModelConfig::init_pixel_iqn`].
#[derive(Module, Debug)]
pub struct PixelIqn {
    /// The layers shared with [`GatedPixelCnn`](crate::GatedPixelCnn).
    pub trunk: Trunk,
    /// The embedding of tau.
    pub tau_embedding: TauEmbedding,
    /// The blocks after the trunk through which tau enters; [`TauInjection::Head`] only.
    pub head_blocks: Vec<TauHeadBlock>,
    /// From the features to one value per channel.
    pub out: OutputLayer,
    #[module(skip)]
    config: ModelConfig,
}

/// The last layer of a [`PixelIqn`].
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "there is one per model")]
pub enum OutputLayer {
    /// Of [`TauInjection::Gates`]: a channel reads its features and those before it.
    Masked(MaskedPointwise),
    /// Of [`TauInjection::Head`]: a channel reads its own features alone.
    Grouped(GroupedPointwise),
}

impl ModelConfig {
    /// Creates a PixelIQN with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid or its head is not [`Head::Quantile`].
    pub fn init_pixel_iqn(&self, device: &Device) -> PixelIqn {
        self.expect_valid();
        assert_eq!(
            self.head,
            Head::Quantile,
            "a PixelIQN needs a config with the quantile head"
        );
        let shape = [self.features, self.channels];
        // Values start in the middle of their range: our choice.
        let bias = Param::from_tensor(Tensor::full([self.channels], 0.5, device));
        let (out, blocks) = match self.tau_injection {
            TauInjection::Gates => {
                let mut layer = PointwiseConfig::new(shape).init_masked(self.channels, device);
                layer.bias = bias;
                (OutputLayer::Masked(layer), 0)
            }
            TauInjection::Head => {
                let mut layer = GroupedPointwiseConfig::new(shape, self.channels).init(device);
                layer.bias = bias;
                (OutputLayer::Grouped(layer), self.head_blocks)
            }
        };
        PixelIqn {
            trunk: Trunk::new(self, device),
            tau_embedding: TauEmbeddingConfig::new()
                .with_cosines(self.cosines)
                .with_features(self.tau_features)
                .init(device),
            head_blocks: (0..blocks)
                .map(|_| TauHeadBlock::new(self, device))
                .collect(),
            out,
            config: self.clone(),
        }
    }
}

impl PixelIqn {
    /// The tau quantile of each value given those before it.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - `labels`: `[batch]`, for a class-conditional model
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
        match &self.out {
            OutputLayer::Masked(out) => {
                let phi = self.tau_embedding.forward_images(tau);
                let context = self.trunk.forward(x, Some(&phi), labels);
                to_channels_first(out.forward(context))
            }
            OutputLayer::Grouped(_) => {
                let context = self.trunk.forward(x, None, labels);
                self.quantiles(context, tau)
            }
        }
    }

    /// Several quantiles of each value given those before it: with
    /// [`TauInjection::Head`] they share one pass of the trunk.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[taus * batch, channels, height, width]`, in (0, 1); the first tau of every image,
    ///   then the second of every image, and so on
    /// - `labels`: `[batch]`, for a class-conditional model
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
        match &self.out {
            OutputLayer::Masked(_) => {
                let labels = labels.map(|labels| labels.clone().repeat_dim(0, taus));
                self.forward(x.repeat_dim(0, taus), tau, labels.as_ref())
            }
            OutputLayer::Grouped(_) => {
                let context = self.trunk.forward(x, None, labels);
                self.quantiles(context.repeat_dim(0, taus), tau)
            }
        }
    }

    /// The tau quantile of each value from the context features, which do not depend on tau:
    /// many tau cost one pass of the trunk.
    ///
    /// # Shapes
    ///
    /// - `context`: `[batch, height, width, features]`, by [`Trunk::forward`]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - output: `[batch, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if tau enters through the gates, or if a shape is wrong.
    pub fn quantiles(&self, context: Tensor<4>, tau: Tensor<4>) -> Tensor<4> {
        let [batch, channels, height, width] = tau.dims();
        assert_shape!(context, [batch, height, width, _]);
        let OutputLayer::Grouped(out) = &self.out else {
            panic!("`quantiles` needs a model with the head injection of tau");
        };
        let phi = self.tau_embedding.forward_images(tau);
        let mut h = split_groups(context, channels);
        for block in &self.head_blocks {
            h = block.forward(h, phi.clone());
        }
        to_channels_first(join_groups(out.forward(h), [batch, height, width]))
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
}

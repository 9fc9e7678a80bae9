use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::gated_layer::gate;
use crate::pointwise::{GroupedPointwise, GroupedPointwiseConfig};
use crate::tau::{TauProjection, TauProjectionConfig};

/// A residual gated 1x1 block of [`Output::Head`](crate::Output::Head). It never mixes channel
/// groups, so that the tau of one channel cannot reach another (our choice).
///
/// Created by [`TauHeadBlock::new`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct TauHeadBlock {
    /// The two 1x1 convolutions from the features, one to each gate half.
    pub input: Vec<GroupedPointwise>,
    /// The projection of the quantile embedding to both gate halves.
    pub tau: TauProjection,
    /// The 1x1 convolution from the gated features to the residual.
    pub output: GroupedPointwise,
}

impl TauHeadBlock {
    /// Creates a block of a model whose quantile embedding has `tau_features` features.
    ///
    /// # Panics
    ///
    /// Panics if `config` is invalid.
    pub fn new(config: &ModelConfig, tau_features: usize, device: &Device) -> Self {
        config.expect_valid();
        let (features, groups) = (config.features, config.channels);
        let grouped = || GroupedPointwiseConfig::new([features, features], groups).init(device);
        Self {
            input: vec![grouped(), grouped()],
            tau: TauProjectionConfig::new(tau_features, features, groups).init(device),
            output: grouped(),
        }
    }

    /// Applies the block to features with the channel groups first.
    ///
    /// # Shapes
    ///
    /// - `h`: `[channels, positions, features / channels]`
    /// - `phi`: `[channels, positions, tau_features]`
    /// - output: `[channels, positions, features / channels]`
    ///
    /// # Panics
    ///
    /// Panics if a shape is wrong.
    pub fn forward(&self, h: Tensor<3>, phi: Tensor<3>) -> Tensor<3> {
        let halves = self.input.iter().map(|half| half.forward(h.clone()));
        let gates = Tensor::cat(halves.collect(), 2) + self.tau.forward_groups(phi);
        h + self.output.forward(gate(gates))
    }
}

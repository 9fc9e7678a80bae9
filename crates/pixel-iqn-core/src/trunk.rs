use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};

use crate::config::ModelConfig;
use crate::gated_layer::{Conditions, GatedLayer};
use crate::lower::{Lowering, to_channels_last};
use crate::pointwise::{MaskedPointwise, PointwiseConfig};

/// The layers that [`PixelIqn`](crate::PixelIqn) and [`GatedPixelCnn`](crate::GatedPixelCnn) share:
/// the gated layers and a hidden 1x1 layer.
///
/// Created by [`Trunk::new`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct Trunk {
    /// The gated layers, the input layer first.
    pub layers: Vec<GatedLayer>,
    /// The hidden 1x1 layer after the gated layers.
    pub hidden: MaskedPointwise,
    /// The number of image channels.
    channels: usize,
}

impl Trunk {
    /// Creates the layers.
    ///
    /// # Panics
    ///
    /// Panics if `config` is invalid.
    pub fn new(config: &ModelConfig, device: &Device) -> Self {
        config.expect_valid();
        Self {
            layers: (0..config.layers)
                .map(|index| GatedLayer::new(config, index, device))
                .collect(),
            hidden: PointwiseConfig::new([config.features, config.features])
                .init_masked(config.channels, device),
            channels: config.channels,
        }
    }

    /// Computes the context features of every position. Group
    /// `c` of a pixel reads the channels before `c` of that pixel, and every channel of the earlier
    /// pixels in raster order.
    ///
    /// The order of the conditions decides the biases alone: `x` and the features are in its raster.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1], [reordered](crate::Order::reorder)
    /// - `phi`: `[channels, batch * height * width, tau_features]`, the embedding of every value's
    ///   tau, for a model with [`Output::Gates`](crate::Output::Gates)
    /// - output: `[batch, height, width, features]`
    ///
    /// # Panics
    ///
    /// Panics if a condition is missing that the model needs, or if a shape is wrong.
    pub fn forward(
        &self,
        x: Tensor<4>,
        conditions: Conditions<'_>,
        phi: Option<&Tensor<3>>,
    ) -> Tensor<4> {
        let channels = self.channels;
        assert_shape!(x, [_, channels, _, _]);
        let x = to_channels_last(x) * 2.0 - 1.0;
        let (mut v, mut h) = (x.clone(), x);
        for layer in &self.layers {
            (v, h) = layer.forward(v, h, conditions, phi);
        }
        relu(self.hidden.forward(relu(h)))
    }

    /// Sets how the convolutions become operations of the backend.
    pub(crate) fn set_lowering(&mut self, lowering: Lowering) {
        for layer in &mut self.layers {
            layer.set_lowering(lowering);
        }
        self.hidden.lowering = lowering;
    }

    /// How the convolutions become operations of the backend.
    pub(crate) fn lowering(&self) -> Lowering {
        self.hidden.lowering
    }
}

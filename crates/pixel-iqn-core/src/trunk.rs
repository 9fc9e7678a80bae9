use burn::module::Module;
use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, assert_shape};

use crate::config::ModelConfig;
use crate::gated_layer::GatedLayer;
use crate::lower::to_channels_last;
use crate::pointwise::{MaskedPointwise, PointwiseConfig};

/// What [`PixelIqn`](crate::PixelIqn) and [`GatedPixelCnn`](crate::GatedPixelCnn) share: the gated
/// layers and one hidden 1x1 layer.
///
/// Created by [`Trunk::new`].
#[derive(Module, Debug)]
pub struct Trunk {
    /// The gated layers, the input layer first.
    pub layers: Vec<GatedLayer>,
    /// The 1x1 layer after them.
    pub hidden: MaskedPointwise,
    /// Image channels.
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
                .map(|i| GatedLayer::new(config, i == 0, device))
                .collect(),
            hidden: PointwiseConfig::new([config.features, config.features])
                .init_masked(config.channels, device),
            channels: config.channels,
        }
    }

    /// The context features of every position: group `c` of a pixel sees the channels before `c`
    /// of that pixel, and every channel of the earlier pixels in raster order.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `phi`: `[channels, batch * height * width, tau_features]`, where tau enters the gates
    /// - `labels`: `[batch]`, for a class-conditional model
    /// - output: `[batch, height, width, features]`
    ///
    /// # Panics
    ///
    /// Panics if `phi` or `labels` is missing where the model needs it, or if a shape is wrong.
    pub fn forward(
        &self,
        x: Tensor<4>,
        phi: Option<&Tensor<3>>,
        labels: Option<&Tensor<1, Int>>,
    ) -> Tensor<4> {
        let channels = self.channels;
        assert_shape!(x, [_, channels, _, _]);
        let x = to_channels_last(x) * 2.0 - 1.0;
        let (mut v, mut h) = (x.clone(), x);
        for layer in &self.layers {
            (v, h) = layer.forward(v, h, phi, labels);
        }
        relu(self.hidden.forward(relu(h)))
    }
}

use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::gated_layer::Conditions;
use crate::gated_pixel_cnn::GatedPixelCnn;
use crate::lower::Lowering;
use crate::model::PixelModel;
use crate::pixel_iqn::PixelIqn;

/// A model of any kind, for programs that work with each of them. [`ModelConfig::output`] decides
/// which it is.
///
/// ```
/// use burn::tensor::Device;
/// use pixel_iqn_core::{AnyModel, ModelConfig, Output, PixelModel};
///
/// let config = ModelConfig::tiny().with_output(Output::categorical(16));
/// let model = AnyModel::init(&config, &Device::flex());
/// assert!(matches!(model, AnyModel::GatedPixelCnn(_)));
/// ```
#[derive(Module, Debug)]
#[allow(clippy::large_enum_variant, reason = "programs hold one model")]
#[non_exhaustive]
pub enum AnyModel {
    /// A PixelIQN, which predicts quantiles.
    PixelIqn(PixelIqn),
    /// A Gated PixelCNN, which predicts the probabilities of intensity levels.
    GatedPixelCnn(GatedPixelCnn),
}

impl From<PixelIqn> for AnyModel {
    fn from(model: PixelIqn) -> Self {
        Self::PixelIqn(model)
    }
}

impl From<GatedPixelCnn> for AnyModel {
    fn from(model: GatedPixelCnn) -> Self {
        Self::GatedPixelCnn(model)
    }
}

impl PixelModel for AnyModel {
    fn init(config: &ModelConfig, device: &Device) -> Self {
        if config.output.is_quantile() {
            config.init_pixel_iqn(device).into()
        } else {
            config.init_gated_pixel_cnn(device).into()
        }
    }

    fn config(&self) -> &ModelConfig {
        match self {
            Self::PixelIqn(model) => model.config(),
            Self::GatedPixelCnn(model) => model.config(),
        }
    }

    fn values(&self, x: Tensor<4>, tau: Tensor<4>, conditions: Conditions<'_>) -> Tensor<4> {
        match self {
            Self::PixelIqn(model) => model.values(x, tau, conditions),
            Self::GatedPixelCnn(model) => model.values(x, tau, conditions),
        }
    }

    fn set_lowering(&mut self, lowering: Lowering) {
        match self {
            Self::PixelIqn(model) => model.set_lowering(lowering),
            Self::GatedPixelCnn(model) => model.set_lowering(lowering),
        }
    }

    fn lowering(&self) -> Lowering {
        match self {
            Self::PixelIqn(model) => model.lowering(),
            Self::GatedPixelCnn(model) => model.lowering(),
        }
    }
}

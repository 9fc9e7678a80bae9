use burn::module::Module;
use burn::tensor::{Device, Tensor};

use crate::config::ModelConfig;
use crate::draw;
use crate::gated_layer::Conditions;
use crate::lower::Lowering;

/// A model that turns uniform noise into the values of an image, each given the values before it.
/// [`PixelIqn`](crate::PixelIqn), [`GatedPixelCnn`](crate::GatedPixelCnn) and
/// [`AnyModel`](crate::AnyModel) are such models.
pub trait PixelModel: Module {
    /// Creates the model with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid, or if its output belongs to another kind of model.
    fn init(config: &ModelConfig, device: &Device) -> Self;

    /// Creates the model with weights that follow from a seed: the same on every device, and in
    /// every thread.
    ///
    /// # Panics
    ///
    /// Panics where [`init`](Self::init) does.
    fn init_seeded(config: &ModelConfig, device: &Device, seed: u64) -> Self {
        draw::seeded(seed, || Self::init(config, device))
    }

    /// The architecture of the model.
    fn config(&self) -> &ModelConfig;

    /// Computes the tau quantile of each value given those before it, in [0, 1].
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - output: `[batch, channels, height, width]`; all three in the image's own orientation
    ///
    /// # Panics
    ///
    /// Panics if a condition is missing that the model needs, if it has no such order, or if a shape
    /// is wrong.
    fn values(&self, x: Tensor<4>, tau: Tensor<4>, conditions: Conditions<'_>) -> Tensor<4>;

    /// Sets how the convolutions become operations of the backend. The default implementation does
    /// nothing.
    fn set_lowering(&mut self, _lowering: Lowering) {}

    /// How the convolutions become operations of the backend. The default implementation returns the default.
    fn lowering(&self) -> Lowering {
        Lowering::default()
    }

    /// Returns the model with another lowering of its convolutions.
    fn with_lowering(mut self, lowering: Lowering) -> Self {
        self.set_lowering(lowering);
        self
    }
}

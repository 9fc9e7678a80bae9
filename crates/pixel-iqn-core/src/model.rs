use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
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

    /// The architecture of the model.
    fn config(&self) -> &ModelConfig;

    /// Computes the tau quantile of each value given those before it, in [0, 1].
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - `labels`: `[batch]`, for a class-conditional model; the number of classes stands for no
    ///   class
    /// - output: `[batch, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if `labels` is missing for a class-conditional model, or if a shape is wrong.
    fn values(&self, x: Tensor<4>, tau: Tensor<4>, labels: Option<&Tensor<1, Int>>) -> Tensor<4>;

    /// Sets how the convolutions become operations of the backend. The default implementation does
    /// nothing.
    fn set_lowering(&mut self, _lowering: Lowering) {}

    /// Returns the model with another lowering of its convolutions.
    fn with_lowering(mut self, lowering: Lowering) -> Self {
        self.set_lowering(lowering);
        self
    }
}

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::lower::Lowering;

/// What [`PixelIqn`](crate::PixelIqn) and [`GatedPixelCnn`](crate::GatedPixelCnn) have in common:
/// each turns uniform noise into values, given the values before.
pub trait PixelModel: Module {
    /// Creates the model with random weights.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid or its output is another model's.
    fn init(config: &ModelConfig, device: &Device) -> Self;

    /// The architecture.
    fn config(&self) -> &ModelConfig;

    /// The tau quantile of each value given those before it, in [0, 1].
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - `labels`: `[batch]`, for a class-conditional model
    /// - output: `[batch, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if `labels` is missing for a class-conditional model, or if a shape is wrong.
    fn values(&self, x: Tensor<4>, tau: Tensor<4>, labels: Option<&Tensor<1, Int>>) -> Tensor<4>;

    /// Chooses how the convolutions become operations of the backend. Does nothing unless a model
    /// overrides it.
    fn set_lowering(&mut self, _lowering: Lowering) {}

    /// The model with another lowering of its convolutions.
    fn with_lowering(mut self, lowering: Lowering) -> Self {
        self.set_lowering(lowering);
        self
    }
}

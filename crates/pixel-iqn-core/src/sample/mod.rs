//! Sampling: what to sample, and the samplers.

mod batch;
mod incremental;
mod naive;
mod options;

pub use batch::{KnownValues, RowDone, SampleBatch, SampleError, round_to_level};
pub use incremental::IncrementalSampler;
pub use naive::NaiveSampler;
pub use options::{Labels, SampleOptions, TauSource};

use core::ops::ControlFlow;

use crate::config::ModelConfig;

/// What is called after each finished row: for progress and live views. [`ControlFlow::Break`]
/// cancels the batch. Samplers that spread images over threads call it from each of them.
pub type OnRow<'a> = &'a (dyn Fn(RowDone<'_>) -> ControlFlow<()> + Sync);

/// Turns noise into images.
pub trait Sampler: Send + Sync {
    /// The architecture of the model.
    fn config(&self) -> &ModelConfig;

    /// Samples the images of a batch: the model's inverse distribution function at their tau,
    /// value by value, each conditioned on those before it.
    ///
    /// Returns `[batch, channels, height, width]` in [0, 1].
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model, and
    /// [`SampleError::Cancelled`] where `on_row` broke off.
    fn sample(&self, batch: &SampleBatch, on_row: OnRow<'_>) -> Result<Vec<f32>, SampleError>;
}

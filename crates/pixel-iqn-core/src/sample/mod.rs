//! Sampling: what to sample, and the samplers.

mod batch;
mod incremental;
mod naive;
mod options;

pub use batch::{KnownValues, SampleBatch, SampleError, round_to_level};
pub use incremental::IncrementalSampler;
pub use naive::NaiveSampler;
pub use options::{Labels, SampleOptions, TauSource};

use crate::config::ModelConfig;
use crate::progress::Progress;

/// Turns noise into images.
pub trait Sampler: Send + Sync {
    /// The architecture of the model.
    fn config(&self) -> &ModelConfig;

    /// Samples the images of a batch: the model's inverse distribution function at their tau,
    /// value by value, each conditioned on those before it.
    ///
    /// Returns `[batch, channels, height, width]` in [0, 1]. A unit of the progress is one row of one
    /// image.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model, and
    /// [`SampleError::Cancelled`] where the progress broke off.
    fn sample(&self, batch: &SampleBatch, progress: &dyn Progress)
    -> Result<Vec<f32>, SampleError>;
}

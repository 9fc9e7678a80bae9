//! Sampling: options and batches, and the samplers for every backend.

mod batch;
#[cfg(feature = "burn")]
mod incremental;
#[cfg(feature = "burn")]
mod naive;
mod options;

pub use batch::{KnownValues, SampleBatch, SampleError};
#[cfg(feature = "burn")]
pub use incremental::IncrementalSampler;
#[cfg(feature = "burn")]
pub use naive::NaiveSampler;
pub use options::{Labels, SampleOptions, TauSource};

use crate::config::ModelConfig;
use crate::progress::Progress;

/// A sampler, which turns noise into images.
pub trait Sampler: Send + Sync {
    /// The architecture of the model.
    fn config(&self) -> &ModelConfig;

    /// Samples the images of a batch value by value: each is the model's inverse distribution
    /// function at its tau, given the values before it, or with
    /// [guidance](SampleBatch::with_guidance) that of the guided distribution. A sampler that does not guide
    /// [refuses](SampleBatch::check_without_guidance) such a batch.
    ///
    /// Returns `[batch, channels, height, width]` in [0, 1]. A unit of the progress is one row of
    /// one image.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model, and
    /// [`SampleError::Cancelled`] where the progress cancels.
    fn sample(&self, batch: &SampleBatch, progress: &dyn Progress)
    -> Result<Vec<f32>, SampleError>;
}

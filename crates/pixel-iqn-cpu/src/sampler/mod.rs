//! The compiled sampler: every feature computed once.

mod plan;
mod run;

use pixel_iqn_core::{
    GatedPixelCnn, ModelConfig, OnRow, PixelIqn, SampleBatch, SampleError, Sampler,
};
use rayon::prelude::*;

use plan::Plan;
use run::Run;

/// Samples at the price of about one forward pass, on the CPU.
///
/// The model is compiled once into packed weights. Images are spread over the threads. Per thread
/// and layer, the rows that the vertical stack still reads and the current row of the horizontal
/// stack are kept: memory grows with the width of the images, not with their height.
///
/// Values equal those of the full forward pass but for rounding of float arithmetic.
#[derive(Debug)]
pub struct CpuSampler {
    plan: Plan,
}

impl From<&PixelIqn> for CpuSampler {
    fn from(model: &PixelIqn) -> Self {
        Self {
            plan: Plan::pixel_iqn(model),
        }
    }
}

impl From<&GatedPixelCnn> for CpuSampler {
    fn from(model: &GatedPixelCnn) -> Self {
        Self {
            plan: Plan::gated_pixel_cnn(model),
        }
    }
}

impl CpuSampler {
    /// The model's value at every position of a batch, before clamping, rounding and known values:
    /// with all values known, what the full forward pass returns for them. Also returns the
    /// images.
    ///
    /// # Errors
    ///
    /// As [`Sampler::sample`].
    pub fn predict(
        &self,
        batch: &SampleBatch,
        on_row: OnRow<'_>,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.plan.config)?;
        let [images, channels, height, width] = batch.dims;
        let values = channels * height * width;
        let chunk = images.div_ceil(rayon::current_num_threads());
        let mut predictions = vec![0.0; batch.tau.len()];
        let mut sampled = vec![0.0; batch.tau.len()];
        predictions
            .par_chunks_mut(chunk * values)
            .zip(sampled.par_chunks_mut(chunk * values))
            .enumerate()
            .try_for_each(|(i, (predictions, sampled))| {
                let first = i * chunk;
                let run = Run::new(&self.plan, batch, first, sampled.len() / values);
                run.sample(predictions, sampled, on_row)
            })?;
        Ok((predictions, sampled))
    }
}

impl Sampler for CpuSampler {
    fn config(&self) -> &ModelConfig {
        &self.plan.config
    }

    fn sample(&self, batch: &SampleBatch, on_row: OnRow<'_>) -> Result<Vec<f32>, SampleError> {
        Ok(self.predict(batch, on_row)?.1)
    }
}

//! The compiled sampler: every feature computed once.

mod plan;
mod run;

use pixel_iqn_core::{
    AnyModel, GatedPixelCnn, ModelConfig, PixelIqn, Progress, RowProgress, SampleBatch,
    SampleError, Sampler,
};
use rayon::prelude::*;

use plan::Plan;
use run::Run;

/// Samples at the price of about one forward pass, on the CPU.
///
/// The model is compiled once into packed weights. Images are spread over the threads. Per layer,
/// the rows that the vertical stack still reads and the current row of the horizontal stack are
/// kept.
///
/// Values equal those of the full forward pass but for rounding of float arithmetic, and do not
/// depend on the other images of a batch or on the number of threads.
///
/// # Memory
///
/// For a batch of `B` images of width `W`, `F` features, and layers with kernel `K` and `I` inputs
/// (the image's channels in the first, then `F`), a batch holds
/// `B * (sum over layers of ((K / 2 + 1) (W + 2 (K / 2)) I + (W + K / 2) I + 2 W F + F)
/// + blocks * 2 W F + 2 W F + F)` numbers, where `blocks` are those after the trunk
/// ([`Output::Head`](pixel_iqn_core::Output::Head)). The height of the images does not
/// enter. [`cache_bytes`](Self::cache_bytes) reports it.
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

impl From<&AnyModel> for CpuSampler {
    /// # Panics
    ///
    /// Panics for a model that this version does not know.
    fn from(model: &AnyModel) -> Self {
        match model {
            AnyModel::PixelIqn(model) => model.into(),
            AnyModel::GatedPixelCnn(model) => model.into(),
            _ => panic!("pixel-iqn-cpu is older than the model: use one version of all crates"),
        }
    }
}

impl CpuSampler {
    /// Bytes that sampling a batch of images of a width holds beside the images themselves,
    /// whatever their height: the formula of the type's documentation.
    pub fn cache_bytes(&self, batch: usize, width: usize) -> usize {
        let features = self.plan.config.features;
        let gates = 2 * width * features;
        let layers = self.plan.layers.iter().map(|layer| {
            let vertical = (layer.radius + 1) * (width + 2 * layer.radius) * layer.input;
            vertical + (width + layer.radius) * layer.input + gates + features
        });
        let blocks = self.plan.tau.as_ref().map_or(0, |tau| tau.blocks.len());
        let numbers = layers.sum::<usize>() + (blocks + 1) * gates + features;
        batch * numbers * size_of::<f32>()
    }

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
        progress: &dyn Progress,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.plan.config)?;
        let rows = RowProgress::new(batch, progress);
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
                run.sample(predictions, sampled, &rows)
            })?;
        Ok((predictions, sampled))
    }
}

impl Sampler for CpuSampler {
    fn config(&self) -> &ModelConfig {
        &self.plan.config
    }

    fn sample(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<Vec<f32>, SampleError> {
        Ok(self.predict(batch, progress)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_bytes_are_those_of_a_run() {
        let device = crate::flex();
        let config = ModelConfig::tiny().with_output(pixel_iqn_core::Output::head(2, 16, 8));
        let sampler = CpuSampler::from(&config.init_pixel_iqn(&device));
        for height in [1, 4] {
            let dims = [3, 3, height, 5];
            let batch = SampleBatch::new(dims, vec![0.5; dims.iter().product()]);
            let run = Run::new(&sampler.plan, &batch, 0, 3);
            assert_eq!(run.numbers() * size_of::<f32>(), sampler.cache_bytes(3, 5));
        }
    }
}

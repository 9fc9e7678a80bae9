//! The compiled sampler, which computes every feature once, on packed weights.

mod guidance;
mod layer_state;
mod matrix;
mod plan;
mod row;
mod run;
mod state;
mod steps;
mod team;

use std::sync::Arc;

use pixel_iqn_core::weights::{NamedWeights, WeightsError};
#[cfg(feature = "burn")]
use pixel_iqn_core::{AnyModel, GatedPixelCnn, Lowering, PixelIqn, PixelModel};
use pixel_iqn_core::{
    ModelConfig, Progress, RowProgress, SampleBatch, SampleError, Sampler, without_unconditional,
};
#[cfg(feature = "burn")]
use pixel_iqn_kernels::Bfloat16;
use rayon::prelude::*;

use matrix::Source;
use plan::Plan;
use run::Run;
use state::State;
pub use steps::CpuSampling;
use team::with_helpers;

/// The most threads that share an image, which is our choice: two have been measured.
const MOST_THREADS: usize = 4;

/// A sampler on the CPU that computes every feature once: a batch costs about the arithmetic of one
/// forward pass.
///
/// Creating it compiles the model into packed weights. Images are distributed over the threads. Where
/// there are at least twice as many threads as images, up to four share an image: a second one works a pixel
/// ahead of the first, and all of them on what is computed a row at a time. They are threads of their own, so
/// that batches that a program samples side by side should have an image for each thread.
/// Each layer keeps the rows that the vertical stack still reads, and the current row of the
/// horizontal stack.
///
/// Values equal those of the forward pass up to the rounding of floats, and do not depend on the
/// other images of a batch or on the number of threads.
///
/// # Precision
///
/// A model whose lowering is [`Lowering::Bfloat16`](pixel_iqn_core::Lowering::Bfloat16) is compiled to weights that are rounded to bfloat16
/// numbers, as what they multiply is, where the processor multiplies these: that takes less time, most of all for one
/// image, since half of the memory is read. Its images are others than those of single precision with the
/// same tau, since a value that is drawn otherwise moves all after it.
///
/// # Memory
///
/// For a batch of `B` images of width `W`, `F` features, and layers with `I` inputs (the image
/// channels in the first, `F` in the others) that reach `R` rows up, the dilation times half the
/// kernel size, a batch holds
/// `B * (sum over layers of ((R + 1) (W + 2 R) I + (W + R) I + 2 W F + F) + blocks * 2 W F + C W E
/// + 2 W F + 2 F)` numbers, where `blocks` is the number of blocks of
/// [`Output::Head`](pixel_iqn_core::Output::Head), `C` that of the channels, and `E` the features of the
/// embedding of tau, 0 where there is none. Width and height change places in an order that
/// [transposes](pixel_iqn_core::Order::transposes); the height does not matter. With guidance an image counts
/// twice.
/// [`cache_bytes`](Self::cache_bytes) computes it.
#[derive(Debug)]
pub struct CpuSampler {
    plan: Arc<Plan>,
}

#[cfg(feature = "burn")]
impl From<&PixelIqn> for CpuSampler {
    /// Compiles a PixelIQN.
    ///
    /// # Panics
    ///
    /// Panics for an output that this version does not know, and where the weights cannot be read from
    /// their device.
    fn from(model: &PixelIqn) -> Self {
        Self::of(model.config(), NamedWeights::of(model), model.lowering())
    }
}

#[cfg(feature = "burn")]
impl From<&GatedPixelCnn> for CpuSampler {
    /// Compiles a Gated PixelCNN.
    ///
    /// # Panics
    ///
    /// Panics where the weights cannot be read from their device.
    fn from(model: &GatedPixelCnn) -> Self {
        Self::of(model.config(), NamedWeights::of(model), model.lowering())
    }
}

#[cfg(feature = "burn")]
impl From<&AnyModel> for CpuSampler {
    /// Compiles a model of any kind.
    ///
    /// # Panics
    ///
    /// Panics for a model that this version does not know, and where the weights cannot be read from their
    /// device.
    fn from(model: &AnyModel) -> Self {
        Self::of(model.config(), NamedWeights::of(model), model.lowering())
    }
}

/// Panics for a model that a later version of `pixel-iqn-core` added.
fn unknown() -> ! {
    panic!("pixel-iqn-cpu is older than the model: use one version of all crates")
}

impl CpuSampler {
    /// Compiles a model from the bytes of a safetensors file of its weights, without Burn.
    ///
    /// ```no_run
    /// use pixel_iqn_core::{ModelConfig, NoProgress, SampleOptions, Sampler};
    /// use pixel_iqn_cpu::CpuSampler;
    ///
    /// let config = ModelConfig::from_json(&std::fs::read_to_string("config.json")?)?;
    /// let sampler = CpuSampler::from_safetensors(&config, &std::fs::read("weights.safetensors")?)?;
    /// for batch in SampleOptions::new(1, [32, 32], 0).batches(&config)? {
    ///     let images = sampler.sample(&batch, &NoProgress)?;
    /// }
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`WeightsError`] where the bytes are not a safetensors file, where a value in it is not finite, and
    /// where its tensors are not those of the model.
    ///
    /// # Panics
    ///
    /// Panics if the config is invalid.
    pub fn from_safetensors(config: &ModelConfig, bytes: &[u8]) -> Result<Self, WeightsError> {
        if let Err(error) = config.validate() {
            panic!("{error}");
        }
        let source = Source::new(NamedWeights::read(bytes)?, None);
        let plan = Plan::new(config, source)?;
        Ok(Self {
            plan: Arc::new(plan),
        })
    }

    /// Compiles the weights of a module, which has those of its config.
    #[cfg(feature = "burn")]
    fn of(
        config: &ModelConfig,
        weights: Result<NamedWeights, WeightsError>,
        lowering: Lowering,
    ) -> Self {
        let bfloat16 = match lowering {
            Lowering::Bfloat16 => Bfloat16::detect(),
            _ => None,
        };
        let plan = weights.and_then(|weights| Plan::new(config, Source::new(weights, bfloat16)));
        Self {
            plan: Arc::new(
                plan.unwrap_or_else(|error| panic!("the weights of the model: {error}")),
            ),
        }
    }

    /// Begins to sample the images of a batch pixel by pixel, on the calling thread.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model.
    pub fn begin(&self, batch: &SampleBatch) -> Result<CpuSampling, SampleError> {
        batch.validate(&self.plan.config)?;
        Ok(CpuSampling::new(&self.plan, batch))
    }

    /// Computes the size in bytes of what sampling a batch of images of a width holds besides the
    /// images, by the formula above.
    pub fn cache_bytes(&self, batch: usize, width: usize) -> usize {
        let features = self.plan.config.features;
        let gates = 2 * width * features;
        let layers = self.plan.layers.iter().map(|layer| {
            let vertical = (layer.reach + 1) * (width + 2 * layer.reach) * layer.input;
            vertical + (width + layer.reach) * layer.input + gates + features
        });
        let tau = self.plan.tau.as_ref();
        let blocks = tau.map_or(0, |tau| tau.blocks.len());
        let embedding =
            tau.map_or(0, |tau| tau.weight.outputs()) * self.plan.config.channels * width;
        let numbers = layers.sum::<usize>() + (blocks + 1) * gates + embedding + 2 * features;
        batch * numbers * size_of::<f32>()
    }

    /// Samples the images of a batch, and returns the model's predictions and the images, both
    /// `[batch, channels, height, width]`.
    ///
    /// The predictions are the values before clamping, rounding and given values. With all values
    /// given, they are the output of the model's forward pass. With guidance they are levels already.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model, and
    /// [`SampleError::Cancelled`] where the progress cancels.
    pub fn predict(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.plan.config)?;
        let rows = RowProgress::new(batch, progress);
        let turned = sampled_batch(batch);
        let copies = batch.copies();
        let [images, channels, height, width] = turned.dims;
        let values = channels * height * width;
        let threads = rayon::current_num_threads();
        // An image and its unconditional copy stay together.
        let chunk = (images / copies).div_ceil(threads) * copies;
        // Where there are fewer images than threads, several share one.
        let threads = threads / images.div_ceil(chunk.max(1)).max(1);
        let threads = threads.min(MOST_THREADS);
        let mut predictions = vec![0.0; turned.tau.len()];
        let mut sampled = vec![0.0; turned.tau.len()];
        predictions
            .par_chunks_mut(chunk * values)
            .zip(sampled.par_chunks_mut(chunk * values))
            .enumerate()
            .try_for_each(|(i, (predictions, sampled))| {
                let first = i * chunk;
                let images = sampled.len() / values;
                let state = State::new(&self.plan, &turned, [first, images], threads);
                let state = Arc::new(state);
                with_helpers(&state, |helpers| {
                    let run = Run::new(Arc::clone(&state), helpers);
                    run.sample(predictions, sampled, &rows)
                })
            })?;
        let [predictions, sampled] = [predictions, sampled]
            .map(|numbers| batch.restored(without_unconditional(copies, numbers, values)));
        Ok((predictions, sampled))
    }
}

/// The batch in the raster of its order, with unconditional images where there is guidance.
fn sampled_batch(batch: &SampleBatch) -> Arc<SampleBatch> {
    let turned = batch.reordered();
    Arc::new(match batch.copies() {
        1 => turned.into_owned(),
        _ => turned.with_unconditional(),
    })
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

/// Applies the ReLU in place.
fn relu(values: &mut [f32]) {
    for value in values {
        // A maximum would turn what is no number into 0.
        if *value < 0.0 {
            *value = 0.0;
        }
    }
}

#[cfg(all(test, feature = "burn"))]
mod tests {
    use super::*;

    #[test]
    fn cache_bytes_are_those_of_a_run() {
        let device = crate::flex();
        let config = ModelConfig::tiny()
            .with_dilations(vec![1, 3])
            .with_output(pixel_iqn_core::Output::head(2, 16, 8));
        let sampler = CpuSampler::from(&config.init_pixel_iqn(&device));
        for height in [1, 4] {
            let dims = [3, 3, height, 5];
            let batch = Arc::new(SampleBatch::new(dims, vec![0.5; dims.iter().product()]));
            let state = State::new(&sampler.plan, &batch, [0, 3], 1);
            let run = Run::new(Arc::new(state), None);
            assert_eq!(run.numbers() * size_of::<f32>(), sampler.cache_bytes(3, 5));
        }
    }
}

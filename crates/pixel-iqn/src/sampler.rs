use std::any::Any;

use burn::tensor::Device;
#[cfg(not(feature = "cpu"))]
use pixel_iqn_core::IncrementalSampler as Fast;
use pixel_iqn_core::{GatedPixelCnn, Head, NaiveSampler, PixelIqn, PixelModel, Sampler};
#[cfg(feature = "cpu")]
use pixel_iqn_cpu::CpuSampler as Fast;
use pixel_iqn_train::{RunConfig, RunDir, RunError, Weights};

/// The fastest sampler for a model: with the feature `cpu` the compiled CPU sampler, else the
/// incremental one on the device of the model; for models of other crates, one forward pass per
/// value on `device`.
pub fn sampler<M: PixelModel + Sync + 'static>(model: M, device: &Device) -> Box<dyn Sampler> {
    let any: &dyn Any = &model;
    if let Some(model) = any.downcast_ref::<PixelIqn>() {
        Box::new(Fast::from(model))
    } else if let Some(model) = any.downcast_ref::<GatedPixelCnn>() {
        Box::new(Fast::from(model))
    } else {
        Box::new(NaiveSampler::new(model, device))
    }
}

/// The fastest sampler for the model of a run folder, with its averaged weights.
///
/// # Errors
///
/// As [`RunDir::load_weights`].
pub fn load_sampler(
    run: &RunDir,
    config: &RunConfig,
    device: &Device,
) -> Result<Box<dyn Sampler>, RunError> {
    fn load<M: PixelModel + Sync + 'static>(
        run: &RunDir,
        config: &RunConfig,
        device: &Device,
    ) -> Result<Box<dyn Sampler>, RunError> {
        let model: M = run.load_weights(Weights::Averaged, config, device)?;
        Ok(sampler(model, device))
    }
    match config.model.head {
        Head::Quantile => load::<PixelIqn>(run, config, device),
        Head::Categorical => load::<GatedPixelCnn>(run, config, device),
    }
}

use std::any::Any;

use burn::tensor::Device;
use pixel_iqn_core::{GatedPixelCnn, Head, NaiveSampler, PixelIqn, PixelModel, Sampler};
use pixel_iqn_train::{RunConfig, RunDir, RunError, Weights};

/// The fastest sampler for a model whose weights are on `device`: with the feature `cpu` the
/// compiled CPU sampler, for the models of this crate, else one forward pass per value.
pub fn sampler<M: PixelModel + Sync + 'static>(model: M, device: &Device) -> Box<dyn Sampler> {
    compiled(&model).unwrap_or_else(|| Box::new(NaiveSampler::new(model, device)))
}

#[cfg(feature = "cpu")]
fn compiled(model: &dyn Any) -> Option<Box<dyn Sampler>> {
    use pixel_iqn_cpu::CpuSampler;

    let sampler = if let Some(model) = model.downcast_ref::<PixelIqn>() {
        CpuSampler::from(model)
    } else {
        CpuSampler::from(model.downcast_ref::<GatedPixelCnn>()?)
    };
    Some(Box::new(sampler))
}

#[cfg(not(feature = "cpu"))]
fn compiled(_: &dyn Any) -> Option<Box<dyn Sampler>> {
    None
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

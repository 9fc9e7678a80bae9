use burn::tensor::Device;
use pixel_iqn_core::{GatedPixelCnn, Head, NaiveSampler, PixelIqn, PixelModel, Sampler};
use pixel_iqn_train::{RunConfig, RunDir, RunError, Weights};

/// The fastest sampler for a model whose weights are on `device`.
pub fn sampler<M: PixelModel + Sync + 'static>(model: M, device: &Device) -> Box<dyn Sampler> {
    Box::new(NaiveSampler::new(model, device))
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

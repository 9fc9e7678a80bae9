use std::any::Any;

use burn::tensor::Device;
use pixel_iqn_core::{
    GatedPixelCnn, Head, IncrementalSampler, NaiveSampler, PixelIqn, PixelModel, Sampler,
};
#[cfg(feature = "cpu")]
use pixel_iqn_cpu::CpuSampler;
use pixel_iqn_train::{RunConfig, RunDir, RunError, Weights};

/// The sampler for a model on `device`: on the CPU the compiled one of `pixel-iqn-cpu`, elsewhere
/// the incremental one; for models of other crates, one forward pass per value.
pub fn sampler<M: PixelModel + Sync + 'static>(model: M, device: &Device) -> Box<dyn Sampler> {
    fn fast<'a, M>(model: &'a M, device: &Device) -> Box<dyn Sampler>
    where
        IncrementalSampler: From<&'a M>,
        Compiled: From<&'a M>,
    {
        if on_cpu(device) {
            Box::new(Compiled::from(model))
        } else {
            Box::new(IncrementalSampler::from(model))
        }
    }
    let any: &dyn Any = &model;
    if let Some(model) = any.downcast_ref::<PixelIqn>() {
        fast(model, device)
    } else if let Some(model) = any.downcast_ref::<GatedPixelCnn>() {
        fast(model, device)
    } else {
        Box::new(NaiveSampler::new(model, device))
    }
}

/// The compiled sampler, where it is compiled in.
#[cfg(feature = "cpu")]
type Compiled = CpuSampler;
#[cfg(not(feature = "cpu"))]
type Compiled = IncrementalSampler;

/// Whether the device is a backend of `pixel-iqn-cpu`.
fn on_cpu(device: &Device) -> bool {
    let is = |name| crate::device(name).is_ok_and(|cpu| cpu == *device);
    is("cpu") || is("ndarray")
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

use burn::tensor::Device;
use pixel_iqn_core::{AnyModel, IncrementalSampler, Sampler};
#[cfg(feature = "cpu")]
use pixel_iqn_cpu::CpuSampler;

/// The fastest sampler for a model on `device`: the compiled one of `pixel-iqn-cpu` on the CPU, the
/// incremental one elsewhere.
///
/// A model of another crate has [`NaiveSampler`](crate::NaiveSampler), with one forward pass per value.
pub fn sampler(model: impl Into<AnyModel>, device: &Device) -> Box<dyn Sampler> {
    let model = model.into();
    #[cfg(feature = "cpu")]
    if crate::device::is_cpu(device) {
        return Box::new(CpuSampler::from(&model));
    }
    let _ = device;
    Box::new(IncrementalSampler::from(&model))
}

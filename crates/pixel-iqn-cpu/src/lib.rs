//! CPU runner of pixel-iqn: Flex and NdArray devices, and a compiled sampler

mod device;
mod memory;
mod sampler;

#[cfg(feature = "ndarray")]
pub use device::ndarray;
pub use device::{BATCH, EVAL_IMAGES, PRESET, SAMPLES, STEPS, flex};
pub use memory::keep_freed_memory;
pub use sampler::CpuSampler;

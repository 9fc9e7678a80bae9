//! CPU runner of pixel-iqn: Flex and NdArray devices, and a compiled sampler

mod device;

#[cfg(feature = "ndarray")]
pub use device::ndarray;
pub use device::{BATCH, EVAL_IMAGES, PRESET, SAMPLES, STEPS, flex};

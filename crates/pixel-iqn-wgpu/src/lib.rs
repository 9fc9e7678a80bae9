//! The WGPU runner of [pixel-iqn](https://docs.rs/pixel-iqn): how a device of this backend is
//! chosen, and what suits it.

mod device;

#[cfg(feature = "vulkan")]
pub use device::vulkan;
pub use device::{BATCH, EVAL_IMAGES, PRESET, SAMPLES, STEPS, wgpu};

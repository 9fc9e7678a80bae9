//! The WGPU runner of [pixel-iqn](https://docs.rs/pixel-iqn): how a device of this backend is
//! chosen, and what suits it.
//!
//! # Crate features
//!
//! - `tuned` (on by default): Burn fuses operations and tries several kernels for each product, which
//!   a GPU compiles in seconds. A software adapter takes minutes: leave it out there.
//! - `vulkan`: fixes the graphics API to Vulkan.

mod device;

#[cfg(feature = "vulkan")]
pub use device::vulkan;
pub use device::{
    Adapter, BATCH, EVAL_IMAGES, NoAdapter, PRESET, ParseAdapterError, SAMPLES, STEPS, wgpu,
};

//! The WGPU backend of [pixel-iqn](https://docs.rs/pixel-iqn): its devices and their default
//! settings.
//!
//! # Crate features
//!
//! - `tuned`: lets Burn fuse operations and measure several kernels for each product, which takes
//!   minutes before the first step.
//! - `vulkan`: adds devices on Vulkan alone.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod device;

#[cfg(feature = "vulkan")]
pub use device::vulkan;
pub use device::{
    Adapter, BATCH, EVAL_IMAGES, NoAdapter, PRESET, ParseAdapterError, SAMPLES, STEPS, wgpu,
};

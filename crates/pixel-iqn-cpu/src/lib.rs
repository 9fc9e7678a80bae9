//! The CPU backend of [pixel-iqn](https://docs.rs/pixel-iqn): its devices, their default settings,
//! and a compiled sampler.
//!
//! # Crate features
//!
//! - `ndarray`: adds a device of Burn's NdArray backend.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

mod device;
mod memory;
mod sampler;
mod threads;

#[cfg(feature = "ndarray")]
pub use device::ndarray;
pub use device::{BATCH, EVAL_IMAGES, PRESET, SAMPLES, STEPS, flex};
pub use memory::keep_freed_memory;
pub use sampler::CpuSampler;
pub use threads::start_threads;

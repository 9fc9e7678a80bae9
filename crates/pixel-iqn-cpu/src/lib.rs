//! The CPU backend of [pixel-iqn](https://docs.rs/pixel-iqn): its devices, their default settings,
//! and a compiled sampler.
//!
//! # Crate features
//!
//! - `burn` (default): the devices, and the sampler of a model that is on one. Without it the sampler is made
//!   [from the bytes of a file](CpuSampler::from_safetensors), and the crate does not depend on Burn: so it
//!   runs in a web page.
//! - `ndarray`: adds a device of Burn's NdArray backend.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(feature = "burn")]
mod device;
mod memory;
mod sampler;
mod threads;

#[cfg(feature = "ndarray")]
pub use device::ndarray;
#[cfg(feature = "burn")]
pub use device::{BATCH, EVAL_IMAGES, PRESET, SAMPLES, STEPS, flex};
pub use memory::keep_freed_memory;
pub use sampler::{CpuSampler, CpuSampling};
pub use threads::start_threads;

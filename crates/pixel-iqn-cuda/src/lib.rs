//! The CUDA backend of [pixel-iqn](https://docs.rs/pixel-iqn): its devices and their default
//! settings.
//!
//! NVRTC compiles the kernels at run time. A program needs the NVIDIA driver and NVRTC with its
//! headers (CUDA 12 or 13) to run, and nothing of CUDA to be built.

mod device;

pub use device::{BATCH, CudaError, EVAL_IMAGES, PRESET, SAMPLES, STEPS, cuda};

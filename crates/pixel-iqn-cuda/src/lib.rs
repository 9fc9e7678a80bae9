//! The CUDA runner of [pixel-iqn](https://docs.rs/pixel-iqn): how a device of this backend is
//! chosen, and what suits it.
//!
//! Kernels are compiled at run time by NVRTC, so that a program needs the NVIDIA driver and NVRTC
//! with its headers (CUDA 12 or 13), and nothing of CUDA to be built.

mod device;

pub use device::{BATCH, CudaError, EVAL_IMAGES, PRESET, SAMPLES, STEPS, cuda};

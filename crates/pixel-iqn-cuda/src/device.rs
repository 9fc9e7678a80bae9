use burn::tensor::{Device, DeviceType};

/// The model preset for a GPU.
pub const PRESET: &str = "paper_small";

/// The number of images in a training step.
pub const BATCH: usize = 64;

/// The number of training steps of a first run.
pub const STEPS: usize = 20_000;

/// The number of held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 1000;

/// The number of images that are sampled after training.
pub const SAMPLES: usize = 64;

/// Finds the device of the NVIDIA GPU with this index, from 0.
///
/// # Errors
///
/// [`CudaError::NoSuchGpu`] where there is no driver or it knows no GPU with this index, and
/// [`CudaError::NoNvrtc`] where NVRTC, which compiles the kernels, is missing.
pub fn cuda(index: usize) -> Result<Device, CudaError> {
    let found = Device::enumerate(DeviceType::Cuda).len();
    if index >= found {
        return Err(CudaError::NoSuchGpu { index, found });
    }
    // SAFETY: the call only tries to load the library by its possible names.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(CudaError::NoNvrtc);
    }
    Ok(Device::cuda(index))
}

/// The error of a GPU that cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// The driver knows no NVIDIA GPU with this index, or there is no driver.
    #[error(
        "there is no CUDA device {index}: the driver found {found} (`nvidia-smi` lists them and \
         fails without a driver, `CUDA_VISIBLE_DEVICES` hides some)"
    )]
    NoSuchGpu {
        /// The index that was asked for, from 0.
        index: usize,
        /// The number of GPUs that the driver knows; 0 without a driver.
        found: usize,
    },
    /// NVRTC, the library that compiles the kernels, is missing.
    #[error(
        "NVRTC, which compiles the kernels, is missing: install the package `cuda-nvrtc` of CUDA \
         12 or 13, and put the folder of `libnvrtc.so` into LD_LIBRARY_PATH"
    )]
    NoNvrtc,
}

use burn::tensor::{Device, DeviceType};

/// The model preset for a GPU.
pub const PRESET: &str = "paper_small";

/// Images in a training step.
pub const BATCH: usize = 64;

/// Training steps of a first look.
pub const STEPS: usize = 20_000;

/// Held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 1000;

/// Samples that are drawn after training.
pub const SAMPLES: usize = 64;

/// The NVIDIA GPU with this index.
///
/// # Errors
///
/// [`CudaError::NoSuchGpu`] where the driver knows no GPU of this index, or there is no driver, and
/// [`CudaError::NoNvrtc`] where kernels cannot be compiled.
pub fn cuda(index: usize) -> Result<Device, CudaError> {
    let found = Device::enumerate(DeviceType::Cuda).len();
    if index >= found {
        return Err(CudaError::NoSuchGpu { index, found });
    }
    // SAFETY: the call only tries to load the library under the names that it may have.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(CudaError::NoNvrtc);
    }
    Ok(Device::cuda(index))
}

/// Why a GPU cannot be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum CudaError {
    /// There is no NVIDIA GPU with this index.
    #[error(
        "there is no CUDA device {index}: the driver found {found} (`nvidia-smi` lists them and \
         fails without a driver, `CUDA_VISIBLE_DEVICES` hides some)"
    )]
    NoSuchGpu {
        /// The index that was asked for, from 0.
        index: usize,
        /// How many there are.
        found: usize,
    },
    /// The library that compiles kernels is not there.
    #[error(
        "NVRTC, which compiles the kernels, is not there: install the package `cuda-nvrtc` of CUDA \
         12 or 13, and put the folder of `libnvrtc.so` into LD_LIBRARY_PATH"
    )]
    NoNvrtc,
}

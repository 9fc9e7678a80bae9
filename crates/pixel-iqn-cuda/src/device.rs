use std::ffi::OsString;
use std::path::{Path, PathBuf};

use burn::tensor::{Device, DeviceType};
use cubecl_environment::config::RuntimeConfig;
use cubecl_environment::persistence::CacheConfig;
use cubecl_runtime::config::CubeClRuntimeConfig;

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
/// Compiled kernels are kept in the user's cache folder for the next start, or where the section
/// `environment` of a `cubecl.toml` says.
///
/// # Errors
///
/// [`CudaError::NoSuchGpu`] where there is no driver or it knows no GPU with this index,
/// [`CudaError::StandIn`] where a library for linking may have been taken for the driver, and
/// [`CudaError::NoNvrtc`] and [`CudaError::NoHeaders`] where NVRTC, which compiles the kernels, or the headers
/// that it reads are missing.
pub fn cuda(index: usize) -> Result<Device, CudaError> {
    keep_kernels();
    let found = Device::enumerate(DeviceType::Cuda).len();
    if found == 0
        && let Some(folder) = stubs(std::env::var_os("LD_LIBRARY_PATH").unwrap_or_default())
    {
        return Err(CudaError::StandIn(folder));
    }
    if index >= found {
        return Err(CudaError::NoSuchGpu { index, found });
    }
    // SAFETY: the call only tries to load the library by its possible names.
    if !unsafe { cudarc::nvrtc::sys::is_culib_present() } {
        return Err(CudaError::NoNvrtc);
    }
    // Without them CubeCL fails at every launch, and a program goes on with what memory held.
    let headers = cubecl_cuda::install::cuda_path().map(|path| path.join("include"));
    if !has_headers(headers.as_deref()) {
        return Err(CudaError::NoHeaders(headers));
    }
    Ok(Device::cuda(index))
}

/// Whether a folder has the headers that kernels include.
fn has_headers(folder: Option<&Path>) -> bool {
    folder.is_some_and(|folder| folder.join("cuda_fp16.h").exists())
}

/// The first folder of a search path that is one of CUDA's for linking alone.
fn stubs(search_path: OsString) -> Option<PathBuf> {
    std::env::split_paths(&search_path).find(|folder| folder.ends_with("stubs"))
}

/// Lets CubeCL keep compiled kernels on the disk, unless the program has configured it already.
fn keep_kernels() {
    let mut config = CubeClRuntimeConfig::from_current_dir().override_from_env();
    config.compilation.cache = true;
    // The default is the folder `target` of a project, which a program that is installed does not have.
    if matches!(config.environment.path, CacheConfig::Target) {
        config.environment.path = CacheConfig::Global;
    }
    CubeClRuntimeConfig::try_set(config);
}

/// The error of a GPU that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
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
    /// No GPU was found, and LD_LIBRARY_PATH has a folder `stubs` of CUDA: its `libcuda` is there for
    /// linking, and knows no GPU.
    #[error(
        "no CUDA device was found, and LD_LIBRARY_PATH has {}, whose libcuda is a stand-in for \
         linking that finds none: take the folder out",
        .0.display()
    )]
    StandIn(PathBuf),
    /// NVRTC, the library that compiles the kernels, is missing.
    #[error(
        "NVRTC, which compiles the kernels, is missing: install the package `cuda-nvrtc` of CUDA \
         12 or 13, and put the folder of `libnvrtc.so` into LD_LIBRARY_PATH"
    )]
    NoNvrtc,
    /// The headers of CUDA that NVRTC reads are missing from the folder where they are looked for: `include` of
    /// CUDA_PATH, else of `/usr/local/cuda` or `/opt/cuda`.
    #[error(
        "the headers of CUDA, which kernels are compiled with, are missing: there is no `cuda_fp16.h` in {}. Set \
         CUDA_PATH to the folder whose `include` has them (packages `cuda-cudart-dev` and `cuda-crt` of CUDA 12 or 13)",
        .0.as_deref().map_or("a folder of CUDA".into(), |folder| folder.display().to_string())
    )]
    NoHeaders(Option<PathBuf>),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_those_of_a_folder() {
        assert!(!has_headers(None));
        let folder = std::env::temp_dir().join(format!("pixel-iqn-headers-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        assert!(!has_headers(Some(&folder)));
        std::fs::write(folder.join("cuda_fp16.h"), "").unwrap();
        assert!(has_headers(Some(&folder)));
        std::fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn a_folder_of_stand_ins_is_found() {
        let of = |path: &str| stubs(path.into());
        assert_eq!(
            of("/usr/lib:/opt/cuda/lib64/stubs"),
            Some("/opt/cuda/lib64/stubs".into())
        );
        assert_eq!(of("/usr/lib:/opt/stubs/lib"), None);
        assert_eq!(of(""), None);
    }
}

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
/// [`NoSuchGpu`] where the driver knows no GPU of this index.
pub fn cuda(index: usize) -> Result<Device, NoSuchGpu> {
    let found = Device::enumerate(DeviceType::Cuda).len();
    if index < found {
        Ok(Device::cuda(index))
    } else {
        Err(NoSuchGpu { index, found })
    }
}

/// There is no NVIDIA GPU with this index.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "there is no CUDA device {index}: the driver found {found} (`nvidia-smi` lists them, \
     `CUDA_VISIBLE_DEVICES` hides some)"
)]
pub struct NoSuchGpu {
    /// The index that was asked for, from 0.
    pub index: usize,
    /// How many there are.
    pub found: usize,
}

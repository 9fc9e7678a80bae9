use burn::tensor::{Device, DeviceKind};

/// The model preset for a GPU.
pub const PRESET: &str = "paper_small";

/// Images in a training step that fit into a few GiB of memory.
pub const BATCH: usize = 32;

/// Training steps of a first look.
pub const STEPS: usize = 20_000;

/// Held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 1000;

/// Samples that are drawn after training.
pub const SAMPLES: usize = 64;

/// A GPU, by the graphics API that fits the machine: Vulkan, Metal, DirectX 12 or OpenGL.
///
/// Without an index it is the one that WGPU prefers, or that the environment variable
/// `CUBECL_WGPU_DEFAULT_DEVICE` names; with an index, that one of the discrete GPUs. It is opened
/// when a first tensor is made on it, which panics if there is none.
pub fn wgpu(index: Option<usize>) -> Device {
    Device::wgpu(kind(index))
}

/// As [`wgpu`], but on Vulkan or not at all.
#[cfg(feature = "vulkan")]
pub fn vulkan(index: Option<usize>) -> Device {
    Device::vulkan(kind(index))
}

fn kind(index: Option<usize>) -> DeviceKind {
    index.map_or(DeviceKind::DefaultDevice, DeviceKind::DiscreteGpu)
}

use burn::tensor::Device;

/// The model preset that a few cores train in minutes.
pub const PRESET: &str = "quick";

/// The number of images in a training step that keeps two cores busy.
pub const BATCH: usize = 16;

/// The number of training steps of a first run, which takes under three minutes on two cores,
/// including the sampled images.
pub const STEPS: usize = 400;

/// The number of held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 32;

/// The number of images that are sampled after training.
pub const SAMPLES: usize = 64;

/// Returns the device of Burn's Flex backend, which is pure Rust and uses all cores, in single
/// precision.
pub fn flex() -> Device {
    Device::flex()
}

/// Returns the device of Burn's NdArray backend, for comparison; Flex is faster.
#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "Burn keeps NdArray until 0.23, and so does this crate"
)]
pub fn ndarray() -> Device {
    Device::ndarray()
}

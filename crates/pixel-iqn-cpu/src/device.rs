use burn::tensor::Device;

/// The model preset that a few cores train in minutes.
pub const PRESET: &str = "quick";

/// Images in a training step that keep two cores busy.
pub const BATCH: usize = 16;

/// Training steps of a first look: under three minutes on two cores, pictures included.
pub const STEPS: usize = 400;

/// Held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 32;

/// Samples that are drawn after training.
pub const SAMPLES: usize = 64;

/// Burn's Flex backend: pure Rust, all cores, single precision.
pub fn flex() -> Device {
    Device::flex()
}

/// Burn's NdArray backend, for comparison; Flex is faster.
#[cfg(feature = "ndarray")]
#[expect(
    deprecated,
    reason = "Burn keeps NdArray until 0.23, and so does this crate"
)]
pub fn ndarray() -> Device {
    Device::ndarray()
}

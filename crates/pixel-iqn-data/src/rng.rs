//! Random numbers that depend on a seed and a stream number alone.

use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// Creates the generator of one stream: each of the 2^64 streams of a seed is independent of the
/// others.
pub(crate) fn stream(seed: u64, stream: u64) -> ChaCha8Rng {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    rng.set_stream(stream);
    rng
}

/// Draws an integer in `0..bound`; the bias of the multiplication is below `bound / 2^64`.
pub(crate) fn below(rng: &mut ChaCha8Rng, bound: usize) -> usize {
    ((u128::from(rng.next_u64()) * bound as u128) >> 64) as usize
}

/// Draws a number in `[low, high)` on a grid of 2^24 steps.
pub(crate) fn uniform(rng: &mut ChaCha8Rng, low: f32, high: f32) -> f32 {
    let unit = (rng.next_u32() >> 8) as f32 / (1 << 24) as f32;
    low + (high - low) * unit
}

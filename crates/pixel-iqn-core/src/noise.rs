use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

/// A source of uniform noise for tau: a counter-based generator on the host (ChaCha with 8 rounds).
///
/// The number for a value depends on `(seed, image, position)` alone, and not on the batch, the
/// device, or the order of sampling.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Noise {
    seed: u64,
}

impl Noise {
    /// Creates the noise of a seed.
    pub fn new(seed: u64) -> Self {
        Self { seed }
    }

    /// Generates the first `count` numbers of image `image`, in (0, 1). They are odd multiples of
    /// 2⁻²⁴, which are exact in single precision, so that neither 0 nor 1 occurs.
    pub fn uniform(&self, image: u64, count: usize) -> Vec<f32> {
        let mut rng = ChaCha8Rng::seed_from_u64(self.seed);
        rng.set_stream(image);
        (0..count).map(|_| open_unit(rng.next_u32())).collect()
    }
}

/// Maps random bits to the midpoint of one of 2²³ equal bins of [0, 1].
pub(crate) fn open_unit(bits: u32) -> f32 {
    ((bits >> 9) as f32 + 0.5) / (1u32 << 23) as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_ends_are_open() {
        assert_eq!(open_unit(0), (-24f32).exp2());
        assert_eq!(open_unit(u32::MAX), 1.0 - (-24f32).exp2());
        assert!(open_unit(u32::MAX) < 1.0);
    }

    #[test]
    fn depends_on_seed_and_image_alone() {
        let noise = Noise::new(7);
        let long = noise.uniform(3, 100);
        assert_eq!(noise.uniform(3, 10), long[..10]);
        assert_ne!(noise.uniform(4, 100), long);
        assert_ne!(Noise::new(8).uniform(3, 100), long);
    }

    #[test]
    fn is_uniform_inside_the_open_interval() {
        let draws = Noise::new(0).uniform(0, 100_000);
        assert!(draws.iter().all(|&u| 0.0 < u && u < 1.0));
        // Ten bins of 10,000 expected: a standard deviation of 95 each.
        let mut bins = [0i32; 10];
        for u in draws {
            bins[(u * 10.0) as usize] += 1;
        }
        assert!(bins.iter().all(|n| (n - 10_000).abs() < 500), "{bins:?}");
    }
}

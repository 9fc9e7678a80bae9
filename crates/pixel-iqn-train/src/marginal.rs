use pixel_iqn_data::ImageDataset;
use pixel_iqn_loss::{crps_from_samples, tau_midpoints};

/// Quantile levels of the scores, at the middles of this many equal bins of [0, 1].
pub const LEVELS: usize = 20;

/// The quantiles of the intensity of each channel over all positions and images of a set: the
/// forecast that knows nothing of an image, and the reference of the skill score.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginalQuantiles {
    /// The quantile at the middle of each of [`LEVELS`](crate::LEVELS) bins, in [0, 1], by
    /// channel.
    pub quantiles: Vec<Vec<f64>>,
}

impl MarginalQuantiles {
    /// The exact quantiles of a set: the lowest intensity that the part tau of the values does
    /// not exceed.
    pub fn of(set: &ImageDataset) -> Self {
        let quantiles = set
            .level_counts(0..set.len())
            .iter()
            .map(|histogram| {
                let total: u64 = histogram.iter().sum();
                let mut level = 0;
                let mut up_to_level = histogram[0];
                tau_midpoints(LEVELS)
                    .into_iter()
                    .map(|tau| {
                        while (up_to_level as f64) < tau * total as f64 {
                            level += 1;
                            up_to_level += histogram[level];
                        }
                        level as f64 / 255.0
                    })
                    .collect()
            })
            .collect();
        Self { quantiles }
    }

    /// The mean CRPS of this forecast on the first `images` images of a set, in units of the full
    /// range of intensity.
    ///
    /// # Panics
    ///
    /// Panics if the set has other channels or fewer images.
    pub fn crps(&self, set: &ImageDataset, images: usize) -> f64 {
        assert_eq!(
            set.shape()[0],
            self.quantiles.len(),
            "the sets must have the same channels"
        );
        let (mut sum, mut count) = (0.0, 0);
        for (histogram, quantiles) in set.level_counts(0..images).iter().zip(&self.quantiles) {
            for (level, &n) in histogram.iter().enumerate().filter(|&(_, &n)| n > 0) {
                sum += n as f64 * crps_from_samples(quantiles, level as f64 / 255.0);
                count += n;
            }
        }
        sum / count as f64
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quantiles_are_of_each_channel() {
        // Channel 0 has every level once; channel 1 has level 7 in a quarter, else 200.
        let mut image: Vec<u8> = (0..=255).collect();
        image.extend((0..256).map(|i| if i < 64 { 7 } else { 200 }));
        let set = ImageDataset::new(image, [2, 16, 16]).unwrap();
        let marginal = MarginalQuantiles::of(&set);
        for (quantile, tau) in marginal.quantiles[0].iter().zip(tau_midpoints(LEVELS)) {
            // The lowest level l with (l + 1) / 256 >= tau.
            assert_eq!(*quantile, ((tau * 256.0).ceil() - 1.0) / 255.0);
        }
        let low = marginal.quantiles[1].iter().filter(|&&q| q == 7.0 / 255.0);
        assert_eq!(low.count(), LEVELS / 4);
        assert_eq!(marginal.quantiles[1][LEVELS - 1], 200.0 / 255.0);
    }

    #[test]
    fn a_constant_set_has_no_error_against_itself() {
        let set = ImageDataset::new(vec![51; 48], [3, 4, 4]).unwrap();
        let marginal = MarginalQuantiles::of(&set);
        assert_eq!(marginal.crps(&set, 1), 0.0);
        let other = ImageDataset::new(vec![102; 48], [3, 4, 4]).unwrap();
        assert!((marginal.crps(&other, 1) - 0.2).abs() < 1e-12);
    }
}

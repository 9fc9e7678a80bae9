use pixel_iqn_core::{Progress, report};
use pixel_iqn_data::{ImageBatch, ImageDataset};

use super::{ForecastOptions, Forecaster, Forecasts};
use crate::distribution::{INTENSITY_LEVELS, Levels};
use crate::error::ScoreError;

/// The distribution of the intensity of each channel over all positions and images of a set: the
/// forecast that knows nothing of an image, and the reference of the skill score.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginalForecaster {
    /// The probabilities of 256 levels, by channel.
    probabilities: Vec<Vec<f32>>,
    /// Whether each channel has one level alone.
    is_constant: bool,
}

impl MarginalForecaster {
    /// Counts the levels of a set, usually the one that a model was trained on. Each level counts
    /// once more than it occurs, so that none is impossible.
    pub fn of(set: &ImageDataset) -> Self {
        let counts = set.level_counts(0..set.len());
        let is_constant =
            (counts.iter()).all(|counts| counts.iter().filter(|count| **count > 0).count() == 1);
        let probabilities = counts.into_iter().map(|counts| {
            let total = counts.iter().sum::<u64>() + INTENSITY_LEVELS as u64;
            counts
                .map(|n| ((n + 1) as f64 / total as f64) as f32)
                .to_vec()
        });
        Self {
            probabilities: probabilities.collect(),
            is_constant,
        }
    }

    /// The mean CRPS of this forecast over all values of the first `images` images of a set, in
    /// units of the full range of intensity.
    ///
    /// The score of each level is computed once, however many values have it.
    ///
    /// # Panics
    ///
    /// Panics if the set has another number of channels, or fewer images.
    pub fn crps(&self, set: &ImageDataset, images: usize) -> f64 {
        self.expect_channels(set.shape()[0]);
        let (mut sum, mut values) = (0.0, 0);
        for (counts, probabilities) in set.level_counts(0..images).iter().zip(&self.probabilities) {
            let distribution = Levels::new(probabilities);
            for (level, &n) in counts.iter().enumerate().filter(|&(_, &n)| n > 0) {
                let y = level as f64 / (INTENSITY_LEVELS - 1) as f64;
                sum += n as f64 * distribution.exact_crps(y);
                values += n;
            }
        }
        sum / values as f64
    }

    /// Whether each channel of the set has one level alone, so that there is nothing to learn of it.
    pub fn is_constant(&self) -> bool {
        self.is_constant
    }

    fn expect_channels(&self, channels: usize) {
        assert_eq!(
            channels,
            self.probabilities.len(),
            "the images and the marginal distribution must have the same channels"
        );
    }
}

impl Forecaster for MarginalForecaster {
    fn forecast(
        &self,
        batch: &ImageBatch,
        _: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        let [count, channels, height, width] = batch.images.dims();
        self.expect_channels(channels);
        let image = self.probabilities.iter();
        let image = image.flat_map(|levels| levels.repeat(height * width));
        let probabilities = image.collect::<Vec<f32>>().repeat(count);
        report(progress, 1, 1)?;
        Ok(Forecasts::Levels {
            levels: INTENSITY_LEVELS,
            probabilities,
        })
    }
}

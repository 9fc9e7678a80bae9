use burn::config::Config;
use pixel_iqn_core::{ModelConfig, Order, Output};

use crate::error::ScoreError;
use crate::forecast::ForecastOptions;

/// How [`conditional_scores`](crate::conditional_scores) evaluates a model.
///
/// ```
/// let options = pixel_iqn_score::ConditionalOptions::new(256).with_quantile_levels(40);
/// assert_eq!((options.images, options.batch), (256, 32));
/// ```
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ConditionalOptions {
    /// Images to evaluate on, the first ones of the set; at least 1.
    pub images: usize,
    /// Images in a batch, at least 1; 32 by default. No score depends on it.
    #[config(default = 32)]
    pub batch: usize,
    /// Quantile levels of the pinball loss, at least 2; 20 by default. They are the midpoints of
    /// as many equal bins of [0, 1], and what a model by quantiles is asked for.
    #[config(default = 20)]
    pub quantile_levels: usize,
    /// Seed of everything random, 0 by default: the placement of tau, and where the probability
    /// integral transform falls inside a level.
    #[config(default = 0)]
    pub seed: u64,
    /// Index of the [generation order](pixel_iqn_core::Order), 0, raster order, by default.
    #[config(default = 0)]
    pub order: usize,
}

impl ConditionalOptions {
    pub(super) fn forecast(&self) -> ForecastOptions {
        ForecastOptions {
            quantile_levels: self.quantile_levels,
            seed: self.seed,
            order: self.order,
        }
    }

    /// Fails where a batch of what a model of this config predicts of images of `shape`, `[C, H, W]`, does
    /// not fit into memory, so that a program can tell before it trains the model.
    ///
    /// # Errors
    ///
    /// [`ScoreError::Memory`].
    pub fn check_memory(&self, model: &ModelConfig, shape: [usize; 3]) -> Result<(), ScoreError> {
        let passes = match model.output {
            Output::Gates { .. } | Output::Head { .. } => self.quantile_levels,
            _ => 1,
        };
        let (batch, values) = (self.batch.min(self.images), shape.iter().product());
        self.forecast().check_memory(passes, batch, values)
    }

    /// Checks the ranges for a set of `available` images.
    pub(super) fn check(&self, available: usize) -> Result<(), ScoreError> {
        for (ok, name, range) in [
            (self.batch > 0, "batch", "at least 1"),
            (self.quantile_levels >= 2, "quantile_levels", "at least 2"),
            (self.order < Order::COUNT, "order", "from 0 to 7"),
            (
                (1..=available).contains(&self.images),
                "images",
                "from 1 to the images of the set",
            ),
        ] {
            if !ok {
                return Err(ScoreError::Option { name, range });
            }
        }
        Ok(())
    }
}

use burn::config::Config;
use pixel_iqn_core::Order;

use crate::error::ScoreError;

/// How a [`Forecaster`](crate::Forecaster) is asked for distributions.
#[derive(Config, Debug, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub struct ForecastOptions {
    /// Quantiles of each value that a model by quantiles is asked for, at least 2; their levels
    /// are the midpoints of as many equal bins of [0, 1]. 20 by default.
    #[config(default = 20)]
    pub quantile_levels: usize,
    /// Seed of the [placement of tau](pixel_iqn_core::TauPlacement), 0 by default.
    #[config(default = 0)]
    pub seed: u64,
    /// Index of the [generation order](pixel_iqn_core::Order), 0, raster order, by default: it
    /// decides which values a distribution is given.
    #[config(default = 0)]
    pub order: usize,
}

impl ForecastOptions {
    /// Checks that the predictions of `passes` passes over a batch of images of `values` values, and the
    /// losses at each quantile level, fit into memory.
    pub(crate) fn check_memory(
        &self,
        passes: usize,
        images: usize,
        values: usize,
    ) -> Result<(), ScoreError> {
        let product = |factors: [usize; 4]| {
            let factors = factors.into_iter().map(|factor| factor as u64);
            factors.fold(1, u64::saturating_mul)
        };
        // One pass predicts no more than a few numbers of each value, whatever is asked for.
        let quantiles = match passes {
            0 | 1 => 0,
            _ => product([images, values, self.quantile_levels, size_of::<f32>()]),
        };
        let losses = product([images, self.quantile_levels, size_of::<f64>(), 2]);
        let needed = quantiles.saturating_add(losses);
        pixel_iqn_data::check_memory(needed).map_err(|source| ScoreError::Memory {
            quantile_levels: self.quantile_levels,
            images,
            source,
        })
    }

    /// The generation order.
    ///
    /// # Panics
    ///
    /// Panics if there is none of this index.
    pub(crate) fn order(&self) -> Order {
        Order::new(self.order)
            .unwrap_or_else(|| panic!("there is no generation order of index {}", self.order))
    }
}

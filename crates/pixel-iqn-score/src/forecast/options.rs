use burn::config::Config;
use pixel_iqn_core::Order;

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

use burn::config::Config;

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
}

mod any_model;
mod forecasts;
mod gated_pixel_cnn;
mod marginal;
mod options;
mod pixel_iqn;

pub use forecasts::Forecasts;
pub use marginal::MarginalForecaster;
pub use options::ForecastOptions;

use pixel_iqn_core::Progress;
use pixel_iqn_data::ImageBatch;

use crate::error::ScoreError;

/// A model that predicts the distribution of each value of an image given the values before it.
///
/// [`PixelIqn`](pixel_iqn_core::PixelIqn), [`GatedPixelCnn`](pixel_iqn_core::GatedPixelCnn) and
/// [`AnyModel`](pixel_iqn_core::AnyModel) implement it, [`MarginalForecaster`] is the reference of
/// the skill score, and any other model that implements it is evaluated by the same rules.
pub trait Forecaster {
    /// The number of passes that [`forecast`](Self::forecast) takes over a batch and reports, 1 by
    /// default.
    fn passes(&self, _options: &ForecastOptions) -> usize {
        1
    }

    /// Predicts the distributions of all values of a batch.
    ///
    /// `progress` is told after each pass how many of [`passes`](Self::passes) are done.
    ///
    /// # Errors
    ///
    /// [`ScoreError::Device`] where the device failed, and [`ScoreError::Cancelled`].
    ///
    /// # Panics
    ///
    /// Panics if the images or labels do not fit the model.
    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError>;
}

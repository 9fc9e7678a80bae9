use pixel_iqn_core::{AnyModel, Progress};
use pixel_iqn_data::ImageBatch;

use super::{ForecastOptions, Forecaster, Forecasts};
use crate::error::ScoreError;

/// Any model predicts as the model inside.
impl Forecaster for AnyModel {
    fn passes(&self, options: &ForecastOptions) -> usize {
        inside(self).passes(options)
    }

    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        inside(self).forecast(batch, options, progress)
    }
}

fn inside(model: &AnyModel) -> &dyn Forecaster {
    match model {
        AnyModel::PixelIqn(model) => model,
        AnyModel::GatedPixelCnn(model) => model,
        _ => panic!("pixel-iqn-score is older than the model: use one version of all crates"),
    }
}

use burn::tensor::activation::softmax;
use pixel_iqn_core::{Conditions, GatedPixelCnn, PixelModel, Progress, report};
use pixel_iqn_data::ImageBatch;

use super::{ForecastOptions, Forecaster, Forecasts};
use crate::error::ScoreError;

/// A Gated PixelCNN predicts the probabilities of all levels in one pass.
impl Forecaster for GatedPixelCnn {
    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        let labels = batch.labels_of(self.config().classes);
        let conditions = Conditions::new(labels).with_order(options.order());
        let logits = self.forward(batch.images.clone(), conditions);
        let probabilities = softmax(logits.permute([0, 1, 3, 4, 2]), 4).try_into_data()?;
        report(progress, 1, 1)?;
        // Taken over rather than copied: they are by far the largest numbers of a measurement.
        let probabilities = probabilities.convert::<f32>().try_into_vec();
        Ok(Forecasts::Levels {
            levels: self.levels(),
            probabilities: probabilities.expect("they were converted to this type"),
        })
    }
}

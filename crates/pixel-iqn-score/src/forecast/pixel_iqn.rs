use pixel_iqn_core::{
    Conditions, Noise, PixelIqn, PixelModel, Progress, QuantileOutput, TauPlacement, report,
};
use pixel_iqn_data::ImageBatch;

use super::{ForecastOptions, Forecaster, Forecasts};
use crate::error::ScoreError;

const PLACEMENT: u64 = u64::from_be_bytes(*b"placing ");

/// A PixelIQN takes one pass for each quantile level; with tau in the head, they share one pass of
/// the trunk.
///
/// [`TauPlacement`] places tau. For a model whose values also depend on the tau of earlier values,
/// the quantiles of a value carry the noise of those other tau, and cross more.
impl Forecaster for PixelIqn {
    fn passes(&self, options: &ForecastOptions) -> usize {
        options.quantile_levels
    }

    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        let &ForecastOptions {
            quantile_levels,
            seed,
        } = options;
        let images = &batch.images;
        let shape = images.dims();
        let device = images.device();
        let labels = batch.labels_of(self.config().classes);
        let shared = match &self.output {
            QuantileOutput::Head(output) => {
                let context = self
                    .trunk
                    .forward(images.clone(), Conditions::new(labels), None);
                Some((output, context))
            }
            _ => None,
        };
        let [_, image @ ..] = shape;
        let noise = Noise::new(seed ^ PLACEMENT);
        let values = image.iter().product();
        let placement = TauPlacement::new(&noise, &batch.indices, values, quantile_levels);
        let mut quantiles = vec![0.0; placement.values() * quantile_levels];
        for pass in 0..quantile_levels {
            let tau = placement.tau(pass, shape, &device);
            let values = match &shared {
                Some((output, context)) => output.quantiles(context.clone(), tau),
                None => self.forward(images.clone(), tau, labels),
            };
            let values = values.clamp(0.0, 1.0).try_into_data()?;
            placement.store(pass, values.iter::<f32>(), &mut quantiles);
            report(progress, pass + 1, quantile_levels)?;
        }
        Ok(Forecasts::Quantiles {
            quantile_levels,
            quantiles,
        })
    }
}

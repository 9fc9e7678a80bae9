use pixel_iqn_core::{
    Conditions, Noise, PixelIqn, PixelModel, Progress, QuantileOutput, TauPlacement, report,
};
use pixel_iqn_data::ImageBatch;

use super::{ForecastOptions, Forecaster, Forecasts};
use crate::error::ScoreError;

const PLACEMENT: u64 = u64::from_be_bytes(*b"placing ");

/// A PixelIQN takes one pass for each quantile level; with tau in the head, they share one pass of
/// the trunk. With the monotone output it takes one pass and predicts whole quantile functions.
///
/// [`TauPlacement`] places tau. For a model whose values also depend on the tau of earlier values,
/// the quantiles of a value carry the noise of those other tau, and cross more.
impl Forecaster for PixelIqn {
    fn passes(&self, options: &ForecastOptions) -> usize {
        match &self.output {
            QuantileOutput::Monotone(_) => 1,
            _ => options.quantile_levels,
        }
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
            ..
        } = options;
        let order = options.order();
        let images = &batch.images;
        let shape = images.dims();
        let device = images.device();
        let labels = batch.labels_of(self.config().classes);
        let conditions = Conditions::new(labels).with_order(order);
        if let Some(functions) = self.quantile_functions(images.clone(), conditions) {
            let values = functions.values().try_into_data()?.convert::<f32>();
            report(progress, 1, 1)?;
            return Ok(Forecasts::QuantileFunctions {
                knots: functions.knots().clone(),
                values: values.try_into_vec().expect("they were converted"),
            });
        }
        let shared = match &self.output {
            QuantileOutput::Head(output) => {
                let turned = order.reorder(images.clone());
                Some((output, self.trunk.forward(turned, conditions, None)))
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
                Some((output, context)) => {
                    order.restore(output.quantiles(context.clone(), order.reorder(tau)))
                }
                None => self.forward(images.clone(), tau, conditions),
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

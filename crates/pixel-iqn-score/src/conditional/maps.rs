use burn::tensor::Device;
use pixel_iqn_core::Progress;
use pixel_iqn_data::ImageDataset;

use super::image::evaluate_batch;
use crate::error::ScoreError;
use crate::forecast::{ForecastOptions, Forecaster};

/// The sharpness and calibration of the predicted distribution of each value of one image, in the
/// order `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ValueMaps {
    /// The widths of the central 90% intervals, in units of the full range of intensity.
    pub width_90: Vec<f32>,
    /// The continuous ranked probability scores of the values, in units of the full range.
    pub crps: Vec<f32>,
    /// The probability integral transforms of the values, in [0, 1].
    pub pit: Vec<f32>,
}

/// Computes the width of the interval and the PIT of every value of some images of a set, for
/// pictures. The images form one batch.
///
/// `progress` is told how many of how many passes of the model are done.
///
/// # Errors
///
/// [`ScoreError::Option`] for no images or fewer than two quantile levels,
/// [`ScoreError::NotFinite`] where a prediction is infinite or not a number,
/// [`ScoreError::Device`], and [`ScoreError::Cancelled`].
///
/// # Panics
///
/// Panics if an index leaves the set, or if the images do not fit the model.
pub fn value_maps(
    model: &impl Forecaster,
    held_out: &ImageDataset,
    indices: &[usize],
    forecast: &ForecastOptions,
    device: &Device,
    progress: &dyn Progress,
) -> Result<Vec<ValueMaps>, ScoreError> {
    for (ok, name, range) in [
        (!indices.is_empty(), "indices", "at least 1"),
        (
            forecast.quantile_levels >= 2,
            "quantile_levels",
            "at least 2",
        ),
    ] {
        if !ok {
            return Err(ScoreError::Option { name, range });
        }
    }
    let values = held_out.shape().iter().product();
    forecast.check_memory(model.passes(forecast), indices.len(), values)?;
    let batch = held_out.batch(indices, None, device);
    let forecasts = model.forecast(&batch, forecast, progress)?;
    let evaluated = evaluate_batch(&forecasts, &batch, held_out, forecast)?;
    let single = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
    let maps = evaluated.into_iter().map(|image| ValueMaps {
        width_90: single(image.widths_90),
        crps: single(image.crps),
        pit: single(image.pit),
    });
    Ok(maps.collect())
}

mod image;
mod maps;
mod options;
mod scores;

pub use maps::{ValueMaps, value_maps};
pub use options::ConditionalOptions;
pub use scores::{ConditionalScores, PIT_BINS, skill_text};

use burn::tensor::Device;
use pixel_iqn_core::Progress;
use pixel_iqn_data::ImageDataset;
use pixel_iqn_loss::skill_score;

use self::image::evaluate_batch;
use crate::distribution::INTENSITY_LEVELS;
use crate::error::ScoreError;
use crate::forecast::{Forecaster, MarginalForecaster};
use crate::scores::Scores;

/// The reason that [`ConditionalScores`] give for a skill that is not defined.
pub const NO_SKILL: &str = "each channel of the training images has one level alone, so that there is \
                            nothing to learn of them";

/// Evaluates the predicted distributions of held-out images.
///
/// `marginal` is the distribution of the training set, and the skill is relative to it. `progress`
/// is told how many of how many passes of the model over a batch are done.
///
/// # Errors
///
/// [`ScoreError::Option`] for no images or more than there are, an empty batch or fewer than two
/// quantile levels, [`ScoreError::Memory`] for more of them than fit, [`ScoreError::NotFinite`] where a prediction is infinite or not a number,
/// [`ScoreError::Device`], and [`ScoreError::Cancelled`].
///
/// # Panics
///
/// Panics if the images do not fit the model or `marginal`.
pub fn conditional_scores(
    model: &impl Forecaster,
    held_out: &ImageDataset,
    marginal: &MarginalForecaster,
    options: &ConditionalOptions,
    device: &Device,
    progress: &dyn Progress,
) -> Result<ConditionalScores, ScoreError> {
    options.check(held_out.len())?;
    let &ConditionalOptions {
        images,
        batch,
        quantile_levels,
        ..
    } = options;
    let forecast = options.forecast();
    let passes_of_batch = model.passes(&forecast);
    let values = held_out.shape().iter().product();
    forecast.check_memory(passes_of_batch, batch.min(images), values)?;
    let passes = images.div_ceil(batch) * passes_of_batch;
    let mut by_image = Vec::with_capacity(images);
    let mut pit_counts = [0u64; PIT_BINS];
    let mut pinball_by_level = vec![0.0; quantile_levels];
    let mut bits_by_intensity = vec![0.0; INTENSITY_LEVELS];
    for (number, start) in (0..images).step_by(batch).enumerate() {
        let indices: Vec<usize> = (start..images.min(start + batch)).collect();
        let batch = held_out.batch(&indices, None, device);
        let of_all = |done, _: usize| progress.advance(number * passes_of_batch + done, passes);
        let forecasts = model.forecast(&batch, &forecast, &of_all)?;
        for image in evaluate_batch(&forecasts, &batch, held_out, &forecast)? {
            by_image.push(image.scores);
            for pit in &image.pit {
                pit_counts[((pit * PIT_BINS as f64) as usize).min(PIT_BINS - 1)] += 1;
            }
            for (sums, of_image) in [
                (&mut pinball_by_level, &image.pinball_by_level),
                (&mut bits_by_intensity, &image.bits_by_intensity),
            ] {
                for (sum, x) in sums.iter_mut().zip(of_image) {
                    *sum += x / images as f64;
                }
            }
        }
    }
    let mean =
        Scores::each(|score| by_image.iter().map(score).sum::<f64>() / by_image.len() as f64);
    let reference_crps = marginal.crps(held_out, images);
    let skill = match marginal.is_constant() {
        true => None,
        false => skill_score(mean.crps, reference_crps),
    };
    let values: u64 = pit_counts.iter().sum();
    let pit_histogram = pit_counts.map(|n| n as f64 / values as f64).to_vec();
    Ok(ConditionalScores {
        images,
        quantile_levels,
        order: options.order,
        mean,
        reference_crps,
        skill,
        no_skill_because: skill.is_none().then(|| NO_SKILL.to_owned()),
        calibration_error: calibration_error(&pit_histogram),
        pit_histogram,
        pinball_by_level,
        bits_by_intensity,
        by_image,
    })
}

/// The mean distance of the cumulative histogram from the diagonal at the inner edges of its bins.
fn calibration_error(histogram: &[f64]) -> f64 {
    let bins = histogram.len();
    let mut sum = 0.0;
    let edges = histogram.iter().take(bins - 1).enumerate();
    let distances = edges.map(|(i, fraction)| {
        sum += fraction;
        (sum - (i + 1) as f64 / bins as f64).abs()
    });
    distances.sum::<f64>() / (bins - 1) as f64
}

use pixel_iqn_core::Noise;
use pixel_iqn_data::{ImageBatch, ImageDataset};
use pixel_iqn_loss::tau_midpoints;
use rayon::prelude::*;

use crate::distribution::{Distribution, Functions, INTENSITY_LEVELS, Levels, Quantiles};
use crate::error::ScoreError;
use crate::forecast::{ForecastOptions, Forecasts};
use crate::scores::Scores;

const PIT: u64 = u64::from_be_bytes(*b"pit     ");

/// What the values of an image and their predicted distributions give.
pub(super) struct ImageEvaluation {
    pub scores: Scores,
    /// The probability integral transform of each value.
    pub pit: Vec<f64>,
    /// The continuous ranked probability score of each value.
    pub crps: Vec<f64>,
    /// The width of the central 90% interval of each value.
    pub widths_90: Vec<f64>,
    /// The mean pinball loss at each quantile level.
    pub pinball_by_level: Vec<f64>,
    /// What the values of each intensity level contribute to the bits per dimension.
    pub bits_by_intensity: Vec<f64>,
}

/// Evaluates the predicted distributions of a batch of images of a set, image by image in parallel.
pub(super) fn evaluate_batch(
    forecasts: &Forecasts,
    batch: &ImageBatch,
    set: &ImageDataset,
    options: &ForecastOptions,
) -> Result<Vec<ImageEvaluation>, ScoreError> {
    let (numbers, each) = match forecasts {
        Forecasts::Quantiles {
            quantile_levels,
            quantiles,
        } => {
            assert_eq!(
                *quantile_levels, options.quantile_levels,
                "a forecaster must predict as many quantiles as it is asked for"
            );
            (quantiles, *quantile_levels)
        }
        Forecasts::Levels {
            levels,
            probabilities,
        } => (probabilities, *levels),
        Forecasts::QuantileFunctions { knots, values } => (values, knots.len()),
    };
    let values: usize = set.shape().iter().product();
    assert_eq!(
        numbers.len(),
        batch.indices.len() * values * each,
        "a forecaster must predict a distribution for each value of {} images",
        batch.indices.len()
    );
    if !numbers.iter().all(|x| x.is_finite()) {
        return Err(ScoreError::NotFinite);
    }
    let quantile_levels = tau_midpoints(options.quantile_levels);
    let images = numbers.par_chunks_exact(values * each);
    let evaluated = images.zip(&batch.indices).map(|(numbers, &index)| {
        let image = set.image(index);
        let noise = Noise::new(options.seed ^ PIT).uniform(index as u64, values);
        let rows = numbers.chunks_exact(each);
        match forecasts {
            Forecasts::Quantiles { .. } => {
                let quantiles = rows.map(|row| Quantiles::new(row, &quantile_levels));
                evaluate_image(image, &noise, quantiles, &quantile_levels)
            }
            Forecasts::QuantileFunctions { knots, .. } => {
                let functions = rows.map(|row| Functions::new(knots.as_slice(), row));
                evaluate_image(image, &noise, functions, &quantile_levels)
            }
            Forecasts::Levels { .. } => {
                evaluate_image(image, &noise, rows.map(Levels::new), &quantile_levels)
            }
        }
    });
    Ok(evaluated.collect())
}

fn evaluate_image<D: Distribution>(
    image: &[u8],
    noise: &[f32],
    distributions: impl Iterator<Item = D>,
    quantile_levels: &[f64],
) -> ImageEvaluation {
    let count = image.len() as f64;
    let levels = quantile_levels.len();
    let mut scores = Scores::default();
    let mut pit = Vec::with_capacity(image.len());
    let mut crps = Vec::with_capacity(image.len());
    let mut widths_90 = Vec::with_capacity(image.len());
    let mut pinball_by_level = vec![0.0; levels];
    let mut bits_by_intensity = vec![0.0; INTENSITY_LEVELS];
    let mut losses = vec![0.0; levels];
    for ((level, u), distribution) in image.iter().zip(noise).zip(distributions) {
        let y = f64::from(*level) / (INTENSITY_LEVELS - 1) as f64;
        distribution.pinball(y, quantile_levels, &mut losses);
        for (sum, loss) in pinball_by_level.iter_mut().zip(&losses) {
            *sum += loss / count;
        }
        scores.pinball += losses.iter().sum::<f64>() / levels as f64 / count;
        let score = distribution.crps(y, &losses);
        scores.crps += score / count;
        crps.push(score);
        let (below, at) = distribution.below_and_at(y);
        // A probability that single precision rounds to zero still counts as possible. A level of
        // a coarser grid spreads over the levels of 256 that it covers.
        let at_level = at.max(f64::from(f32::MIN_POSITIVE)) / distribution.coarseness();
        let bits = -at_level.log2() / count;
        scores.bits_per_dim += bits;
        bits_by_intensity[usize::from(*level)] += bits;
        pit.push((below + f64::from(*u) * at).clamp(0.0, 1.0));
        let interval = |p| {
            let (low, high, step) = distribution.interval(p);
            let inside = (low - 0.5 * step..=high + 0.5 * step).contains(&y);
            (f64::from(u8::from(inside)) / count, high - low)
        };
        let (inside, width) = interval(0.5);
        scores.coverage_50 += inside;
        scores.width_50 += width / count;
        let (inside, width) = interval(0.9);
        scores.coverage_90 += inside;
        scores.width_90 += width / count;
        widths_90.push(width);
        scores.crossing_rate += distribution.crossings() as f64 / (levels - 1) as f64 / count;
    }
    ImageEvaluation {
        scores,
        pit,
        crps,
        widths_90,
        pinball_by_level,
        bits_by_intensity,
    }
}

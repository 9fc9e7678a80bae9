use core::ops::ControlFlow;

use burn::tensor::Device;
use pixel_iqn_core::Noise;
use pixel_iqn_data::{ImageBatch, ImageDataset};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::bootstrap::Estimate;
use crate::distribution::{Distribution, Levels, Quantiles};
use crate::error::EvalError;
use crate::forecast::{ForecastOptions, Forecaster, Forecasts, MarginalForecaster};

/// Bins of the PIT histogram.
pub const PIT_BINS: usize = 20;

const PIT: u64 = u64::from_be_bytes(*b"pit     ");

/// How to judge conditional distributions.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ConditionalOptions {
    /// Images to judge on, the first ones of the set.
    pub images: usize,
    /// Images in a batch.
    pub batch: usize,
    /// Quantiles that a model by quantiles is asked for, at least 2; and the levels of the pinball
    /// loss of every model.
    pub taus: usize,
    /// Seed of everything random: the placement of tau, the PIT of levels, and the resampling.
    pub seed: u64,
}

/// Scores of the predicted distributions of one image, each a mean over its values.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
pub struct ImageScores {
    /// See [`ConditionalScores::pinball`].
    pub pinball: f64,
    /// See [`ConditionalScores::crps`].
    pub crps: f64,
    /// See [`ConditionalScores::bits_per_dim`].
    pub bits_per_dim: f64,
    /// See [`ConditionalScores::coverage_50`].
    pub coverage_50: f64,
    /// See [`ConditionalScores::coverage_90`].
    pub coverage_90: f64,
    /// See [`ConditionalScores::width_50`].
    pub width_50: f64,
    /// See [`ConditionalScores::width_90`].
    pub width_90: f64,
    /// See [`ConditionalScores::crossing_rate`].
    pub crossing_rate: f64,
}

/// How well a model predicts the values of images, each given those before it. Losses and widths
/// are in units of the full range of intensity.
///
/// All scores mean the same for every model. What lies between the quantiles of a model that
/// predicts quantiles is stated at [`crate::Forecasts`] and in the guide.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct ConditionalScores {
    /// Images judged on.
    pub images: usize,
    /// Quantiles asked for.
    pub taus: usize,
    /// The mean pinball loss, without a factor 2, at the middles of `taus` equal bins of [0, 1].
    /// Lower is better.
    pub pinball: Estimate,
    /// The continuous ranked probability score: of quantiles, twice the mean pinball loss; of
    /// levels, exactly. Lower is better.
    pub crps: Estimate,
    /// `1 - crps / crps of the marginal distribution`: 0 knows nothing, 1 knows everything.
    pub skill: f64,
    /// The negative binary logarithm of the probability of a level of 256; a model of fewer levels
    /// spreads each evenly over those that it holds. Lower is better.
    pub bits_per_dim: Estimate,
    /// The part of the values inside the central 50% interval, in whole levels. At least 0.5 for
    /// a calibrated model; more, where single levels have much probability.
    pub coverage_50: Estimate,
    /// The same for 90%.
    pub coverage_90: Estimate,
    /// The width of the central 50% interval: sharpness. Smaller is better among models that are
    /// equally well calibrated.
    pub width_50: Estimate,
    /// The same for 90%.
    pub width_90: Estimate,
    /// The part of neighbouring quantiles in the wrong order.
    pub crossing_rate: Estimate,
    /// The mean distance of the cumulative PIT histogram from the diagonal at the inner edges of
    /// its bins. 0 for a calibrated model.
    pub calibration_error: f64,
    /// The parts of the values whose probability integral transform lies in each of [`PIT_BINS`]
    /// equal bins of [0, 1], drawn evenly from the probability of the level (Czado, Gneiting and
    /// Held 2009). Flat for a calibrated model.
    pub pit_histogram: Vec<f64>,
    /// The mean pinball loss at each tau.
    pub pinball_by_tau: Vec<f64>,
    /// The scores of each image.
    pub by_image: Vec<ImageScores>,
}

/// What was predicted for the values of one image, in the order `[channels, height, width]`.
#[derive(Debug, Clone, PartialEq)]
pub struct ValueMaps {
    /// The width of the central 90% interval, in units of the full range of intensity.
    pub width_90: Vec<f32>,
    /// The probability integral transform of the value, in [0, 1].
    pub pit: Vec<f32>,
}

/// Judges the predicted distributions of held-out images.
///
/// `marginal` is that of the training set; skill is relative to it. `progress` is told how many of
/// how many passes are done; [`ControlFlow::Break`] from it ends the work with `None`.
///
/// # Errors
///
/// [`EvalError::Option`] for no images or more than there are, an empty batch or fewer than two
/// tau, [`EvalError::NotFinite`] where a model predicts what is no number, and
/// [`EvalError::Device`].
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
    mut progress: impl FnMut(usize, usize) -> ControlFlow<()>,
) -> Result<Option<ConditionalScores>, EvalError> {
    let &ConditionalOptions {
        images,
        batch,
        taus,
        seed,
    } = options;
    for (ok, name, range) in [
        (batch > 0, "batch", "at least 1"),
        (taus >= 2, "taus", "at least 2"),
        (
            (1..=held_out.len()).contains(&images),
            "images",
            "from 1 to the images of the set",
        ),
    ] {
        if !ok {
            return Err(EvalError::Option { name, range });
        }
    }
    let forecast = ForecastOptions { taus, seed };
    let passes = images.div_ceil(batch) * model.passes(&forecast);
    let mut done = 0;
    let mut by_image = Vec::with_capacity(images);
    let mut reference = Vec::with_capacity(images);
    let mut pit_counts = [0u64; PIT_BINS];
    let mut by_tau = vec![0.0; taus];
    for start in (0..images).step_by(batch) {
        let indices: Vec<usize> = (start..images.min(start + batch)).collect();
        let batch = held_out.batch(&indices, None, device);
        let on_pass = &mut || {
            done += 1;
            progress(done, passes)
        };
        let Some(forecasts) = model.forecast(&batch, &forecast, on_pass)? else {
            return Ok(None);
        };
        for image in judge(&forecasts, &batch, held_out, options)? {
            by_image.push(image.scores);
            for pit in &image.pit {
                pit_counts[((pit * PIT_BINS as f64) as usize).min(PIT_BINS - 1)] += 1;
            }
            for (sum, loss) in by_tau.iter_mut().zip(&image.by_tau) {
                *sum += loss / images as f64;
            }
        }
        let go_on = &mut || ControlFlow::Continue(());
        if let Some(forecasts) = marginal.forecast(&batch, &forecast, go_on)? {
            let judged = judge(&forecasts, &batch, held_out, options)?;
            reference.extend(judged.iter().map(|image| image.scores.crps));
        }
    }
    let estimate = |part: fn(&ImageScores) -> f64| {
        let values: Vec<f64> = by_image.iter().map(part).collect();
        Estimate::of(&values, seed)
    };
    let crps = estimate(|image| image.crps);
    let reference = reference.iter().sum::<f64>() / reference.len() as f64;
    let values: u64 = pit_counts.iter().sum();
    let pit_histogram = pit_counts.map(|n| n as f64 / values as f64).to_vec();
    Ok(Some(ConditionalScores {
        images,
        taus,
        pinball: estimate(|image| image.pinball),
        crps,
        skill: pixel_iqn_loss::skill_score(crps.mean, reference),
        bits_per_dim: estimate(|image| image.bits_per_dim),
        coverage_50: estimate(|image| image.coverage_50),
        coverage_90: estimate(|image| image.coverage_90),
        width_50: estimate(|image| image.width_50),
        width_90: estimate(|image| image.width_90),
        crossing_rate: estimate(|image| image.crossing_rate),
        calibration_error: calibration_error(&pit_histogram),
        pit_histogram,
        pinball_by_tau: by_tau,
        by_image,
    }))
}

/// The widths of intervals and the PIT of every value of some images of a set, for pictures.
///
/// # Errors
///
/// As [`conditional_scores`], and none for options it does not read.
///
/// # Panics
///
/// Panics if an index leaves the set, or as [`conditional_scores`].
pub fn value_maps(
    model: &impl Forecaster,
    held_out: &ImageDataset,
    indices: &[usize],
    forecast: &ForecastOptions,
    device: &Device,
) -> Result<Vec<ValueMaps>, EvalError> {
    let options = ConditionalOptions {
        images: indices.len(),
        batch: indices.len(),
        taus: forecast.taus,
        seed: forecast.seed,
    };
    let batch = held_out.batch(indices, None, device);
    let go_on = &mut || ControlFlow::Continue(());
    let Some(forecasts) = model.forecast(&batch, forecast, go_on)? else {
        return Ok(Vec::new());
    };
    let judged = judge(&forecasts, &batch, held_out, &options)?;
    let single = |values: Vec<f64>| values.into_iter().map(|x| x as f32).collect();
    let maps = judged.into_iter().map(|image| ValueMaps {
        width_90: single(image.widths_90),
        pit: single(image.pit),
    });
    Ok(maps.collect())
}

fn calibration_error(histogram: &[f64]) -> f64 {
    let bins = histogram.len();
    let mut sum = 0.0;
    let edges = histogram.iter().take(bins - 1).enumerate();
    let distances = edges.map(|(i, part)| {
        sum += part;
        (sum - (i + 1) as f64 / bins as f64).abs()
    });
    distances.sum::<f64>() / (bins - 1) as f64
}

/// What an image's values and their forecasts give.
struct Judged {
    scores: ImageScores,
    pit: Vec<f64>,
    widths_90: Vec<f64>,
    by_tau: Vec<f64>,
}

fn judge(
    forecasts: &Forecasts,
    batch: &ImageBatch,
    set: &ImageDataset,
    options: &ConditionalOptions,
) -> Result<Vec<Judged>, EvalError> {
    let (numbers, each) = match forecasts {
        Forecasts::Quantiles { taus, quantiles } => (quantiles, *taus),
        Forecasts::Levels {
            levels,
            probabilities,
        } => (probabilities, *levels),
    };
    if !numbers.iter().all(|x| x.is_finite()) {
        return Err(EvalError::NotFinite("predictions"));
    }
    let values: usize = set.shape().iter().product();
    let images = numbers.par_chunks_exact(values * each);
    let judged = images.zip(&batch.indices).map(|(numbers, &index)| {
        let image = set.image(index);
        let noise = Noise::new(options.seed ^ PIT).uniform(index as u64, values);
        let rows = numbers.chunks_exact(each);
        match forecasts {
            Forecasts::Quantiles { .. } => {
                judge_image(image, &noise, rows.map(Quantiles::new), options.taus)
            }
            Forecasts::Levels { .. } => {
                judge_image(image, &noise, rows.map(Levels::new), options.taus)
            }
        }
    });
    Ok(judged.collect())
}

fn judge_image<D: Distribution>(
    image: &[u8],
    noise: &[f32],
    distributions: impl Iterator<Item = D>,
    taus: usize,
) -> Judged {
    let count = image.len() as f64;
    let mut judged = Judged {
        scores: ImageScores::default(),
        pit: Vec::with_capacity(image.len()),
        widths_90: Vec::with_capacity(image.len()),
        by_tau: vec![0.0; taus],
    };
    let scores = &mut judged.scores;
    let mut losses = vec![0.0; taus];
    for ((level, u), distribution) in image.iter().zip(noise).zip(distributions) {
        let y = f64::from(*level) / 255.0;
        distribution.pinball(y, &mut losses);
        for (sum, loss) in judged.by_tau.iter_mut().zip(&losses) {
            *sum += loss / count;
        }
        scores.pinball += losses.iter().sum::<f64>() / taus as f64 / count;
        scores.crps += distribution.crps(y) / count;
        let (below, at) = distribution.below_and_at(y);
        // What single precision rounds to zero is still possible.
        // A level of a coarser grid spreads over those of 256 that it holds.
        let at_level = at.max(f64::from(f32::MIN_POSITIVE)) / distribution.coarseness();
        scores.bits_per_dim -= at_level.log2() / count;
        judged
            .pit
            .push((below + f64::from(*u) * at).clamp(0.0, 1.0));
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
        judged.widths_90.push(width);
        scores.crossing_rate += distribution.crossings() as f64 / (taus - 1) as f64 / count;
    }
    judged
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same quantile function for every value.
    struct Everywhere<F>(F);

    impl<F: Fn(f64) -> f64> Forecaster for Everywhere<F> {
        fn forecast(
            &self,
            batch: &ImageBatch,
            options: &ForecastOptions,
            on_pass: &mut dyn FnMut() -> ControlFlow<()>,
        ) -> Result<Option<Forecasts>, EvalError> {
            let taus = pixel_iqn_loss::tau_midpoints(options.taus).into_iter();
            let row: Vec<f32> = taus.map(|tau| self.0(tau) as f32).collect();
            let forecasts = Forecasts::Quantiles {
                taus: options.taus,
                quantiles: row.repeat(batch.images.dims().iter().product()),
            };
            Ok(on_pass().is_continue().then_some(forecasts))
        }
    }

    /// Each level once in each image, so that the marginal distribution is uniform.
    fn uniform_set(images: usize) -> ImageDataset {
        let levels = (0..images).flat_map(|_| 0..=255u8).collect();
        ImageDataset::new(levels, [1, 16, 16]).unwrap()
    }

    fn options(images: usize) -> ConditionalOptions {
        ConditionalOptions {
            images,
            batch: 2,
            taus: 50,
            seed: 7,
        }
    }

    fn scores(model: &impl Forecaster, set: &ImageDataset) -> ConditionalScores {
        let marginal = MarginalForecaster::of(set);
        let go_on = |_, _| ControlFlow::Continue(());
        let options = options(set.len());
        conditional_scores(model, set, &marginal, &options, &Device::flex(), go_on)
            .unwrap()
            .unwrap()
    }

    /// Level `l` of 16 with the same probability everywhere.
    struct Coarse;

    impl Forecaster for Coarse {
        fn forecast(
            &self,
            batch: &ImageBatch,
            _: &ForecastOptions,
            on_pass: &mut dyn FnMut() -> ControlFlow<()>,
        ) -> Result<Option<Forecasts>, EvalError> {
            let values: usize = batch.images.dims().iter().product();
            let forecasts = Forecasts::Levels {
                levels: 16,
                probabilities: vec![1.0 / 16.0; 16 * values],
            };
            Ok(on_pass().is_continue().then_some(forecasts))
        }
    }

    #[test]
    fn bits_of_coarse_levels_are_those_of_256() {
        let scores = scores(&Coarse, &uniform_set(2));
        assert!((scores.bits_per_dim.mean - 8.0).abs() < 1e-6, "{scores:?}");
    }

    #[test]
    fn the_true_distribution_is_calibrated_and_has_no_skill_over_the_marginal() {
        let set = uniform_set(5);
        let line = |tau: f64| (256.0 * tau - 0.5) / 255.0;
        let by_levels = scores(&MarginalForecaster::of(&set), &set);
        let by_quantiles = scores(&Everywhere(line), &set);
        for scores in [&by_levels, &by_quantiles] {
            assert!(scores.skill.abs() < 2e-3, "{scores:?}");
            assert!((scores.bits_per_dim.mean - 8.0).abs() < 1e-3);
            // E|X - X'| / 2 of the uniform distribution.
            assert!((scores.crps.mean - 1.0 / 6.0).abs() < 2e-3);
            assert!((scores.pinball.mean - 1.0 / 12.0).abs() < 1e-3);
            assert!((scores.coverage_50.mean - 0.5).abs() < 0.02);
            assert!((scores.coverage_90.mean - 0.9).abs() < 0.02);
            assert!((scores.width_50.mean - 0.5).abs() < 0.01);
            assert!((scores.width_90.mean - 0.9).abs() < 0.01);
            assert_eq!(scores.crossing_rate.mean, 0.0);
            assert!(scores.calibration_error < 0.01, "{scores:?}");
            // Of 1,280 values, 64 in each bin with a standard deviation of 8.
            assert!(
                scores
                    .pit_histogram
                    .iter()
                    .all(|part| (part - 0.05).abs() < 0.025)
            );
            // ρ_τ in expectation: τ (1 - τ) / 2.
            for (j, loss) in scores.pinball_by_tau.iter().enumerate() {
                let tau = (j as f64 + 0.5) / 50.0;
                assert!((loss - tau * (1.0 - tau) / 2.0).abs() < 2e-3);
            }
        }
        assert_eq!(by_levels.images, 5);
        assert_eq!(by_levels.by_image.len(), 5);
    }

    #[test]
    fn a_forecast_that_is_too_sure_shows_it() {
        let set = uniform_set(3);
        let narrow = scores(&Everywhere(|tau: f64| 0.45 + 0.1 * tau), &set);
        assert!(narrow.coverage_90.mean < 0.15);
        assert!(narrow.calibration_error > 0.15);
        // Most values lie beyond the first or last quantile.
        let ends = narrow.pit_histogram[0] + narrow.pit_histogram[PIT_BINS - 1];
        assert!(ends > 0.85, "{ends}");
        assert!(narrow.bits_per_dim.mean > 10.0);
        assert!(narrow.skill < 0.0);
    }

    #[test]
    fn maps_follow_the_values() {
        let set = uniform_set(2);
        let model = Everywhere(|tau: f64| (256.0 * tau - 0.5) / 255.0);
        let forecast = ForecastOptions { taus: 50, seed: 1 };
        let maps = value_maps(&model, &set, &[1], &forecast, &Device::flex()).unwrap();
        assert_eq!(maps.len(), 1);
        for (level, pit) in maps[0].pit.iter().enumerate() {
            let from = level as f32 / 256.0;
            assert!(
                (from - 1e-5..=from + 1.0 / 256.0 + 1e-5).contains(pit),
                "{level} {pit}"
            );
        }
        assert!(
            maps[0]
                .width_90
                .iter()
                .all(|width| (width - 0.9).abs() < 0.01)
        );
    }

    #[test]
    fn what_cannot_be_judged_is_an_error_and_a_break_ends_it() {
        let set = uniform_set(3);
        let marginal = MarginalForecaster::of(&set);
        let model = Everywhere(|_| f64::NAN);
        let run = |options: ConditionalOptions, go_on: bool| {
            let progress = |_, _| match go_on {
                true => ControlFlow::Continue(()),
                false => ControlFlow::Break(()),
            };
            conditional_scores(&model, &set, &marginal, &options, &Device::flex(), progress)
        };
        assert!(matches!(run(options(3), false), Ok(None)));
        assert!(matches!(
            run(options(3), true),
            Err(EvalError::NotFinite("predictions"))
        ));
        for (changed, field) in [
            (
                ConditionalOptions {
                    images: 4,
                    ..options(3)
                },
                "images",
            ),
            (
                ConditionalOptions {
                    batch: 0,
                    ..options(3)
                },
                "batch",
            ),
            (
                ConditionalOptions {
                    taus: 1,
                    ..options(3)
                },
                "taus",
            ),
        ] {
            let error = run(changed, true).unwrap_err();
            assert!(
                matches!(error, EvalError::Option { name, .. } if name == field),
                "{error}"
            );
        }
    }
}

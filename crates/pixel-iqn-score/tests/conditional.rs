//! Distributions that are known exactly, and what their scores must be.

use core::ops::ControlFlow;

use burn::tensor::Device;
use pixel_iqn_core::{NoProgress, Progress, report};
use pixel_iqn_data::{ImageBatch, ImageDataset, builtin};
use pixel_iqn_score::{
    ConditionalOptions, ConditionalScores, ForecastOptions, Forecaster, Forecasts,
    MarginalForecaster, PIT_BINS, ScoreError, conditional_scores, value_maps,
};

/// A forecaster with one quantile function for every value.
struct Everywhere<F>(F);

impl<F: Fn(f64) -> f64> Forecaster for Everywhere<F> {
    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        let levels = pixel_iqn_loss::tau_midpoints(options.quantile_levels).into_iter();
        let row: Vec<f32> = levels.map(|tau| self.0(tau) as f32).collect();
        report(progress, 1, 1)?;
        Ok(Forecasts::Quantiles {
            quantile_levels: options.quantile_levels,
            quantiles: row.repeat(batch.images.dims().iter().product()),
        })
    }
}

/// Each of 16 levels with the same probability everywhere.
struct Coarse;

impl Forecaster for Coarse {
    fn forecast(
        &self,
        batch: &ImageBatch,
        _: &ForecastOptions,
        progress: &dyn Progress,
    ) -> Result<Forecasts, ScoreError> {
        let values: usize = batch.images.dims().iter().product();
        report(progress, 1, 1)?;
        Ok(Forecasts::Levels {
            levels: 16,
            probabilities: vec![1.0 / 16.0; 16 * values],
        })
    }
}

/// Each level once in each image, so that the marginal distribution is uniform.
fn uniform_set(images: usize) -> ImageDataset {
    let levels = (0..images).flat_map(|_| 0..=255u8).collect();
    ImageDataset::new(levels, [1, 16, 16]).unwrap()
}

fn options(images: usize) -> ConditionalOptions {
    ConditionalOptions::new(images)
        .with_batch(2)
        .with_quantile_levels(50)
        .with_seed(7)
}

fn scores(model: &impl Forecaster, set: &ImageDataset) -> ConditionalScores {
    let marginal = MarginalForecaster::of(set);
    let options = options(set.len());
    conditional_scores(
        model,
        set,
        &marginal,
        &options,
        &Device::flex(),
        &NoProgress,
    )
    .unwrap()
}

#[test]
fn bits_of_coarse_levels_are_those_of_256() {
    let scores = scores(&Coarse, &uniform_set(2));
    assert!((scores.mean.bits_per_dim - 8.0).abs() < 1e-6, "{scores:?}");
}

#[test]
fn the_true_distribution_is_calibrated_and_has_no_skill_over_the_marginal() {
    let set = uniform_set(5);
    let line = |tau: f64| (256.0 * tau - 0.5) / 255.0;
    let by_levels = scores(&MarginalForecaster::of(&set), &set);
    let by_quantiles = scores(&Everywhere(line), &set);
    for scores in [&by_levels, &by_quantiles] {
        let mean = &scores.mean;
        assert!(scores.skill.unwrap().abs() < 2e-3, "{scores:?}");
        assert!((mean.bits_per_dim - 8.0).abs() < 1e-3);
        // E|X - X'| / 2 of the uniform distribution.
        assert!((mean.crps - 1.0 / 6.0).abs() < 2e-3);
        assert!((mean.pinball - 1.0 / 12.0).abs() < 1e-3);
        assert!((mean.coverage_50 - 0.5).abs() < 0.02);
        assert!((mean.coverage_90 - 0.9).abs() < 0.02);
        assert!((mean.width_50 - 0.5).abs() < 0.01);
        assert!((mean.width_90 - 0.9).abs() < 0.01);
        assert_eq!(mean.crossing_rate, 0.0);
        assert!(scores.calibration_error < 0.01, "{scores:?}");
        // 1,280 values make 64 in each bin, with a standard deviation of 8.
        assert!(
            scores
                .pit_histogram
                .iter()
                .all(|fraction| (fraction - 0.05).abs() < 0.025)
        );
        let bits: f64 = scores.bits_by_intensity.iter().sum();
        assert!((bits - mean.bits_per_dim).abs() < 1e-9);
        for (level, bits) in scores.bits_by_intensity.iter().enumerate() {
            let there = set.images().contains(&(level as u8));
            assert_eq!(*bits > 0.0, there, "{level}");
        }
        // ρ_τ in expectation: τ (1 - τ) / 2.
        for (j, loss) in scores.pinball_by_level.iter().enumerate() {
            let tau = (j as f64 + 0.5) / 50.0;
            assert!((loss - tau * (1.0 - tau) / 2.0).abs() < 2e-3);
        }
    }
    assert_eq!(by_levels.images, 5);
    assert_eq!(by_levels.by_image.len(), 5);
    // The reference is scored by the same rule as a model that predicts the same.
    assert!(by_levels.skill.unwrap().abs() < 1e-12, "{by_levels:?}");
}

#[test]
fn certainty_is_scored_by_the_absolute_error() {
    let set = ImageDataset::new(vec![255; 5 * 48], [3, 4, 4]).unwrap();
    let scores = scores(&Everywhere(|_| 0.75), &set);
    assert!((scores.mean.crps - 0.25).abs() < 1e-6, "{scores:?}");
    assert_eq!(scores.images, 5);
}

#[test]
fn falling_quantiles_cross_everywhere() {
    let set = builtin::generate(0, 0..3, 4, 3).unwrap();
    let scores = scores(&Everywhere(|tau| 1.0 - tau), &set);
    assert!(
        (scores.mean.crossing_rate - 1.0).abs() < 1e-12,
        "{scores:?}"
    );
}

#[test]
fn a_forecast_that_is_too_sure_shows_it() {
    let set = uniform_set(3);
    let narrow = scores(&Everywhere(|tau: f64| 0.45 + 0.1 * tau), &set);
    assert!(narrow.mean.coverage_90 < 0.15);
    assert!(narrow.calibration_error > 0.15);
    // Most values lie beyond the first or last quantile.
    let ends = narrow.pit_histogram[0] + narrow.pit_histogram[PIT_BINS - 1];
    assert!(ends > 0.85, "{ends}");
    assert!(narrow.mean.bits_per_dim > 10.0);
    assert!(narrow.skill.unwrap() < 0.0);
}

#[test]
fn maps_follow_the_values() {
    let set = uniform_set(2);
    let model = Everywhere(|tau: f64| (256.0 * tau - 0.5) / 255.0);
    let forecast = ForecastOptions::new().with_quantile_levels(50).with_seed(1);
    let maps = value_maps(&model, &set, &[1], &forecast, &Device::flex(), &NoProgress).unwrap();
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
fn intervals_are_of_the_images_and_differences_cancel_what_images_share() {
    let set = builtin::generate(0, 0..6, 4, 3).unwrap();
    let [a, b] = [0.25, 0.75].map(|q| scores(&Everywhere(move |_| q), &set));
    let estimates = a.estimates(3);
    assert_eq!(estimates.crps, a.estimate(|image| image.crps, 3));
    assert_eq!(estimates.crps.mean, a.mean.crps);
    assert!(estimates.crps.low < estimates.crps.mean && estimates.crps.mean < estimates.crps.high);
    assert_eq!(estimates.crossing_rate.high, 0.0);
    let difference = a.difference(&b, |image| image.crps, 3);
    assert!((difference.mean - (a.mean.crps - b.mean.crps)).abs() < 1e-12);
    let none = a.difference(&a, |image| image.crps, 3);
    assert_eq!((none.low, none.mean, none.high), (0.0, 0.0, 0.0));
}

#[test]
fn scores_survive_json_with_the_means_beside_the_rest() {
    let scores = scores(&Coarse, &uniform_set(1));
    let json = serde_json::to_value(&scores).unwrap();
    assert_eq!(json["crps"], scores.mean.crps);
    assert_eq!(json["images"], 1);
    let read: ConditionalScores = serde_json::from_value(json).unwrap();
    assert_eq!(read, scores);
}

#[test]
fn what_cannot_be_evaluated_is_an_error_and_a_break_cancels() {
    let set = uniform_set(3);
    let marginal = MarginalForecaster::of(&set);
    let model = Everywhere(|_| f64::NAN);
    let run = |options: ConditionalOptions, go_on: bool| {
        let progress = move |_, _| match go_on {
            true => ControlFlow::Continue(()),
            false => ControlFlow::Break(()),
        };
        let device = Device::flex();
        conditional_scores(&model, &set, &marginal, &options, &device, &progress).unwrap_err()
    };
    assert!(matches!(run(options(3), false), ScoreError::Cancelled(_)));
    assert!(matches!(run(options(3), true), ScoreError::NotFinite));
    for (changed, field) in [
        (options(4), "images"),
        (options(0), "images"),
        (options(3).with_batch(0), "batch"),
        (options(3).with_quantile_levels(1), "quantile_levels"),
    ] {
        let error = run(changed, true);
        assert!(
            matches!(error, ScoreError::Option { name, .. } if name == field),
            "{error}"
        );
    }
}

#[test]
fn images_of_one_level_have_no_skill_and_say_why() {
    let set = ImageDataset::new(vec![7; 5 * 48], [3, 4, 4]).unwrap();
    let scores = scores(&Everywhere(|tau| tau), &set);
    assert_eq!(scores.skill, None);
    assert!(scores.mean.crps > 0.0);
    assert_eq!(scores.skill_text(3), "not defined");
    let json = serde_json::to_value(&scores).unwrap();
    assert!(json["skill"].is_null(), "{json}");
    assert!(
        json["no_skill_because"]
            .as_str()
            .unwrap()
            .contains("one level"),
        "{json}"
    );
}

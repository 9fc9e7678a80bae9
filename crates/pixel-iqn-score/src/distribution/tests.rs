use pixel_iqn_loss::{crps_from_samples, tau_midpoints};
use proptest::prelude::*;

use super::line::{HIGHEST, LOWEST};
use super::*;

fn y(level: usize) -> f64 {
    level as f64 / 255.0
}

/// The CRPS of a distribution, from its losses at as many quantile levels.
fn crps(distribution: &impl Distribution, outcome: f64, levels: usize) -> f64 {
    let mut losses = vec![0.0; levels];
    distribution.pinball(outcome, &tau_midpoints(levels), &mut losses);
    distribution.crps(outcome, &losses)
}

fn quantiles_of(count: usize, quantile: impl Fn(f64) -> f64) -> Vec<f32> {
    let midpoints = tau_midpoints(count).into_iter();
    midpoints.map(|tau| quantile(tau) as f32).collect()
}

proptest! {
    #[test]
    fn levels_add_up_to_one_and_none_is_impossible(
        raw in prop::collection::vec(0.0..=1.0f32, 2..40),
    ) {
        let levels = tau_midpoints(raw.len());
        let quantiles = Quantiles::new(&raw, &levels);
        let mut below = 0.0;
        for level in 0..256 {
            let (before, at) = quantiles.below_and_at(y(level));
            prop_assert!((before - below).abs() < 1e-12);
            prop_assert!(at >= 0.999 / (512.0 * raw.len() as f64), "{} {}", level, at);
            below = before + at;
        }
        prop_assert!((below - 1.0).abs() < 1e-12);
    }

    #[test]
    fn levels_of_a_quantile_function_add_up_to_one_and_are_its_probabilities(
        first in -0.5..1.2f32,
        steps in prop::collection::vec(0.0..0.5f32, 4),
    ) {
        let knots = [0.01, 0.2, 0.5, 0.8, 0.95];
        let mut values = vec![first];
        for step in steps {
            values.push(values[values.len() - 1] + step);
        }
        let distribution = Functions::new(&knots, &values);
        let raw: Vec<f64> = values.iter().map(|v| f64::from(*v)).collect();
        let function = pixel_iqn_loss::QuantileFunction::new(&knots, &raw);
        let mut below = 0.0;
        for level in 0..256 {
            let (before, at) = distribution.below_and_at(y(level));
            prop_assert!((before - below).abs() < 1e-12);
            prop_assert!(at > 0.0, "{} {}", level, at);
            // Between the outer knots it is the distribution function.
            let edge = y(level) + 0.5 / 255.0;
            if raw[0] < edge && edge < raw[4] && level < 255 {
                prop_assert!((before + at - function.cdf(edge)).abs() < 1e-9);
            }
            below = before + at;
        }
        prop_assert!((below - 1.0).abs() < 1e-12);
    }

    #[test]
    fn sorted_quantiles_score_as_samples(
        mut raw in prop::collection::vec(0.0..=1.0f32, 2..40),
        level in 0..256usize,
    ) {
        raw.sort_unstable_by(f32::total_cmp);
        let samples: Vec<f64> = raw.iter().map(|q| f64::from(*q)).collect();
        let score = crps(&Quantiles::new(&raw, &tau_midpoints(raw.len())), y(level), raw.len());
        prop_assert!((score - crps_from_samples(&samples, y(level))).abs() < 1e-12);
    }

    /// The exact score is the limit of twice the pinball loss on ever finer grids.
    #[test]
    fn the_score_of_levels_is_twice_the_mean_pinball_loss(
        weights in prop::collection::vec(0.0..1.0f32, 4),
        level in 0..4usize,
    ) {
        let sum: f32 = weights.iter().sum();
        prop_assume!(sum > 0.1);
        let levels = Levels::new(&weights);
        let outcome = level as f64 / 3.0;
        let mut losses = vec![0.0; 20_000];
        levels.pinball(outcome, &tau_midpoints(losses.len()), &mut losses);
        let fine = 2.0 * losses.iter().sum::<f64>() / losses.len() as f64;
        prop_assert!((levels.exact_crps(outcome) - fine).abs() < 1e-3);
    }
}

/// The bits per value that a distribution of levels gives to one like it, from quantiles of it.
fn bits(probability: impl Fn(usize) -> f64, raw: &[f32]) -> f64 {
    let levels = tau_midpoints(raw.len());
    let quantiles = Quantiles::new(raw, &levels);
    (0..256)
        .map(|level| -probability(level) * quantiles.below_and_at(y(level)).1.log2())
        .sum()
}

#[test]
fn bits_of_the_uniform_distribution_are_eight() {
    // Its quantile function is a line, which few quantiles describe exactly.
    let raw = quantiles_of(5, |tau| LOWEST + tau * (HIGHEST - LOWEST));
    assert!((bits(|_| 1.0 / 256.0, &raw) - 8.0).abs() < 1e-4);
}

#[test]
fn bits_approach_the_entropy() {
    // A triangle over the whole range: quantile sqrt(tau), over the edges of the levels.
    let edge = |level: usize| level as f64 / 256.0;
    let probability = |level: usize| edge(level + 1).powi(2) - edge(level).powi(2);
    let entropy: f64 = (0..256)
        .map(|l| -probability(l) * probability(l).log2())
        .sum();
    let excess = |count| {
        let raw = quantiles_of(count, |tau| LOWEST + tau.sqrt() * (HIGHEST - LOWEST));
        bits(probability, &raw) - entropy
    };
    let [coarse, fine] = [excess(20), excess(200)];
    assert!(
        0.0 < fine && fine < 1e-3 && fine < 0.1 * coarse && coarse < 0.02,
        "{coarse} {fine}"
    );
}

#[test]
fn a_certain_forecast_costs_what_its_tails_hold() {
    // All quantiles at level 100: half a bin of probability goes to each side.
    let raw = vec![100.0 / 255.0; 50];
    let (below, at) = Quantiles::new(&raw, &tau_midpoints(raw.len())).below_and_at(y(100));
    assert!(
        at > 1.0 - 1.0 / 50.0 && at < 1.0 && below < 0.01,
        "{below} {at}"
    );
}

#[test]
fn intervals_are_central() {
    let raw = quantiles_of(40, |tau| tau);
    let (low, high, _) = Quantiles::new(&raw, &tau_midpoints(raw.len())).interval(0.5);
    assert!((low - 0.25).abs() < 0.003 && (high - 0.75).abs() < 0.003);
    // Levels 0, 1, 2 with 10, 80 and 10 percent.
    let levels = Levels::new(&[0.1, 0.8, 0.1]);
    assert_eq!(levels.interval(0.5), (0.5, 0.5, 0.5));
    assert_eq!(levels.interval(0.9), (0.0, 1.0, 0.5));
    assert_eq!(
        levels.below_and_at(0.5).0,
        0.1f32 as f64 / (0.1f32 as f64 * 2.0 + 0.8f32 as f64)
    );
    assert_eq!(levels.below_and_at(1.0).1, 1.0 - levels.cumulative[1]);
}

#[test]
fn falling_quantiles_cross_everywhere_and_are_sorted_for_the_rest() {
    let up = quantiles_of(9, |tau| tau);
    let down: Vec<f32> = up.iter().rev().copied().collect();
    assert_eq!(Quantiles::new(&up, &tau_midpoints(up.len())).crossings(), 0);
    assert_eq!(
        Quantiles::new(&down, &tau_midpoints(down.len())).crossings(),
        8
    );
    let at = |raw: &[f32]| Quantiles::new(raw, &tau_midpoints(raw.len())).below_and_at(y(60));
    assert_eq!(at(&up), at(&down));
    let crps = |raw: &[f32]| {
        crps(
            &Quantiles::new(raw, &tau_midpoints(raw.len())),
            0.9,
            raw.len(),
        )
    };
    assert!(crps(&down) > crps(&up));
}

#[test]
fn knots_at_0_and_1_leave_no_level_impossible() {
    for knots in [&[0.0, 1.0][..], &[0.0, 1e-6, 0.5, 1.0], &[0.0, 0.5, 0.9]] {
        let values: Vec<f32> = (0..knots.len()).map(|k| 0.4 + 0.05 * k as f32).collect();
        let functions = Functions::new(knots, &values);
        let probabilities = (0..256).map(|level| functions.below_and_at(y(level)).1);
        let (least, sum) =
            probabilities.fold((1.0f64, 0.0), |(least, sum), p| (least.min(p), sum + p));
        assert!(
            least > 1e-10 && (sum - 1.0).abs() < 1e-12,
            "{knots:?}: {least} {sum}"
        );
    }
    // What is sampled, and its score, know nothing of it.
    let uniform = Functions::new(&[0.0, 1.0], &[0.0, 1.0]);
    assert!((uniform.crps(0.5, &[]) - 1.0 / 12.0).abs() < 1e-12);
}

//! The theorems that the losses and scores rest on, as tests.
//!
//! Each compares two ways to the same number, of which at most one is the code under test.

use burn::{
    nn::loss::Reduction,
    tensor::{DType, Device, Tensor},
};
use pixel_iqn_loss::*;
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};
use std::f64::consts::{FRAC_1_SQRT_2, PI};

/// A uniform draw from `[0, 1)`.
fn uniform(rng: &mut ChaCha8Rng) -> f64 {
    (rng.next_u64() >> 11) as f64 / (1_u64 << 53) as f64
}

fn draws(rng: &mut ChaCha8Rng, n: usize) -> Vec<f64> {
    (0..n).map(|_| uniform(rng)).collect()
}

fn mean(values: impl ExactSizeIterator<Item = f64>) -> f64 {
    let n = values.len() as f64;
    values.sum::<f64>() / n
}

/// `E|X - Y|` for independent draws from two sets of values.
fn mean_distance(x: &[f64], y: &[f64]) -> f64 {
    mean(x.iter().map(|x| mean(y.iter().map(|y| (x - y).abs()))))
}

fn row(values: &[f64]) -> Tensor<2> {
    let options = (&Device::flex().autodiff(), DType::F64);
    Tensor::<1>::from_data(values, options).unsqueeze_dim(0)
}

fn column(values: &[f64]) -> Tensor<2> {
    row(values).transpose()
}

#[track_caller]
fn assert_close(actual: f64, expected: f64, tolerance: f64) {
    let difference = (actual - expected).abs();
    assert!(difference <= tolerance, "{actual} is not {expected}");
}

// ------------------------------------------------------------------- the minimiser of the loss

// The levels are away from 0.5 and not symmetric: with uniform levels, or at the median, a loss of
// the wrong sign would pass.

#[test]
fn gradient_descent_on_the_pinball_loss_finds_the_quantile() {
    // The squares of uniform values have the quantile function tau².
    let data: Vec<f64> = tau_midpoints(2000).iter().map(|u| u * u).collect();
    let target = column(&data);

    for tau in [0.1, 0.7] {
        let mut value = 0.25;
        for _ in 0..100 {
            let prediction = row(&[value]).require_grad();
            let loss = PinballLoss::new().forward(
                prediction.clone(),
                target.clone(),
                row(&[tau]),
                Reduction::Mean,
            );
            let gradient = prediction.grad(&loss.backward()).expect("a tracked leaf");
            value -= 0.1 * gradient.into_scalar::<f64>();
        }
        assert_close(value, tau * tau, 1e-3);
    }
}

#[test]
fn the_least_pinball_loss_of_a_sample_is_at_its_quantile() {
    let mut data = draws(&mut ChaCha8Rng::seed_from_u64(1), 15);
    // Convex and piecewise linear with kinks at the data, the mean loss is least at one of them.
    let losses: Vec<f64> = pinball(row(&data), column(&data), row(&[0.1]))
        .mean_dim(0)
        .into_data()
        .try_to_vec()
        .expect("a tensor of f64");
    let best = (0..data.len())
        .min_by(|&i, &j| losses[i].total_cmp(&losses[j]))
        .expect("data");
    let minimiser = data[best];

    // The empirical distribution function passes 0.1 at the second of 15 values.
    data.sort_by(f64::total_cmp);
    assert_eq!(minimiser, data[1]);
}

// ---------------------------------------------------------------------- the quantile divergence

/// `q(P, Q)` by its definition, `∫₀¹ ∫ from P⁻¹(τ) to Q⁻¹(τ) of (F_P(x) - τ) dx dτ`.
fn divergence_by_definition(p: &[f64], q: &[f64]) -> f64 {
    let sorted = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        values
    };
    let (p, q) = (sorted(p), sorted(q));
    // ∫ F_P up to x.
    let integral = |x: f64| mean(p.iter().map(|v| (x - v).max(0.0)));
    // Both quantile functions are constant on each of p.len() * q.len() bins, and the inner
    // integral is linear in τ there.
    let bins = p.len() * q.len();
    let inner = |bin: usize, tau: f64| {
        let (from, to) = (p[bin / q.len()], q[bin / p.len()]);
        integral(to) - integral(from) - tau * (to - from)
    };
    mean(
        tau_midpoints(bins)
            .iter()
            .enumerate()
            .map(|(bin, &tau)| inner(bin, tau)),
    )
}

#[test]
fn the_divergence_is_half_the_squared_gap_of_the_distribution_functions() {
    // The crate computes the right side of q = ½∫(F_P - F_Q)² dx; the definition is the left.
    let mut rng = ChaCha8Rng::seed_from_u64(2);
    for (m, n) in [(1, 1), (1, 6), (5, 3), (7, 7)] {
        let (p, q) = (draws(&mut rng, m), draws(&mut rng, n));
        let divergence = quantile_divergence_from_samples(&p, &q);
        assert_close(divergence, divergence_by_definition(&p, &q), 1e-14);
    }
}

#[test]
fn the_expected_pinball_loss_is_the_divergence_plus_a_constant_of_the_data() {
    // E ρ_τ(X - Q⁻¹(τ)) = q(P, Q) + ¼E|X - X'|
    let mut rng = ChaCha8Rng::seed_from_u64(3);
    for (m, n) in [(1, 4), (6, 1), (5, 8)] {
        let p = draws(&mut rng, m);
        let mut q = draws(&mut rng, n);
        q.sort_by(f64::total_cmp);

        let loss = pinball(row(&q), column(&p), row(&tau_midpoints(n))).mean();

        let expected = quantile_divergence_from_samples(&p, &q) + 0.25 * mean_distance(&p, &p);
        assert_close(loss.into_scalar(), expected, 1e-14);
    }
}

// ------------------------------------------------------------- gradients estimated from samples

/// `∫ |F_P - F_Q| dx`, for sets of which the sizes divide `BINS`.
fn wasserstein(p: &[f64], q: &[f64]) -> f64 {
    const BINS: usize = 120;
    let quantiles = |values: &[f64]| {
        let mut values = values.to_vec();
        values.sort_by(f64::total_cmp);
        (0..BINS).map(move |bin| values[bin * values.len() / BINS])
    };
    mean(quantiles(p).zip(quantiles(q)).map(|(p, q)| (p - q).abs()))
}

/// The gradient of `distance(p, q)` with respect to the values of `q`, by central differences,
/// which are exact where the distance is linear in them.
fn gradient(distance: fn(&[f64], &[f64]) -> f64, p: &[f64], q: &[f64]) -> Vec<f64> {
    const STEP: f64 = 1e-4;
    let moved = |j: usize, step: f64| {
        let mut q = q.to_vec();
        q[j] += step;
        distance(p, &q)
    };
    (0..q.len())
        .map(|j| (moved(j, STEP) - moved(j, -STEP)) / (2.0 * STEP))
        .collect()
}

// Bernoulli data, as in the example by which Bellemare et al. 2017, "The Cramer Distance as a
// Solution to Biased Wasserstein Gradients", show the bias; the model has four quantiles.
const DATA: [f64; 10] = [0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 0.0, 1.0, 1.0, 1.0];
const MODEL: [f64; 4] = [0.2, 0.4, 0.6, 0.8];

fn batch(rng: &mut ChaCha8Rng) -> [f64; 3] {
    std::array::from_fn(|_| DATA[(uniform(rng) * DATA.len() as f64) as usize])
}

/// For each value of the model: the error of the mean gradient over many batches, and the
/// standard error of that mean.
fn bias(distance: fn(&[f64], &[f64]) -> f64, seed: u64) -> Vec<(f64, f64)> {
    const BATCHES: usize = 4000;
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    let samples: Vec<_> = (0..BATCHES)
        .map(|_| gradient(distance, &batch(&mut rng), &MODEL))
        .collect();
    let truth = gradient(distance, &DATA, &MODEL);
    (0..MODEL.len())
        .map(|j| {
            let average = mean(samples.iter().map(|g| g[j]));
            let variance = mean(samples.iter().map(|g| (g[j] - average).powi(2)));
            (average - truth[j], (variance / BATCHES as f64).sqrt())
        })
        .collect()
}

#[test]
fn sample_gradients_of_the_divergence_are_unbiased() {
    for (error, standard_error) in bias(quantile_divergence_from_samples, 4) {
        assert!(standard_error > 0.0);
        assert!(
            error.abs() < 4.0 * standard_error,
            "{error} of {standard_error}"
        );
    }
}

#[test]
fn sample_gradients_of_the_wasserstein_distance_are_biased() {
    let bias = bias(wasserstein, 5);
    for &(error, standard_error) in &bias {
        assert!(
            error.abs() > 4.0 * standard_error,
            "{error} of {standard_error}"
        );
    }
    // And it is large: one batch in three has no 1 at all, and then the gradient of the highest
    // value is 1/4 instead of -1/4.
    let (highest, _) = bias[MODEL.len() - 1];
    assert!(highest > 0.1, "{highest}");
}

#[test]
fn the_gradient_of_the_pinball_loss_is_that_sample_gradient() {
    let mut rng = ChaCha8Rng::seed_from_u64(6);
    let tau = row(&tau_midpoints(MODEL.len()));
    for _ in 0..10 {
        let samples = batch(&mut rng);
        let model = row(&MODEL).require_grad();
        let loss = pinball(model.clone(), column(&samples), tau.clone()).mean();
        let by_autodiff = model.grad(&loss.backward()).expect("a tracked leaf");
        let by_autodiff: Vec<f64> = by_autodiff
            .into_data()
            .try_to_vec()
            .expect("a tensor of f64");

        let expected = gradient(quantile_divergence_from_samples, &samples, &MODEL);
        for (actual, expected) in by_autodiff.into_iter().zip(expected) {
            assert_close(actual, expected, 1e-10);
        }
    }
}

// ------------------------------------------------------------------------------- closed forms

fn normal_density(z: f64) -> f64 {
    (-0.5 * z * z).exp() / (2.0 * PI).sqrt()
}

/// The standard normal distribution function, ½ plus Simpson's rule from 0.
fn normal_cdf(z: f64) -> f64 {
    const INTERVALS: usize = 200;
    let width = z / INTERVALS as f64;
    let inner = (1..INTERVALS).map(|i| {
        let weight = if i % 2 == 1 { 4.0 } else { 2.0 };
        weight * normal_density(i as f64 * width)
    });
    0.5 + width / 3.0 * (normal_density(0.0) + inner.sum::<f64>() + normal_density(z))
}

/// The standard normal quantile function, by bisection.
fn normal_quantile(tau: f64) -> f64 {
    let (mut low, mut high) = (-8.0, 8.0);
    for _ in 0..45 {
        let middle = 0.5 * (low + high);
        if normal_cdf(middle) < tau {
            low = middle;
        } else {
            high = middle;
        }
    }
    0.5 * (low + high)
}

#[test]
fn divergence_of_uniform_distributions() {
    // [0, 1] from [0, 2]: ½ (∫₀¹ (x/2)² dx + ∫₁² (1 - x/2)² dx) = ½ (1/12 + 1/12).
    let wider = quantile_divergence(|tau| tau, |tau| 2.0 * tau, 1000);
    assert_close(wider, 1.0 / 12.0, 1e-6);
    // [0, 1] from [d, 1 + d] at d = ½: ½ (d³/3 + d² (1 - d) + d³/3) = 5/48.
    let shifted = quantile_divergence(|tau| tau, |tau| tau + 0.5, 1000);
    assert_close(shifted, 5.0 / 48.0, 1e-6);
}

#[test]
fn divergence_of_normal_distributions() {
    // q = ½E|X - Y| - ¼E|X - X'| - ¼E|Y - Y'|, where X - Y is normal of mean -1, variance 2.
    let mean_of_absolute =
        2.0 / PI.sqrt() * (-0.25_f64).exp() + (1.0 - 2.0 * normal_cdf(-FRAC_1_SQRT_2));
    let expected = 0.5 * mean_of_absolute - 1.0 / PI.sqrt();

    let divergence = quantile_divergence(normal_quantile, |tau| normal_quantile(tau) + 1.0, 1000);

    assert_close(divergence, expected, 1e-4);
}

#[test]
fn crps_of_a_uniform_distribution() {
    // ∫₀^y x² dx + ∫_y¹ (1 - x)² dx
    let samples = tau_midpoints(1000);
    for y in [0.0_f64, 0.3, 1.0] {
        let expected = (y.powi(3) + (1.0 - y).powi(3)) / 3.0;
        assert_close(crps_from_samples(&samples, y), expected, 1e-6);
    }
}

#[test]
fn crps_of_a_normal_distribution() {
    // Gneiting & Raftery 2007, equation 5, with the sign turned: smaller is better.
    let (mu, sigma) = (0.5, 2.0);
    let tau = tau_midpoints(1000);
    let quantiles: Vec<f64> = tau
        .iter()
        .map(|&tau| mu + sigma * normal_quantile(tau))
        .collect();
    for y in [-1.5, 0.5, 2.0] {
        let z = (y - mu) / sigma;
        let expected =
            sigma * (z * (2.0 * normal_cdf(z) - 1.0) + 2.0 * normal_density(z) - 1.0 / PI.sqrt());

        let score = crps_from_quantiles(row(&quantiles), row(&[y]), row(&tau), 1);

        assert_close(score.into_scalar(), expected, 1e-4);
        assert_close(crps_from_samples(&quantiles, y), expected, 1e-4);
    }
}

// ------------------------------------------------------------------- estimates from few samples

#[test]
fn the_fair_score_is_unbiased_and_the_plain_one_too_large_by_the_known_amount() {
    // All equally likely draws of three from four values, so that expectations are exact.
    let p = [0.0, 0.3, 0.4, 1.0];
    let y = 0.6;
    let triples: Vec<[f64; 3]> = (0..64)
        .map(|i| [p[i % 4], p[i / 4 % 4], p[i / 16]])
        .collect();
    let plain = mean(triples.iter().map(|triple| crps_from_samples(triple, y)));
    let fair = mean(
        triples
            .iter()
            .map(|triple| crps_from_samples_fair(triple, y)),
    );
    let truth = crps_from_samples(&p, y);

    assert_close(fair, truth, 1e-14);
    assert_close(plain, truth + mean_distance(&p, &p) / 6.0, 1e-14);
}

// ------------------------------------------------------------------------- prediction intervals

#[test]
fn the_quantiles_of_a_sample_cover_their_fraction_and_have_the_least_interval_score() {
    let data = tau_midpoints(1000);
    let alpha = 0.2;
    let mean_score = |lower: f64, upper: f64| {
        let score = interval_score(row(&[lower]), row(&[upper]), row(&data), alpha);
        score.mean().into_scalar::<f64>()
    };
    // The levels alpha / 2 and 1 - alpha / 2 of the uniform distribution.
    let (lower, upper) = (0.1, 0.9);
    let covered = coverage(row(&[lower]), row(&[upper]), row(&data));
    assert_close(covered.into_scalar(), 1.0 - alpha, 1e-9);

    let least = mean_score(lower, upper);
    // 0.8 wide, and twice 10 ∫₀^0.1 x dx = 0.05 of penalty.
    assert_close(least, 0.9, 1e-6);
    for (from, to) in [
        (0.05, 0.9),
        (0.15, 0.9),
        (0.1, 0.85),
        (0.1, 0.95),
        (0.0, 1.0),
    ] {
        assert!(mean_score(from, to) > least + 1e-3, "{from} to {to}");
    }
}

#[test]
fn crps_from_fixed_levels_tends_to_the_integral() {
    // Uniform on [0, 1], levels that are not midpoints: i / n.
    let y = 0.3_f64;
    let expected = (y.powi(3) + (1.0 - y).powi(3)) / 3.0;
    for (n, tolerance) in [(10, 2e-2), (100, 2e-4)] {
        let levels: Vec<f64> = (0..=n).map(|i| f64::from(i) / f64::from(n)).collect();
        let score = crps(row(&levels), row(&[y]), &levels, 1);
        assert_close(score.into_scalar(), expected, tolerance);
    }
}

use crate::quantile_divergence_from_samples;

/// Computes the continuous ranked probability score (CRPS) of equally likely samples of a forecast,
/// in any order, against the outcome `y`, in `O(n log n)`.
///
/// ```text
/// CRPS = ∫ (F(x) - 1{x >= y})² dx = E|X - y| - ½ E|X - X'|
/// ```
///
/// Here `F` is the plain empirical distribution function of the samples, for which the score is
/// exact up to rounding (Gneiting & Raftery 2007 for both forms). It has the unit of `y`; one
/// sample gives its absolute error. As an estimate of the score of the distribution that `n`
/// samples came from, it is too large by `E|X - X'| / (2 n)` in expectation;
/// [`crps_from_samples_fair`] is not.
///
/// # Panics
///
/// Panics if there are no samples, or a sample or `y` is infinite or NaN.
///
/// # Example
///
/// ```
/// assert_eq!(pixel_iqn_loss::crps_from_samples(&[0.0, 1.0], 0.0), 0.25);
/// ```
pub fn crps_from_samples(samples: &[f64], y: f64) -> f64 {
    // The outcome is a distribution as well, of a single value.
    2.0 * quantile_divergence_from_samples(samples, &[y])
}

/// Computes the [CRPS of samples](crps_from_samples), corrected to be an unbiased estimate of the
/// score of the distribution that they are independent draws from.
///
/// The term `½ E|X - X'|` is the mean over the `n (n - 1)` pairs of different samples instead of
/// all `n²`, so that forecasts known by different numbers of samples compare fairly. The score may
/// be negative.
///
/// # Panics
///
/// Panics if there are fewer than 2 samples, or a sample or `y` is infinite or NaN.
///
/// # Example
///
/// ```
/// assert_eq!(pixel_iqn_loss::crps_from_samples_fair(&[0.0, 1.0], 0.0), 0.0);
/// ```
pub fn crps_from_samples_fair(samples: &[f64], y: f64) -> f64 {
    let n = samples.len();
    assert!(n >= 2, "the fair CRPS needs at least 2 samples, not {n}");
    let plain = crps_from_samples(samples, y);
    let error = samples.iter().map(|x| (x - y).abs()).sum::<f64>() / n as f64;
    // The plain score is `error - spread`; the fair one has n / (n - 1) times that spread.
    plain - (error - plain) / (n - 1) as f64
}

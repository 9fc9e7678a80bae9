use crate::tau_midpoints;

/// Computes the quantile divergence between two distributions given by their quantile functions.
///
/// ```text
/// q(P, Q) = ∫₀¹ ∫ from P⁻¹(τ) to Q⁻¹(τ) of (F_P(x) - τ) dx dτ
///         = ½ ∫ (F_P(x) - F_Q(x))² dx
/// ```
///
/// with `P⁻¹` and `Q⁻¹` the quantile functions and `F_P` and `F_Q` the distribution functions. The
/// divergence is 0 for equal distributions and positive otherwise, symmetric, and in the unit of
/// `x`. Quantile regression minimises it: for `X` drawn from `P` and `τ` uniform,
///
/// ```text
/// E ρ_τ(X - Q⁻¹(τ)) = q(P, Q) + ¼ E|X - X'|
/// ```
///
/// where `ρ` is the [pinball loss](crate::pinball()) and the last term does not depend on `Q`; and
/// unlike the Wasserstein distance, its gradient is estimated without bias from samples of `P`
/// (Ostrovski, Dabney, Munos 2018, [arXiv:1806.05575](https://arxiv.org/abs/1806.05575)).
///
/// Each distribution is replaced by `bins` equally likely values, its quantiles at the [midpoints
/// of as many equal bins](tau_midpoints), and the divergence of these is exact. The error is of
/// order `1/bins²` for bounded distributions with a density. Equal functions give 0 whatever
/// `bins`.
///
/// # Panics
///
/// Panics if `bins` is 0, or a function gives an infinite value or NaN inside of `(0, 1)`.
///
/// # Example
///
/// The divergence from the uniform distribution on `[0, 1]` to that on `[0, 2]` is 1/12:
///
/// ```
/// let q = pixel_iqn_loss::quantile_divergence(|tau| tau, |tau| 2.0 * tau, 1000);
/// assert!((q - 1.0 / 12.0).abs() < 1e-6);
/// ```
pub fn quantile_divergence(p: impl Fn(f64) -> f64, q: impl Fn(f64) -> f64, bins: usize) -> f64 {
    let levels = tau_midpoints(bins);
    let p: Vec<f64> = levels.iter().map(|&tau| p(tau)).collect();
    let q: Vec<f64> = levels.iter().map(|&tau| q(tau)).collect();
    quantile_divergence_from_samples(&p, &q)
}

/// Computes the [quantile divergence](quantile_divergence) between two sets of equally likely
/// values, in any order and of any two sizes, in `O(n log n)`.
///
/// The result is exact up to rounding for these two empirical distributions. As an estimate for the
/// distributions that `m` samples `p` and `n` samples `q` came from, it is too large by `¼ E|X -
/// X'| / m + ¼ E|Y - Y'| / n` in expectation.
///
/// # Panics
///
/// Panics if a set is empty or has a value that is infinite or NaN.
///
/// # Example
///
/// The divergence between two certain values is half their distance:
///
/// ```
/// assert_eq!(pixel_iqn_loss::quantile_divergence_from_samples(&[1.0], &[4.0]), 1.5);
/// ```
pub fn quantile_divergence_from_samples(p: &[f64], q: &[f64]) -> f64 {
    // Each value is where F_P - F_Q jumps, up for one of p and down for one of q.
    let mut jumps: Vec<(f64, f64)> = Vec::with_capacity(p.len() + q.len());
    for (name, samples, sign) in [("p", p, 1.0), ("q", q, -1.0)] {
        assert!(!samples.is_empty(), "{name} has 0 samples, it needs 1");
        if let Some(x) = samples.iter().find(|x| !x.is_finite()) {
            panic!("the samples of {name} must be finite, not {x}");
        }
        let height = sign / samples.len() as f64;
        jumps.extend(samples.iter().map(|&x| (x, height)));
    }
    jumps.sort_unstable_by(|a, b| a.0.total_cmp(&b.0));

    let mut gap = 0.0;
    let squared_gaps = jumps.windows(2).map(|pair| {
        gap += pair[0].1;
        gap * gap * (pair[1].0 - pair[0].0)
    });
    0.5 * squared_gaps.sum::<f64>()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn is_symmetric_and_zero_only_between_equals(
            p in prop::collection::vec(-1.0..1.0_f64, 1..9),
            q in prop::collection::vec(-1.0..1.0_f64, 1..9),
        ) {
            let there = quantile_divergence_from_samples(&p, &q);
            let back = quantile_divergence_from_samples(&q, &p);

            prop_assert!((there - back).abs() < 1e-14);
            prop_assert!(there > 0.0);
            prop_assert!(quantile_divergence_from_samples(&p, &p) < 1e-30);
        }

        #[test]
        fn grows_with_the_unit_of_the_values(
            p in prop::collection::vec(-1.0..1.0_f64, 1..9),
            q in prop::collection::vec(-1.0..1.0_f64, 1..9),
        ) {
            let [p2, q2] = [&p, &q].map(|x| x.iter().map(|x| 3.0 * x + 5.0).collect::<Vec<_>>());
            let before = quantile_divergence_from_samples(&p, &q);
            let after = quantile_divergence_from_samples(&p2, &q2);

            prop_assert!((after - 3.0 * before).abs() < 1e-13);
        }
    }

    #[test]
    #[should_panic = "q has 0 samples, it needs 1"]
    fn an_empty_set_is_refused() {
        quantile_divergence_from_samples(&[0.0], &[]);
    }

    #[test]
    #[should_panic = "the samples of p must be finite, not NaN"]
    fn a_value_that_is_no_number_is_refused() {
        quantile_divergence_from_samples(&[0.0, f64::NAN], &[0.0]);
    }
}

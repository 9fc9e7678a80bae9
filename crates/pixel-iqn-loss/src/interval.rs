use burn::tensor::{FloatDType, Tensor};

use crate::broadcast::assert_broadcast;

/// Computes the coverage of prediction intervals: the fraction of all targets that lie in their
/// interval, ends included.
///
/// ```text
/// coverage = mean of 1{lower <= target <= upper}
/// ```
///
/// An interval from the quantile at level `alpha / 2` to that at level `1 - alpha / 2` of a
/// calibrated forecast of a continuous target covers the fraction `1 - alpha`. Coverage alone
/// rewards intervals that are too wide, which [`interval_score`] does not. An interval whose ends
/// are in the wrong order covers nothing. It has no unit and no gradient.
///
/// # Shapes
///
/// The axes of size 1 of each argument broadcast, as in [`pinball()`](crate::pinball()).
///
/// - lower, upper: `[...dims]`, the ends of the intervals
/// - target: `[...dims]`, in the unit of the ends
/// - output: `[1]`, in `[0, 1]`, of the target's float type
///
/// # Panics
///
/// Panics if the three shapes do not broadcast.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let row = |values| Tensor::<1>::from_floats(values, &Device::flex());
/// let [lower, upper] = [row([0.0; 4]), row([1.0; 4])];
/// let coverage = pixel_iqn_loss::coverage(lower, upper, row([0.5, 1.0, 1.5, 0.2]));
/// assert_eq!(coverage.into_scalar::<f32>(), 0.75);
/// ```
pub fn coverage<const D: usize>(
    lower: Tensor<D>,
    upper: Tensor<D>,
    target: Tensor<D>,
) -> Tensor<1> {
    assert_broadcast([
        ("lower", lower.dims()),
        ("upper", upper.dims()),
        ("target", target.dims()),
    ]);
    let dtype = FloatDType::from(target.dtype());
    let [lower, upper, target] = [lower, upper, target].map(Tensor::detach);
    // As a product of numbers, since booleans do not broadcast on every backend.
    let above = (target.clone() - lower).greater_equal_scalar(0.0);
    let below = (upper - target).greater_equal_scalar(0.0);
    (above.cast(dtype) * below.cast(dtype)).mean()
}

/// Computes the interval score of every prediction interval at level `1 - alpha`:
///
/// ```text
/// S = (upper - lower) + 2/alpha (lower - target)₊ + 2/alpha (target - upper)₊
/// ```
///
/// with `x₊ = max(x, 0)` (Gneiting & Raftery 2007, equation 43): the width of the interval, and a
/// penalty for a target outside of it. Its expectation is least where `lower` and `upper` are the
/// quantiles of the target at the levels `alpha / 2` and `1 - alpha / 2`, because
///
/// ```text
/// S = 2/alpha (ρ at level alpha / 2 of lower + ρ at level 1 - alpha / 2 of upper)
/// ```
///
/// with `ρ` the [pinball loss](crate::pinball()). It has the unit of the target, and a gradient.
///
/// # Shapes
///
/// The axes of size 1 of each argument broadcast, as in [`pinball()`](crate::pinball()).
///
/// - lower, upper: `[...dims]`, the ends of the intervals
/// - target: `[...dims]`, in the unit of the ends
/// - alpha: the probability outside of the intervals, between 0 and 1; 0.2 for the quantiles at
///   the levels 0.1 and 0.9
/// - output: `[...dims]`
///
/// # Panics
///
/// Panics if the three shapes do not broadcast, or `alpha` is not between 0 and 1.
///
/// # Example
///
/// A target 0.1 above an interval of width 0.4:
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let one = |value| Tensor::<1>::from_floats([value], &Device::flex());
/// let score = pixel_iqn_loss::interval_score(one(0.2), one(0.6), one(0.7), 0.2);
/// assert!((score.into_scalar::<f32>() - 1.4).abs() < 1e-5);
/// ```
pub fn interval_score<const D: usize>(
    lower: Tensor<D>,
    upper: Tensor<D>,
    target: Tensor<D>,
    alpha: f64,
) -> Tensor<D> {
    assert!(
        alpha > 0.0 && alpha < 1.0,
        "alpha of the interval score must be between 0 and 1, not {alpha}"
    );
    assert_broadcast([
        ("lower", lower.dims()),
        ("upper", upper.dims()),
        ("target", target.dims()),
    ]);
    let miss =
        (lower.clone() - target.clone()).clamp_min(0.0) + (target - upper.clone()).clamp_min(0.0);
    (upper - lower) + miss.mul_scalar(2.0 / alpha)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{
        pinball,
        testing::{assert_close, tensor, values},
    };
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn the_score_equals_its_formula_and_two_pinball_losses(
            lower in -2.0..2.0_f64,
            upper in -2.0..2.0_f64,
            y in -3.0..3.0_f64,
            alpha in 0.01..0.99_f64,
        ) {
            // The ends may be in the wrong order, where both equations hold as well.
            let expected =
                upper - lower + 2.0 / alpha * ((lower - y).max(0.0) + (y - upper).max(0.0));
            let loss = |end: f64, level: f64| {
                values(pinball::<1>(tensor([end]), tensor([y]), tensor([level])))[0]
            };
            let losses = loss(lower, alpha / 2.0) + loss(upper, 1.0 - alpha / 2.0);

            let score = interval_score::<1>(tensor([lower]), tensor([upper]), tensor([y]), alpha);

            assert_close(&values(score), &[expected], 1e-11);
            prop_assert!((expected - 2.0 / alpha * losses).abs() < 1e-10);
        }

        #[test]
        fn coverage_counts(
            rows in prop::collection::vec([-1.0..1.0_f64, -1.0..1.0_f64, -1.0..1.0_f64], 1..9),
        ) {
            let inside = rows.iter().filter(|[l, u, y]| l <= y && y <= u).count();
            let column = |i: usize| {
                tensor::<1>(rows.iter().map(|row| row[i]).collect::<Vec<_>>().as_slice())
            };

            let covered = coverage(column(0), column(1), column(2));

            assert_close(&values(covered), &[inside as f64 / rows.len() as f64], 1e-15);
        }
    }

    #[test]
    fn the_ends_are_inside_and_shapes_broadcast() {
        let target = tensor::<2>([[0.0, 1.0], [0.5, 1.5]]);
        let [lower, upper] = [tensor::<2>([[0.0]]), tensor::<2>([[1.0]])];

        let covered = coverage(lower.clone(), upper.clone(), target.clone());
        let score = interval_score(lower, upper, target, 0.5);

        assert_close(&values(covered), &[0.75], 0.0);
        assert_eq!(score.dims(), [2, 2]);
        assert_close(&values(score), &[1.0, 1.0, 1.0, 3.0], 1e-15);
    }

    #[test]
    fn the_score_has_a_gradient() {
        let [lower, upper] = [[0.2, 0.2, 0.2], [0.6, 0.6, 0.6]];
        let [lower, upper] = [lower, upper].map(|end| tensor::<1>(end).require_grad());
        let target = tensor::<1>([0.1, 0.4, 0.9]);
        let gradients = interval_score(lower.clone(), upper.clone(), target, 0.2).backward();

        let of = |leaf: &Tensor<1>| values(leaf.grad(&gradients).expect("a tracked leaf"));

        assert_close(&of(&lower), &[9.0, -1.0, -1.0], 1e-14);
        assert_close(&of(&upper), &[1.0, 1.0, -9.0], 1e-14);
    }

    #[test]
    #[should_panic = "lower [2], upper [3] and target [1] do not broadcast"]
    fn sizes_that_do_not_fit_are_named() {
        coverage::<1>(tensor([0.0; 2]), tensor([0.0; 3]), tensor([0.0]));
    }

    #[test]
    #[should_panic = "must be between 0 and 1, not 1"]
    fn an_alpha_of_one_is_refused() {
        interval_score::<1>(tensor([0.0]), tensor([0.0]), tensor([0.0]), 1.0);
    }
}

use burn::tensor::{Tensor, TensorData};

use crate::pinball::pinball;

/// Computes the CRPS of forecasts given by their quantiles at fixed, ascending quantile levels:
///
/// ```text
/// CRPS = 2 ∫₀¹ ρ_τ(target - Q(τ)) dτ ≈ 2 Σ w_i ρ_{τ_i}(target - Q(τ_i))
/// ```
///
/// with `ρ` the [pinball loss](pinball()). The weight `w_i` of a level is the fraction of `[0, 1]`
/// that is closer to it than to the other levels: 0.3, 0.4 and 0.3 for the levels 0.1, 0.5 and 0.9.
/// This is the trapezoid rule between the levels, with the first and the last pinball loss
/// continued to 0 and to 1. At the [midpoints of equal bins](crate::tau_midpoints) all weights are
/// equal, and the result is that of [`crps_from_quantiles`], which also takes levels that were
/// drawn at random.
///
/// The expectation is least where every `Q(τ_i)` is the quantile of the target. The score has the
/// unit of the target, and a gradient.
///
/// # Shapes
///
/// - quantiles: `[.., levels, ..]`, in the order of the levels along the axis `dim`
/// - target: `[.., 1, ..]`, in the unit of the quantiles; any axis of size 1 broadcasts
/// - levels: the quantile levels, strictly ascending and between 0 and 1
/// - output: `[.., 1, ..]`
///
/// # Panics
///
/// Panics if `dim` is not an axis, if there is not one level per quantile, if the levels are not
/// strictly ascending in `[0, 1]`, or if the shapes do not broadcast.
///
/// # Example
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let device = Device::flex();
/// let quantiles = Tensor::<2>::from_floats([[0.2, 0.5, 0.9]], &device);
/// let target = Tensor::<2>::from_floats([[0.6]], &device);
/// let score = pixel_iqn_loss::crps(quantiles, target, &[0.1, 0.5, 0.9], 1);
/// // 2 (0.3 * 0.1 * 0.4 + 0.4 * 0.5 * 0.1 + 0.3 * 0.1 * 0.3)
/// assert!((score.into_scalar::<f32>() - 0.082).abs() < 1e-6);
/// ```
pub fn crps<const D: usize>(
    quantiles: Tensor<D>,
    target: Tensor<D>,
    levels: &[f64],
    dim: usize,
) -> Tensor<D> {
    let dims = quantiles.dims();
    assert!(dim < D, "quantiles {dims:?} have no axis {dim}");
    assert!(
        dims[dim] == levels.len(),
        "quantiles {dims:?} and {} levels do not fit: axis {dim} must have one size per level",
        levels.len()
    );
    let in_range = levels.iter().all(|level| (0.0..=1.0).contains(level));
    assert!(
        in_range && levels.is_sorted_by(|low, high| low < high),
        "the quantile levels must be strictly ascending in [0, 1], not {levels:?}"
    );
    let between = levels.windows(2).map(|pair| 0.5 * (pair[0] + pair[1]));
    let bounds: Vec<f64> = [0.0].into_iter().chain(between).chain([1.0]).collect();
    let weights = bounds.windows(2).map(|pair| pair[1] - pair[0]).collect();

    let options = (&quantiles.device(), quantiles.dtype());
    let along_dim = |values: Vec<f64>| {
        let mut shape = [1; D];
        shape[dim] = values.len();
        Tensor::<D>::from_data(TensorData::new(values, shape), options)
    };
    let loss = pinball(quantiles, target, along_dim(levels.to_vec()));
    (loss * along_dim(weights)).sum_dim(dim).mul_scalar(2.0)
}

/// Computes the CRPS of a forecast given by its quantiles at midpoints or at random levels: twice
/// the mean of the [pinball loss](pinball()) over the axis `dim` of the levels. [`crps()`] is for
/// other fixed levels.
///
/// ```text
/// CRPS = 2 ∫₀¹ ρ_τ(target - Q(τ)) dτ ≈ (2 / levels) Σ ρ_τ(target - Q(τ))
/// ```
///
/// With `tau` the [midpoints of equal bins](crate::tau_midpoints), the quantile function counts as
/// constant on each bin, and for ascending quantiles the result is exactly the [CRPS of the
/// quantiles as samples](crate::crps_from_samples). With `tau` drawn uniformly at random, the result is an
/// unbiased estimate of the integral.
///
/// # Shapes
///
/// - quantiles: `[.., levels, ..]`
/// - target: `[.., 1, ..]`, in the unit of the quantiles
/// - tau: `[.., levels, ..]`, in `[0, 1]`; as in [`pinball()`] any axis of size 1 broadcasts
/// - output: `[.., 1, ..]`
///
/// # Panics
///
/// Panics if the three shapes do not broadcast, or `dim` is not an axis.
pub fn crps_from_quantiles<const D: usize>(
    quantiles: Tensor<D>,
    target: Tensor<D>,
    tau: Tensor<D>,
    dim: usize,
) -> Tensor<D> {
    pinball(quantiles, target, tau)
        .mean_dim(dim)
        .mul_scalar(2.0)
}

/// Computes the CRPS of a categorical forecast on numbers, `levels`, whose probabilities are along
/// the last axis.
///
/// The score is `∫ (F(x) - 1{x >= target})² dx` for the step function `F` of the forecast, exact up
/// to rounding and for any target, on a level or not. It is computed as
///
/// ```text
/// E|X - target| - ½ E|X - X'| = Σ p_l |v_l - target| - Σ F_l (1 - F_l) (v_{l+1} - v_l)
/// ```
///
/// with `F_l` the sum of the probabilities up to level `l`. The score has the unit of the levels,
/// and a gradient.
///
/// # Shapes
///
/// - probabilities: `[.., levels]`, not negative, of sum 1 over the last axis
/// - levels: the values, strictly ascending
/// - target: `[.., 1]`, in the unit of the levels
/// - output: `[.., 1]`
///
/// # Panics
///
/// Panics if the sizes do not fit, or the levels are not strictly ascending.
pub fn crps_categorical<const D: usize>(
    probabilities: Tensor<D>,
    levels: &[f64],
    target: Tensor<D>,
) -> Tensor<D> {
    let [rows, targets] = [probabilities.dims(), target.dims()];
    let last = D - 1;
    assert!(
        rows[last] == levels.len() && rows[..last] == targets[..last] && targets[last] == 1,
        "probabilities {rows:?}, {} levels and target {targets:?} do not fit: they must be \
         [.., levels] and [.., 1]",
        levels.len()
    );
    assert!(
        levels.is_sorted_by(|low, high| low < high),
        "the levels must be strictly ascending"
    );

    let options = (&probabilities.device(), probabilities.dtype());
    let row = |values: Vec<f64>| {
        let mut shape = [1; D];
        shape[last] = values.len();
        Tensor::<D>::from_data(TensorData::new(values, shape), options)
    };
    // None after the last level, where F is 1 and the gap does not matter.
    let gaps = levels.windows(2).map(|pair| pair[1] - pair[0]);
    let gaps = row(gaps.chain([0.0]).collect());
    let distance = (row(levels.to_vec()) - target).abs();
    let cdf = probabilities.clone().cumsum(last);
    let spread = (cdf.clone() - cdf.square()) * gaps;
    (probabilities * distance - spread).sum_dim(last)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crps_from_samples, crps_from_samples_fair};
    use crate::{
        tau_midpoints,
        testing::{assert_close, tensor, values},
    };
    use proptest::prelude::*;

    /// `∫ (F(x) - 1{x >= y})² dx` by the midpoints of fine steps.
    fn by_integration(levels: &[f64], probabilities: &[f64], y: f64) -> f64 {
        const STEPS: usize = 20_000;
        let (from, to) = (-3.0, 3.0);
        let width = (to - from) / STEPS as f64;
        let squared_gap = |x: f64| {
            let pairs = levels.iter().zip(probabilities);
            let cdf: f64 = pairs.filter(|(v, _)| **v <= x).map(|(_, p)| p).sum();
            (cdf - f64::from(x >= y)).powi(2)
        };
        let midpoints = tau_midpoints(STEPS).into_iter();
        midpoints
            .map(|t| squared_gap(from + t * (to - from)))
            .sum::<f64>()
            * width
    }

    proptest! {
        #[test]
        fn of_samples_is_the_kernel_form(
            samples in prop::collection::vec(-1.0..1.0_f64, 2..9),
            y in -2.0..2.0_f64,
        ) {
            let n = samples.len() as f64;
            let error = samples.iter().map(|x| (x - y).abs()).sum::<f64>() / n;
            let pairs = samples.iter().flat_map(|a| samples.iter().map(move |b| (a - b).abs()));
            let pairs: f64 = pairs.sum();

            let plain = crps_from_samples(&samples, y);
            let fair = crps_from_samples_fair(&samples, y);

            prop_assert!((plain - (error - pairs / (2.0 * n * n))).abs() < 1e-14);
            prop_assert!((fair - (error - pairs / (2.0 * n * (n - 1.0)))).abs() < 1e-14);
        }

        #[test]
        fn of_quantiles_at_midpoints_is_that_of_samples(
            mut quantiles in prop::collection::vec(-1.0..1.0_f64, 1..9),
            y in -2.0..2.0_f64,
        ) {
            quantiles.sort_by(f64::total_cmp);
            let tau = tensor::<1>(tau_midpoints(quantiles.len()).as_slice());

            let score = crps_from_quantiles(tensor(quantiles.as_slice()), tensor([y]), tau, 0);

            assert_close(&values(score), &[crps_from_samples(&quantiles, y)], 1e-14);
        }

        #[test]
        fn fixed_levels_at_midpoints_are_the_plain_mean(
            quantiles in prop::collection::vec(-1.0..1.0_f64, 1..9),
            y in -2.0..2.0_f64,
        ) {
            let levels = tau_midpoints(quantiles.len());
            let [quantiles, tau] = [&quantiles, &levels].map(|x| tensor::<1>(x.as_slice()));
            let plain = crps_from_quantiles(quantiles.clone(), tensor([y]), tau, 0);

            let score = crps(quantiles, tensor([y]), &levels, 0);

            assert_close(&values(score), &values(plain), 1e-14);
        }

        #[test]
        fn fixed_levels_are_weighted_by_what_is_closest_to_them(
            quantiles in prop::array::uniform3(-1.0..1.0_f64),
            y in -2.0..2.0_f64,
        ) {
            // By the midpoints of fine bins, each of which takes the loss of its closest level.
            let levels = [0.1, 0.5, 0.9];
            let closest = |tau: f64| {
                let distance = |i: &usize| (levels[*i] - tau).abs();
                (0..3).min_by(|i, j| distance(i).total_cmp(&distance(j))).expect("three")
            };
            let loss = |i: usize| {
                let u = y - quantiles[i];
                if u < 0.0 { (levels[i] - 1.0) * u } else { levels[i] * u }
            };
            let fine = tau_midpoints(1000);
            let sum: f64 = fine.iter().map(|&tau| loss(closest(tau))).sum();

            let score = crps::<1>(tensor(quantiles), tensor([y]), &levels, 0);

            assert_close(&values(score), &[2.0 * sum / 1000.0], 1e-12);
        }

        #[test]
        fn categorical_is_that_of_samples_counted_with_their_weights(
            counts in prop::array::uniform4(0_usize..5),
            y in -2.0..2.0_f64,
        ) {
            let n: usize = counts.iter().sum();
            prop_assume!(n > 0);
            let levels = [-1.0, 0.25, 0.5, 1.5];
            let pairs = levels.into_iter().zip(counts);
            let samples: Vec<f64> = pairs.flat_map(|(v, count)| vec![v; count]).collect();
            let probabilities = counts.map(|count| count as f64 / n as f64);

            let score = crps_categorical::<1>(tensor(probabilities), &levels, tensor([y]));

            assert_close(&values(score), &[crps_from_samples(&samples, y)], 1e-14);
        }
    }

    #[test]
    fn categorical_is_the_integral_in_every_row() {
        let levels = [-1.0, 0.25, 0.5, 1.5];
        let rows = [[0.1, 0.2, 0.3, 0.4], [0.0, 0.9, 0.05, 0.05]];
        let outcomes = [[0.4, -2.0], [0.5, 2.2]];
        for column in 0..2 {
            let y = outcomes.map(|outcome| outcome[column]);
            let expected = [0, 1].map(|i| by_integration(&levels, &rows[i], y[i]));

            let score = crps_categorical::<2>(tensor(rows), &levels, tensor([[y[0]], [y[1]]]));

            assert_eq!(score.dims(), [2, 1]);
            // A step of the integral that a jump falls into is off by its width at most.
            assert_close(&values(score), &expected, 5.0 * 3e-4);
        }
    }

    #[test]
    fn categorical_has_the_gradient_of_finite_differences() {
        const STEP: f64 = 1e-5;
        let levels = [0.0, 0.5, 1.0];
        let score =
            |p: [f64; 3]| values(crps_categorical::<1>(tensor(p), &levels, tensor([0.6])))[0];
        let p = [0.2, 0.5, 0.3];
        let leaf = tensor::<1>(p).require_grad();
        let gradients = crps_categorical(leaf.clone(), &levels, tensor([0.6])).backward();
        let gradient = values(leaf.grad(&gradients).expect("a tracked leaf"));

        for (from, to) in [(0, 1), (1, 2)] {
            // Probability moves from one level to another: the sum stays 1.
            let moved = |step: f64| {
                let mut p = p;
                p[from] -= step;
                p[to] += step;
                score(p)
            };
            let slope = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
            assert_close(&[gradient[to] - gradient[from]], &[slope], 1e-9);
        }
    }

    #[test]
    fn of_quantiles_takes_any_axis_for_the_levels() {
        let tau = tensor::<3>([[[0.25], [0.75]]]);
        let quantiles = tensor::<3>([[[0.0, 1.0], [1.0, 5.0]]]);
        let target = tensor::<3>([[[0.0, 2.0]]]);

        let score = crps_from_quantiles(quantiles, target, tau, 1);

        assert_eq!(score.dims(), [1, 1, 2]);
        let expected = [
            crps_from_samples(&[0.0, 1.0], 0.0),
            crps_from_samples(&[1.0, 5.0], 2.0),
        ];
        assert_close(&values(score), &expected, 1e-15);
    }

    #[test]
    #[should_panic = "probabilities [2, 3], 4 levels and target [2, 1] do not fit"]
    fn a_wrong_number_of_levels_is_named() {
        crps_categorical::<2>(
            tensor([[0.0; 3]; 2]),
            &[0.0, 1.0, 2.0, 3.0],
            tensor([[0.0]; 2]),
        );
    }

    #[test]
    #[should_panic = "probabilities [2, 3], 3 levels and target [2, 3] do not fit"]
    fn a_target_for_each_level_is_refused() {
        crps_categorical::<2>(
            tensor([[0.0; 3]; 2]),
            &[0.0, 1.0, 2.0],
            tensor([[0.0; 3]; 2]),
        );
    }

    #[test]
    #[should_panic = "the levels must be strictly ascending"]
    fn levels_out_of_order_are_refused() {
        crps_categorical::<1>(tensor([0.5; 2]), &[1.0, 0.0], tensor([0.0]));
    }

    #[test]
    #[should_panic = "at least 2 samples, not 1"]
    fn one_sample_has_no_fair_score() {
        crps_from_samples_fair(&[0.0], 0.0);
    }

    #[test]
    fn fixed_levels_lie_along_any_axis_and_have_a_gradient() {
        let quantiles = tensor::<3>([[[0.2, 0.0], [0.5, 1.0], [0.9, 2.0]]]).require_grad();
        let target = tensor::<3>([[[0.6, 5.0]]]);
        let score = crps(quantiles.clone(), target, &[0.1, 0.5, 0.9], 1);
        assert_eq!(score.dims(), [1, 1, 2]);
        let expected = [0.082, 2.0 * (0.3 * 0.5 + 0.4 * 2.0 + 0.3 * 0.9 * 3.0)];
        assert_close(&values(score.clone()), &expected, 1e-14);

        let gradient = quantiles.grad(&score.backward()).expect("a tracked leaf");
        // Twice the weight, times 1{u < 0} - tau.
        let expected = [-0.06, -0.06, -0.4, -0.4, 0.06, -0.54];
        assert_close(&values(gradient), &expected, 1e-14);
    }

    #[test]
    #[should_panic = "quantiles [2, 3] and 2 levels do not fit: axis 1"]
    fn one_level_per_quantile_is_needed() {
        crps::<2>(tensor([[0.0; 3]; 2]), tensor([[0.0]; 2]), &[0.1, 0.9], 1);
    }

    #[test]
    #[should_panic = "must be strictly ascending in [0, 1], not [0.1, 1.5]"]
    fn a_level_above_one_is_refused() {
        crps::<1>(tensor([0.0; 2]), tensor([0.0]), &[0.1, 1.5], 0);
    }
}

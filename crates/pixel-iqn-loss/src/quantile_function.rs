use crate::Knots;

/// A quantile function that is straight between its [knots](crate::Knots) and constant outside of
/// them, of one value: its inverse, its samples and its score are exact.
///
/// It is the function that [`QuantileFunctions`](crate::QuantileFunctions) has for each element of
/// a tensor, on plain numbers, for reports and samplers.
///
/// With bounds, all of it is of the value clamped to them: a quantile below the lowest possible
/// value is that value.
///
/// ```
/// use pixel_iqn_loss::QuantileFunction;
///
/// // Uniform on [0, 1], with one half of the probability in its middle three quarters.
/// let uniform = QuantileFunction::new(&[0.25, 0.75], &[0.25, 0.75]);
/// assert_eq!(uniform.quantile(0.5), 0.5);
/// assert_eq!(uniform.cdf(0.5), 0.5);
/// // The lowest quarter of the probability lies on the first value.
/// assert_eq!(uniform.quantile(0.1), 0.25);
/// assert_eq!(uniform.cdf(0.2), 0.0);
/// ```
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct QuantileFunction<'a> {
    knots: &'a [f64],
    values: &'a [f64],
    bounds: [f64; 2],
}

impl<'a> QuantileFunction<'a> {
    /// Creates the quantile function with `values`, not descending, at the quantile levels `knots`.
    ///
    /// # Panics
    ///
    /// Panics if there is not one value for each knot, or if there are fewer than two knots. That
    /// both ascend is checked in debug builds.
    pub fn new(knots: &'a [f64], values: &'a [f64]) -> Self {
        assert!(
            knots.len() == values.len() && knots.len() > 1,
            "a quantile function needs two knots or more and one value for each, not {} and {}",
            knots.len(),
            values.len()
        );
        debug_assert!(knots.is_sorted_by(|low, high| low < high));
        debug_assert!(values.is_sorted() || values.iter().any(|v| v.is_nan()));
        Self {
            knots,
            values,
            bounds: [f64::NEG_INFINITY, f64::INFINITY],
        }
    }

    /// Clamps the value to `[low, high]`; the ends may be infinite.
    ///
    /// # Panics
    ///
    /// Panics if `low` is above `high`.
    pub fn with_bounds(self, low: f64, high: f64) -> Self {
        assert!(low <= high, "the bounds [{low}, {high}] hold no value");
        Self {
            bounds: [low, high],
            ..self
        }
    }

    /// The quantile at the level `tau`, in [0, 1].
    pub fn quantile(&self, tau: f64) -> f64 {
        let last = self.knots.len() - 1;
        // The first knot above tau, but never the first of all.
        let k = self
            .knots
            .partition_point(|knot| *knot <= tau)
            .clamp(1, last);
        let (a, b) = (self.knots[k - 1], self.knots[k]);
        let part = ((tau - a) / (b - a)).clamp(0.0, 1.0);
        let (low, high) = (self.values[k - 1], self.values[k]);
        (low + part * (high - low)).clamp(self.bounds[0], self.bounds[1])
    }

    /// The probability of values up to and including `x`: the distribution function, which is the
    /// inverse of [`quantile`](Self::quantile) between the outer knots where that ascends.
    pub fn cdf(&self, x: f64) -> f64 {
        let [low, high] = self.bounds;
        if x < low {
            return 0.0;
        }
        if x >= high {
            return 1.0;
        }
        match self.values.partition_point(|value| *value <= x) {
            0 => 0.0,
            k if k == self.values.len() => 1.0,
            // Strictly below the value at knot k, so that the segment is not flat.
            k => {
                let (a, b) = (self.values[k - 1], self.values[k]);
                self.knots[k - 1] + (x - a) / (b - a) * (self.knots[k] - self.knots[k - 1])
            }
        }
    }

    /// The continuous ranked probability score against the outcome `y`, exactly: twice the integral
    /// of the pinball loss over all quantile levels (Gneiting and Raftery 2007). It has the unit of
    /// `y`.
    pub fn crps(&self, y: f64) -> f64 {
        self.score(y, |_, _| ())
    }

    /// Computes the [CRPS](Self::crps) and writes its derivatives with respect to the values at the
    /// knots into `gradient`. A value beyond a bound has a derivative of 0.
    ///
    /// # Panics
    ///
    /// Panics if `gradient` has not one number for each knot.
    pub fn crps_with_gradient(&self, y: f64, gradient: &mut [f64]) -> f64 {
        assert_eq!(gradient.len(), self.knots.len(), "one derivative per knot");
        gradient.fill(0.0);
        self.score(y, |knot, derivative| gradient[knot] += derivative)
    }

    /// Computes the CRPS, and gives the parts of the derivative with respect to the value at each
    /// knot to `add`.
    ///
    /// On a segment from knot `a` to `b = a + h`, with `Q = v + r s` for `s` in [0, 1], the clamped
    /// function is constant up to `s = α` and from `s = β` on, and above the outcome from `s = γ`
    /// on. Twice the integral of the pinball loss `τ (y - Q) + max(Q - y, 0)`, `τ = a + h s`, and
    /// of its derivative `1{Q > y} - τ` times `∂Q/∂v = 1 - s` or `s`, are then polynomials in these
    /// three.
    fn score(&self, y: f64, mut add: impl FnMut(usize, f64)) -> f64 {
        let [low, high] = self.bounds;
        // Twice the integral over quantile levels from `p` to `q` at which the quantile is `c`.
        let constant =
            |c: f64, p: f64, q: f64| (y - c) * (q * q - p * p) + 2.0 * (c - y).max(0.0) * (q - p);
        let mut score = 0.0;
        for (k, (knots, values)) in self
            .knots
            .windows(2)
            .zip(self.values.windows(2))
            .enumerate()
        {
            let (a, h) = (knots[0], knots[1] - knots[0]);
            let (v, r) = (values[0], (values[1] - values[0]).max(f64::MIN_POSITIVE));
            let part = |edge: f64| ((edge - v) / r).clamp(0.0, 1.0);
            let (alpha, beta) = (part(low), part(high));
            let gamma = part(y).clamp(alpha, beta);
            let (p, q) = (a + h * alpha, a + h * beta);
            let (l, u) = (v.clamp(low, high), values[1].clamp(low, high));
            if alpha > 0.0 {
                score += constant(low, a, p);
            }
            if beta < 1.0 {
                score += constant(high, q, knots[1]);
            }
            if alpha < beta {
                // A product of two straight lines, and a triangle or trapezium.
                score += (q - p) / 3.0 * ((2.0 * p + q) * (y - l) + (p + 2.0 * q) * (y - u));
                score += h * (beta - gamma) * ((u - y).max(0.0) + (l - y).max(0.0));
                let [b1, b2, b3] = [beta, beta * beta, beta * beta * beta];
                let [a1, a2, a3] = [alpha, alpha * alpha, alpha * alpha * alpha];
                let both = 2.0 * h * ((beta - gamma) - a * (b1 - a1) - h * (b2 - a2) / 2.0);
                let upper = 2.0
                    * h
                    * ((b2 - gamma * gamma) / 2.0 - a * (b2 - a2) / 2.0 - h * (b3 - a3) / 3.0);
                add(k, both - upper);
                add(k + 1, upper);
            }
        }
        // Constant before the first knot and after the last.
        let last = self.knots.len() - 1;
        for (knot, p, q) in [(0, 0.0, self.knots[0]), (last, self.knots[last], 1.0)] {
            let value = self.values[knot];
            let c = value.clamp(low, high);
            score += constant(c, p, q);
            if c == value {
                let above = if c > y { 2.0 * (q - p) } else { 0.0 };
                add(knot, above - (q * q - p * p));
            }
        }
        score
    }
}

/// Computes one quantile of the quantile function that is given by increments, as
/// [`values_of_increments`] and [`QuantileFunction::quantile`] do, from the increments up to its knot
/// alone.
///
/// # Panics
///
/// Panics if there is not one increment for each knot.
pub fn quantile_of_increments(increments: &[f32], knots: &Knots, tau: f64) -> f64 {
    assert_eq!(increments.len(), knots.len(), "one increment per knot");
    let mut value = f64::from(increments[0]);
    for (increment, pair) in increments[1..].iter().zip(knots.as_slice().windows(2)) {
        let (a, b) = (pair[0], pair[1]);
        if tau <= a {
            break;
        }
        value += softplus(*increment) * (tau.min(b) - a);
    }
    value
}

/// `ln(1 + e^x)` without overflow. In double precision, because the functions of single precision differ
/// in their last bit between the libraries of systems, and with it samples would.
fn softplus(x: f32) -> f64 {
    let x = f64::from(x);
    x.max(0.0) + (-x.abs()).exp().ln_1p()
}

/// Computes the values at the knots from increments, as
/// [`QuantileFunctions::from_increments`](crate::QuantileFunctions::from_increments) does: the first
/// number is the value at the first knot, and the softplus of each other one times the distance of
/// its knots is the step to the next.
///
/// # Panics
///
/// Panics if there is not one increment and one value for each knot.
pub fn values_of_increments(increments: &[f32], knots: &Knots, values: &mut [f64]) {
    assert!(
        increments.len() == knots.len() && values.len() == knots.len(),
        "{} knots need as many increments and values, not {} and {}",
        knots.len(),
        increments.len(),
        values.len()
    );
    let mut value = f64::from(increments[0]);
    values[0] = value;
    let steps = increments[1..].iter().zip(knots.gaps());
    for ((increment, gap), next) in steps.zip(&mut values[1..]) {
        value += softplus(*increment) * gap;
        *next = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{crps_from_samples, tau_midpoints};
    use proptest::prelude::*;

    /// Knots with values that rise by at least `rise` from one to the next.
    fn functions(rise: f64) -> impl Strategy<Value = (Vec<f64>, Vec<f64>)> {
        (
            prop::collection::btree_set(0..=1000u32, 2..8),
            -1.5..1.0,
            prop::collection::vec(rise..1.0, 8),
        )
            .prop_map(|(knots, first, rises)| {
                let knots: Vec<f64> = knots.into_iter().map(|k| f64::from(k) / 1000.0).collect();
                let values = rises.iter().scan(first, |value: &mut f64, rise| {
                    let current = *value;
                    *value += rise;
                    Some(current)
                });
                let values = values.take(knots.len()).collect();
                (knots, values)
            })
    }

    proptest! {
        #[test]
        fn the_distribution_function_inverts_the_quantile_function(
            (knots, values) in functions(1e-3),
            part in 0.0..=1.0,
        ) {
            let line = QuantileFunction::new(&knots, &values);
            let tau = knots[0] + part * (knots[knots.len() - 1] - knots[0]);
            // At the last knot the rest of the probability lies on the last value.
            let expected = if line.quantile(tau) >= values[values.len() - 1] { 1.0 } else { tau };
            prop_assert!((line.cdf(line.quantile(tau)) - expected).abs() < 1e-9);
        }

        #[test]
        fn quantiles_and_probabilities_ascend((knots, values) in functions(0.0)) {
            let line = QuantileFunction::new(&knots, &values).with_bounds(0.0, 1.0);
            let ascending = |f: &dyn Fn(f64) -> f64| {
                (-200..400).map(|x| f(f64::from(x) / 200.0)).is_sorted_by(|a, b| a <= b)
            };
            prop_assert!(ascending(&|tau| line.quantile(tau)));
            prop_assert!(ascending(&|x| line.cdf(x)));
        }

        #[test]
        fn the_score_is_that_of_many_quantiles(
            (knots, values) in functions(0.0),
            y in -0.5..1.5,
            bounded in any::<bool>(),
        ) {
            let mut line = QuantileFunction::new(&knots, &values);
            if bounded {
                line = line.with_bounds(0.0, 1.0);
            }
            let samples: Vec<f64> =
                tau_midpoints(20_000).into_iter().map(|tau| line.quantile(tau)).collect();
            let expected = crps_from_samples(&samples, y);
            prop_assert!((line.crps(y) - expected).abs() < 1e-6, "{} {expected}", line.crps(y));
        }

        #[test]
        fn the_gradient_equals_finite_differences(
            (knots, values) in functions(1e-2),
            y in -0.5..1.5,
            bounded in any::<bool>(),
        ) {
            // The score has kinks where a value passes a bound or the outcome.
            const STEP: f64 = 1e-6;
            let edges = if bounded { vec![0.0, 1.0, y] } else { vec![y] };
            prop_assume!(values.iter().all(|v| edges.iter().all(|e| (v - e).abs() > 1e-4)));
            let line = |values: &[f64]| {
                let line = QuantileFunction::new(&knots, values);
                let line = if bounded { line.with_bounds(0.0, 1.0) } else { line };
                let mut gradient = vec![0.0; values.len()];
                (line.crps_with_gradient(y, &mut gradient), gradient)
            };
            let (_, gradient) = line(&values);
            for (knot, derivative) in gradient.iter().enumerate() {
                let moved = |by: f64| {
                    let mut values = values.clone();
                    values[knot] += by;
                    line(&values).0
                };
                let expected = (moved(STEP) - moved(-STEP)) / (2.0 * STEP);
                prop_assert!((derivative - expected).abs() < 1e-5, "{derivative} {expected}");
            }
        }
    }

    #[test]
    fn a_quantile_of_increments_is_that_of_the_values() {
        let knots = Knots::reference();
        let increments: Vec<f32> = (0..20).map(|i| (7.0 * i as f32).sin() * 4.0).collect();
        let mut values = vec![0.0; 20];
        values_of_increments(&increments, &knots, &mut values);
        let line = QuantileFunction::new(knots.as_slice(), &values);
        for tau in tau_midpoints(1000).into_iter().chain([0.0, 1.0]) {
            let quantile = quantile_of_increments(&increments, &knots, tau);
            assert!(
                (quantile - line.quantile(tau)).abs() < 1e-12,
                "{tau}: {quantile}"
            );
        }
    }

    #[test]
    fn equal_values_are_one_step() {
        let line = QuantileFunction::new(&[0.2, 0.4, 0.6, 0.8], &[0.0, 0.5, 0.5, 1.0]);
        assert_eq!([0.4, 0.5, 0.6].map(|tau| line.quantile(tau)), [0.5; 3]);
        assert!((line.cdf(0.5) - 0.6).abs() < 1e-15);
        assert!((line.cdf(0.5 - 1e-12) - 0.4).abs() < 1e-9);
        let flat = QuantileFunction::new(&[0.2, 0.8], &[0.5, 0.5]);
        assert_eq!([0.0, 0.5, 1.0].map(|tau| flat.quantile(tau)), [0.5; 3]);
        assert!((flat.crps(0.75) - 0.25).abs() < 1e-15);
        let mut gradient = [0.0; 2];
        flat.crps_with_gradient(0.75, &mut gradient);
        assert!(
            (gradient[0] + gradient[1] + 1.0).abs() < 1e-15,
            "{gradient:?}"
        );
    }

    #[test]
    fn the_ends_of_tau_and_of_the_range() {
        let line = QuantileFunction::new(&[0.25, 0.75], &[-1.0, 2.0]).with_bounds(0.0, 1.0);
        assert_eq!(line.quantile(0.0), 0.0);
        assert_eq!(line.quantile(1.0), 1.0);
        // A fifth of the way up the line, all that lies below is on the bound.
        assert_eq!(line.cdf(-1e-9), 0.0);
        assert!((line.cdf(0.0) - (0.25 + 0.5 / 3.0)).abs() < 1e-15);
        assert_eq!(line.cdf(1.0), 1.0);
        // Beyond the bound: certain of the right outcome.
        let below = QuantileFunction::new(&[0.25, 0.75], &[-2.0, -1.0]).with_bounds(0.0, 1.0);
        assert_eq!(below.crps(0.0), 0.0);
        let mut gradient = [7.0; 2];
        below.crps_with_gradient(0.5, &mut gradient);
        assert_eq!(gradient, [0.0; 2]);
    }
}

use burn::tensor::activation::softplus;
use burn::tensor::{Distribution, FloatDType, Tensor, TensorData};

use crate::Knots;

/// Quantile functions that are straight between their [knots](Knots) and constant outside of them,
/// one for each element of a batch.
///
/// A model that predicts them gives a whole distribution at once: quantiles at any levels, which
/// never cross, exact probabilities, an exact score and samples. A
/// [`MonotoneHead`](crate::MonotoneHead) predicts them from features, and
/// [`QuantileFunction`](crate::QuantileFunction) is one of them on plain numbers.
///
/// ```
/// use burn::tensor::{Device, Tensor};
/// use pixel_iqn_loss::{Knots, QuantileFunctions};
///
/// let device = Device::flex();
/// let values = Tensor::<2>::from_floats([[0.0, 1.0, 3.0]], &device);
/// let forecast = QuantileFunctions::new(values, Knots::new([0.1, 0.5, 0.9])?);
///
/// let quantiles = forecast.quantile(Tensor::from_floats([[0.3, 0.5]], &device));
/// assert_eq!(quantiles.dims(), [1, 2]);
/// let probability = forecast.cdf(Tensor::from_floats([[2.0]], &device));
/// assert!((probability.into_scalar::<f32>() - 0.7).abs() < 1e-6);
/// # Ok::<(), pixel_iqn_loss::KnotsError>(())
/// ```
#[derive(Debug, Clone)]
pub struct QuantileFunctions<const D: usize> {
    values: Tensor<D>,
    knots: Knots,
    bounds: [f64; 2],
}

impl<const D: usize> QuantileFunctions<D> {
    /// Creates the quantile functions with these values at the knots.
    ///
    /// # Shapes
    ///
    /// - values: `[.., knots]`, not descending along the last axis
    ///
    /// # Panics
    ///
    /// Panics if the last axis has not one value for each knot. The order of the values is not
    /// checked, since reading them back would stall a device.
    pub fn new(values: Tensor<D>, knots: Knots) -> Self {
        let dims = values.dims();
        assert!(
            dims[D - 1] == knots.len(),
            "the values of quantile functions must be [.., {}], one for each knot, not {dims:?}",
            knots.len()
        );
        let bounds = [f64::NEG_INFINITY, f64::INFINITY];
        Self {
            values,
            knots,
            bounds,
        }
    }

    /// Creates quantile functions from any numbers: the first one is the value at the first knot,
    /// and each other one makes the step to the next knot, its softplus times the distance of the
    /// knots. So the values ascend whatever the numbers (after the incremental quantile functions
    /// of Park et al. 2022).
    ///
    /// # Shapes
    ///
    /// - increments: `[.., knots]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis has not one number for each knot.
    pub fn from_increments(increments: Tensor<D>, knots: Knots) -> Self {
        let last = D - 1;
        let steps = increments.dims()[last].saturating_sub(1);
        let first = increments.clone().narrow(last, 0, 1);
        let steps = softplus(increments.narrow(last, 1, steps), 1.0);
        let [gaps] = along_last([knots.gaps().collect()], &steps);
        let values = Tensor::cat(vec![first, steps * gaps], last).cumsum(last);
        Self::new(values, knots)
    }

    /// Clamps what is predicted to `[low, high]`, the range of the target; the ends may be
    /// infinite. Quantiles, probabilities, score and samples are then those of the clamped value.
    ///
    /// # Panics
    ///
    /// Panics if `low` is not below `high`.
    pub fn with_bounds(self, low: f64, high: f64) -> Self {
        assert!(low < high, "the bounds [{low}, {high}] hold no interval");
        Self {
            bounds: [low, high],
            ..self
        }
    }

    /// The values at the knots, `[.., knots]`, not clamped.
    pub fn values(&self) -> Tensor<D> {
        self.values.clone()
    }

    /// The knots.
    pub fn knots(&self) -> &Knots {
        &self.knots
    }

    /// The quantiles at the levels `tau`. They ascend with tau, and have a gradient.
    ///
    /// # Shapes
    ///
    /// - tau: `[.., levels]`, in [0, 1]; the other axes are those of the values, or 1
    /// - output: `[.., levels]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not fit.
    pub fn quantile(&self, tau: Tensor<D>) -> Tensor<D> {
        let (values, tau, shape) = self.in_rows(tau);
        let [rows, _, knots] = values.dims();
        let low = values.clone().narrow(2, 0, 1);
        let steps = values.clone().narrow(2, 1, knots - 1) - values.narrow(2, 0, knots - 1);
        // Each step counts as far as tau has come between its two knots: a sum of terms that all
        // ascend, which therefore ascends in floating-point numbers, too.
        let start = self.knots.as_slice()[..knots - 1].to_vec();
        let inverse_gaps = self.knots.gaps().map(|gap| 1.0 / gap).collect();
        let [start, inverse_gaps] = along_last([start, inverse_gaps], &tau);
        let part = ((tau - start) * inverse_gaps).clamp(0.0, 1.0);
        let quantiles = low + (steps * part).sum_dim(2);
        let [_, levels, _] = quantiles.dims();
        debug_assert_eq!(rows * levels, shape.iter().product::<usize>());
        self.clamped(quantiles.reshape(shape))
    }

    /// The probabilities of values up to and including `x`: the distribution functions, which are
    /// the inverses of [`quantile`](Self::quantile) where that ascends.
    ///
    /// # Shapes
    ///
    /// - x: `[.., points]`; the other axes are those of the values, or 1
    /// - output: `[.., points]`, in [0, 1]
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not fit.
    pub fn cdf(&self, x: Tensor<D>) -> Tensor<D> {
        let (values, rows, shape) = self.in_rows(x.clone());
        let last = values.dims()[2] - 1;
        let knots = self.knots.as_slice();
        let float = |mask: Tensor<3, burn::tensor::Bool>| mask.cast(FloatDType::from(x.dtype()));
        let reached = float(rows.clone().greater_equal(values.clone()));
        let (low, high) = (
            values.clone().narrow(2, 0, last),
            values.clone().narrow(2, 1, last),
        );
        // The part of each segment below x. A flat one is a step, which counts where it is reached.
        let rise = (high - low.clone()).clamp_min(f64::from(f32::MIN_POSITIVE));
        let part = ((rows - low) / rise).clamp(0.0, 1.0);
        let part = part.max_pair(reached.clone().narrow(2, 1, last));
        let [gaps] = along_last([self.knots.gaps().collect()], &part);
        let first = reached.clone().narrow(2, 0, 1).mul_scalar(knots[0]);
        let rest = reached.narrow(2, last, 1).mul_scalar(1.0 - knots[last]);
        let mut cdf = (first + (part * gaps).sum_dim(2) + rest).reshape(shape);
        let [low, high] = self.bounds;
        if low.is_finite() {
            cdf = cdf.mask_fill(x.clone().lower_scalar(low).expand(shape), 0.0);
        }
        if high.is_finite() {
            cdf = cdf.mask_fill(x.greater_equal_scalar(high).expand(shape), 1.0);
        }
        cdf
    }

    /// The continuous ranked probability score against the target, exactly: twice the integral of
    /// the pinball loss over all quantile levels (Gneiting and Raftery 2007). It needs no tau and
    /// has no noise, so it is also a loss to train on.
    ///
    /// The gradient with respect to the values is exact, too; the target is a constant to autodiff.
    /// With [bounds](Self::with_bounds) it is the threshold-weighted CRPS of Gneiting and Ranjan
    /// 2011, and a value beyond a bound has no gradient. The formulas are those of
    /// [`QuantileFunction::crps`](crate::QuantileFunction::crps).
    ///
    /// # Shapes
    ///
    /// - target: `[.., 1]`, in the unit of the values
    /// - output: `[.., 1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not fit.
    pub fn crps(&self, target: Tensor<D>) -> Tensor<D> {
        let last = D - 1;
        let mut shape = self.values.dims();
        shape[last] = 1;
        assert!(
            target.dims() == shape,
            "the target must be {shape:?}, one for each quantile function, not {:?}",
            target.dims()
        );
        let values = self.values.clone().detach();
        let (score, gradient) = self.score_and_gradient(values.clone(), target.detach());
        // Autodiff sees a function that is linear in the values, with the gradient of the score.
        score + (gradient * (self.values.clone() - values)).sum_dim(last)
    }

    /// Draws samples from Burn's generator of the device, which `Device::seed` seeds.
    ///
    /// # Shapes
    ///
    /// - output: `[.., count]`
    pub fn sample(&self, count: usize) -> Tensor<D> {
        let mut shape = self.values.dims();
        shape[D - 1] = count;
        let options = (&self.values.device(), self.values.dtype());
        self.quantile(Tensor::random(
            shape,
            Distribution::Uniform(0.0, 1.0),
            options,
        ))
    }

    /// The values as `[rows, 1, knots]` and `points`, `[.., n]`, as `[rows, n, 1]`, with the shape
    /// of the result, `[.., n]`.
    fn in_rows(&self, points: Tensor<D>) -> (Tensor<3>, Tensor<3>, [usize; D]) {
        let (dims, mut shape) = (self.values.dims(), points.dims());
        let fits = (0..D - 1).all(|axis| shape[axis] == dims[axis] || shape[axis] == 1);
        assert!(
            fits,
            "{shape:?} does not fit the quantile functions {dims:?}: all axes but the last must be \
             equal or 1"
        );
        shape[..D - 1].copy_from_slice(&dims[..D - 1]);
        let rows = dims[..D - 1].iter().product();
        let points = if points.dims() == shape {
            points
        } else {
            points.expand(shape)
        };
        (
            self.values.clone().reshape([rows, 1, dims[D - 1]]),
            points.reshape([rows, shape[D - 1], 1]),
            shape,
        )
    }

    fn clamped(&self, values: Tensor<D>) -> Tensor<D> {
        let [low, high] = self.bounds;
        let values = if low.is_finite() {
            values.clamp_min(low)
        } else {
            values
        };
        if high.is_finite() {
            values.clamp_max(high)
        } else {
            values
        }
    }

    /// The score, `[.., 1]`, and its derivatives with respect to the values, `[.., knots]`.
    fn score_and_gradient(&self, values: Tensor<D>, y: Tensor<D>) -> (Tensor<D>, Tensor<D>) {
        let last = D - 1;
        let knots = self.knots.as_slice();
        let segments = knots.len() - 1;
        let [low, high] = self.bounds;
        let float = FloatDType::from(values.dtype());
        let positive = |x: Tensor<D>| x.clamp_min(0.0);

        // Of each segment: its knots and values, and where it leaves the lower bound, meets the
        // upper one and passes the outcome.
        let v = values.clone().narrow(last, 0, segments);
        let w = values.clone().narrow(last, 1, segments);
        let [a, b, h] = along_last(
            [
                knots[..segments].to_vec(),
                knots[1..].to_vec(),
                self.knots.gaps().collect(),
            ],
            &v,
        );
        let rise = (w.clone() - v.clone()).clamp_min(1e-12);
        let part = |edge: Tensor<D>| ((edge - v.clone()) / rise.clone()).clamp(0.0, 1.0);
        // Under autodiff, Burn builds what `full` makes on the host and uploads it.
        let constant = |edge: f64| Tensor::zeros([1; D], (&v.device(), v.dtype())).add_scalar(edge);
        let alpha = match low.is_finite() {
            true => part(constant(low)),
            false => v.zeros_like(),
        };
        let beta = match high.is_finite() {
            true => part(constant(high)),
            false => v.ones_like(),
        };
        let gamma = part(y.clone())
            .max_pair(alpha.clone())
            .min_pair(beta.clone());
        let (l, u) = (self.clamped(v.clone()), self.clamped(w));
        let p = a.clone() + h.clone() * alpha.clone();
        let q = a.clone() + h.clone() * beta.clone();

        let square = |x: &Tensor<D>| x.clone() * x.clone();
        let width = q.clone() - p.clone();
        let mut score = width.div_scalar(3.0)
            * ((p.clone().mul_scalar(2.0) + q.clone()) * (y.clone() - l.clone())
                + (p.clone() + q.clone().mul_scalar(2.0)) * (y.clone() - u.clone()))
            + h.clone()
                * (beta.clone() - gamma.clone())
                * (positive(u - y.clone()) + positive(l - y.clone()));
        // Twice the integral where the quantile is at a bound.
        let at = |edge: f64, from: &Tensor<D>, to: &Tensor<D>| {
            let under = y.clone() - edge;
            let over = positive(under.clone().neg()).mul_scalar(2.0);
            under * (square(to) - square(from)) + over * (to.clone() - from.clone())
        };
        if low.is_finite() {
            score = score + at(low, &a, &p);
        }
        if high.is_finite() {
            score = score + at(high, &q, &b);
        }

        let (a2, b2) = (square(&alpha), square(&beta));
        let squares = (b2.clone() - a2.clone()).div_scalar(2.0);
        let cubes = (b2.clone() * beta.clone() - a2 * alpha.clone()).div_scalar(3.0);
        let both = (beta.clone() - gamma.clone())
            - a.clone() * (beta - alpha)
            - h.clone() * squares.clone();
        let upper = (b2 - square(&gamma)).div_scalar(2.0) - a * squares - h.clone() * cubes;
        let twice = h.mul_scalar(2.0);
        let upper = upper * twice.clone();
        let lower = both * twice - upper.clone();

        // Constant before the first knot and after the last.
        let end = |knot: usize, p: f64, q: f64| {
            let value = values.clone().narrow(last, knot, 1);
            let c = self.clamped(value.clone());
            let over = c.clone() - y.clone();
            let (squares, twice) = (q * q - p * p, 2.0 * (q - p));
            let above = over.clone().greater_scalar(0.0).cast(float);
            let inside = c.equal(value).cast(float);
            (
                positive(over.clone()).mul_scalar(twice) - over.mul_scalar(squares),
                inside * (above.mul_scalar(twice) - squares),
            )
        };
        let (first, of_first) = end(0, 0.0, knots[0]);
        let (rest, of_last) = end(segments, knots[segments], 1.0);
        let gradient =
            Tensor::cat(vec![lower, of_last], last) + Tensor::cat(vec![of_first, upper], last);
        (score.sum_dim(last) + first + rest, gradient)
    }
}

/// Rows of as many numbers each, along the last axis of tensors of the device and precision of `like`:
/// in one upload.
fn along_last<const D: usize, const N: usize>(
    rows: [Vec<f64>; N],
    like: &Tensor<D>,
) -> [Tensor<D>; N] {
    let length = rows[0].len();
    let mut shape = [1; D];
    shape[D - 1] = N * length;
    let data = TensorData::new(rows.concat(), shape);
    let all = Tensor::<D>::from_data(data, (&like.device(), like.dtype()));
    core::array::from_fn(|row| all.clone().narrow(D - 1, row * length, length))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::QuantileFunction;
    use crate::testing::{assert_close, tensor, values};
    use proptest::prelude::*;

    fn rows() -> impl Strategy<Value = [[f64; 3]; 2]> {
        let row = (-1.0..1.0, 0.0..1.0, 0.0..1.0).prop_map(|(v, a, b)| [v, v + a, v + a + b]);
        [row.clone(), row]
    }

    const KNOTS: [f64; 3] = [0.1, 0.5, 0.95];

    proptest! {
        #[test]
        fn equals_the_function_on_numbers(
            rows in rows(),
            tau in prop::array::uniform4(0.0..=1.0),
            y in -0.5..1.5,
            bounded in any::<bool>(),
        ) {
            let mut functions = QuantileFunctions::<2>::new(
                tensor(rows),
                Knots::new(KNOTS).unwrap(),
            );
            if bounded {
                functions = functions.with_bounds(0.0, 1.0);
            }
            let line = |row: usize| {
                let line = QuantileFunction::new(&KNOTS, &rows[row]);
                if bounded { line.with_bounds(0.0, 1.0) } else { line }
            };
            let each = |f: &dyn Fn(QuantileFunction<'_>, f64) -> f64, points: &[f64]| -> Vec<f64> {
                (0..2).flat_map(|row| points.iter().map(move |x| f(line(row), *x))).collect()
            };
            let quantiles = values(functions.quantile(tensor([tau])));
            assert_close(&quantiles, &each(&|line, tau| line.quantile(tau), &tau), 1e-12);
            let points = tau.map(|x| 3.0 * x - 1.0);
            let cdf = values(functions.cdf(tensor([points])));
            assert_close(&cdf, &each(&|line, x| line.cdf(x), &points), 1e-12);
            let crps = values(functions.crps(tensor([[y], [y]])));
            assert_close(&crps, &each(&|line, y| line.crps(y), &[y]), 1e-12);
        }

        #[test]
        fn the_gradient_is_that_on_numbers(rows in rows(), y in -0.5..1.5, bounded in any::<bool>()) {
            let leaf = tensor::<2>(rows).require_grad();
            let mut functions = QuantileFunctions::new(leaf.clone(), Knots::new(KNOTS).unwrap());
            if bounded {
                functions = functions.with_bounds(0.0, 1.0);
            }
            let gradients = functions.crps(tensor([[y], [y]])).backward();
            let gradient = values(leaf.grad(&gradients).expect("a tracked leaf"));
            let expected: Vec<f64> = rows
                .iter()
                .flat_map(|row| {
                    let mut line = QuantileFunction::new(&KNOTS, row);
                    if bounded {
                        line = line.with_bounds(0.0, 1.0);
                    }
                    let mut gradient = vec![0.0; 3];
                    line.crps_with_gradient(y, &mut gradient);
                    gradient
                })
                .collect();
            assert_close(&gradient, &expected, 1e-9);
        }

        #[test]
        fn increments_ascend_whatever_they_are(
            increments in prop::array::uniform3(-200.0f32..200.0),
            tau in prop::collection::vec(0.0f32..=1.0, 2..20),
        ) {
            // In single precision, as models have it.
            let device = burn::tensor::Device::flex();
            let functions = QuantileFunctions::from_increments(
                Tensor::<2>::from_data([increments], &device),
                Knots::new(KNOTS).unwrap(),
            );
            let mut tau = tau;
            tau.sort_by(f32::total_cmp);
            let tau = Tensor::<1>::from_data(tau.as_slice(), &device).unsqueeze::<2>();
            let quantiles: Vec<f32> = functions.quantile(tau).into_data().try_to_vec().unwrap();
            prop_assert!(quantiles.is_sorted(), "{quantiles:?}");
        }
    }

    #[test]
    fn equal_values_are_one_step() {
        let functions =
            QuantileFunctions::<2>::new(tensor([[0.5, 0.5, 0.5]]), Knots::new(KNOTS).unwrap());
        let cdf = values(functions.cdf(tensor([[0.4999, 0.5, 0.5001]])));
        assert_close(&cdf, &[0.0, 1.0, 1.0], 1e-15);
        let quantiles = values(functions.quantile(tensor([[0.0, 0.3, 1.0]])));
        assert_close(&quantiles, &[0.5; 3], 0.0);
        assert_close(&values(functions.crps(tensor([[0.75]]))), &[0.25], 1e-12);
    }

    #[test]
    fn samples_have_the_distribution() {
        let functions = QuantileFunctions::<2>::new(
            tensor([[0.0, 0.5, 1.0]]),
            Knots::new([0.0, 0.2, 1.0]).unwrap(),
        );
        let samples = values(functions.sample(10_000));
        // A fifth of them, with a standard deviation of 40.
        let below = samples.iter().filter(|&&x| x < 0.5).count();
        assert!((1_800..2_200).contains(&below), "{below}");
    }

    #[test]
    #[should_panic = "must be [.., 3], one for each knot, not [1, 2]"]
    fn values_that_do_not_fit_are_named() {
        QuantileFunctions::<2>::new(tensor([[0.0, 0.5]]), Knots::new(KNOTS).unwrap());
    }

    #[test]
    #[should_panic = "does not fit the quantile functions [2, 3]"]
    fn levels_that_do_not_fit_are_named() {
        let functions =
            QuantileFunctions::<2>::new(tensor([[0.0; 3]; 2]), Knots::new(KNOTS).unwrap());
        functions.quantile(tensor([[0.5]; 3]));
    }
}

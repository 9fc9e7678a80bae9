use burn::config::Config;
use burn::module::{Module, Param};
use burn::nn::{Linear, LinearConfig};
use burn::tensor::{Device, Tensor};

use crate::{Knots, KnotsError, QuantileFunctions};

/// The configuration of a [`MonotoneHead`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct MonotoneHeadConfig {
    /// The number of features that the head reads.
    pub features: usize,
    /// The quantile levels of the knots; 36 by default, those of [`Knots::default`].
    #[config(default = "Knots::default().as_slice().to_vec()")]
    pub knots: Vec<f64>,
    /// The interval on which the quantile function of a new head is uniform, in the unit of the
    /// target: its lower end.
    #[config(default = 0.0)]
    pub low: f64,
    /// The upper end of this interval. Choose the usual range of the target: the head works in
    /// units of it.
    #[config(default = 1.0)]
    pub high: f64,
    /// The lowest value that the target can have, where there is one: see
    /// [`QuantileFunctions::with_bounds`].
    pub lower_bound: Option<f64>,
    /// The highest value that the target can have, where there is one.
    pub upper_bound: Option<f64>,
}

/// The last layer of a network that predicts a whole distribution for each row of features: a
/// quantile function that never crosses.
///
/// A linear layer gives the lowest quantile and the increments to the next ones (see
/// [`QuantileFunctions::from_increments`]). It is trained on the exact
/// [CRPS](QuantileFunctions::crps), without drawing tau, or on the pinball loss of its
/// [quantiles](QuantileFunctions::quantile).
///
/// ```
/// use burn::optim::{AdamConfig, GradientsParams};
/// use burn::tensor::{Device, Distribution, Tensor};
/// use pixel_iqn_loss::MonotoneHeadConfig;
///
/// // The target is uniform on [0, x]: so are its quantiles.
/// let device = Device::flex().autodiff();
/// device.seed(0);
/// let mut head = MonotoneHeadConfig::new(1).with_lower_bound(Some(0.0)).init(&device)?;
/// let mut adam = AdamConfig::new().init();
/// for _ in 0..300 {
///     let uniform = || Tensor::<2>::random([64, 1], Distribution::Uniform(0.0, 1.0), &device);
///     let x = uniform();
///     let loss = head.forward(x.clone()).crps(x * uniform()).mean();
///     let gradients = GradientsParams::from_grads(loss.backward(), &head);
///     head = adam.step(0.02, head, gradients);
/// }
/// let half = Tensor::<2>::from_floats([[0.5]], &device);
/// let median = head.forward(half.clone()).quantile(half).into_scalar::<f32>();
/// assert!((median - 0.25).abs() < 0.05, "{median}");
/// # Ok::<(), pixel_iqn_loss::KnotsError>(())
/// ```
#[derive(Module, Debug)]
pub struct MonotoneHead {
    /// The linear layer to one number for each knot.
    pub linear: Linear,
    #[module(skip)]
    knots: Knots,
    low: f64,
    scale: f64,
    #[module(skip)]
    bounds: [f64; 2],
}

impl MonotoneHeadConfig {
    /// Creates the head with random weights, at which its quantile functions are about uniform on
    /// `[low, high]`.
    ///
    /// # Errors
    ///
    /// [`KnotsError`] where `knots` are not levels in ascending order.
    ///
    /// # Panics
    ///
    /// Panics if `low` is not below `high`, or the lower bound not below the upper one.
    pub fn init(&self, device: &Device) -> Result<MonotoneHead, KnotsError> {
        let knots = Knots::new(self.knots.clone())?;
        assert!(
            self.low < self.high && (self.high - self.low).is_finite(),
            "the range [{}, {}] of the target must be an interval",
            self.low,
            self.high
        );
        let bounds = [
            self.lower_bound.unwrap_or(f64::NEG_INFINITY),
            self.upper_bound.unwrap_or(f64::INFINITY),
        ];
        assert!(
            bounds[0] < bounds[1],
            "the bounds {bounds:?} hold no interval"
        );
        let mut linear = LinearConfig::new(self.features, knots.len()).init(device);
        let bias: Vec<f32> = increments_of_uniform(&knots);
        linear.bias = Some(Param::from_tensor(Tensor::from_data(
            bias.as_slice(),
            device,
        )));
        Ok(MonotoneHead {
            linear,
            knots,
            low: self.low,
            scale: self.high - self.low,
            bounds,
        })
    }
}

impl MonotoneHead {
    /// Predicts a quantile function for each row of features.
    ///
    /// # Shapes
    ///
    /// - features: `[.., features]`
    /// - output: quantile functions with values `[.., knots]`
    ///
    /// # Panics
    ///
    /// Panics if the features are not those of the head.
    pub fn forward<const D: usize>(&self, features: Tensor<D>) -> QuantileFunctions<D> {
        let increments = self.linear.forward(features);
        let unit = QuantileFunctions::from_increments(increments, self.knots.clone());
        let values = unit.values() * self.scale + self.low;
        QuantileFunctions::new(values, self.knots.clone())
            .with_bounds(self.bounds[0], self.bounds[1])
    }
}

/// The [increments](QuantileFunctions::from_increments) of the quantile function that is uniform on
/// [0, 1]: the first knot, and numbers whose softplus is 1. A new layer has them as its biases.
pub fn increments_of_uniform(knots: &Knots) -> Vec<f32> {
    let one = (core::f64::consts::E - 1.0).ln() as f32;
    let mut increments = vec![one; knots.len()];
    increments[0] = knots.as_slice()[0] as f32;
    increments
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_new_head_is_uniform_on_its_range() {
        let device = Device::flex();
        let config = MonotoneHeadConfig::new(2).with_low(10.0).with_high(30.0);
        let head = config.init(&device).unwrap();
        let functions = head.forward(Tensor::<2>::zeros([1, 2], &device));
        let tau = Tensor::from_floats([[0.25, 0.5, 0.75]], &device);
        let quantiles: Vec<f32> = functions.quantile(tau).into_data().try_to_vec().unwrap();
        for (quantile, expected) in quantiles.iter().zip([15.0, 20.0, 25.0]) {
            assert!((quantile - expected).abs() < 1e-4, "{quantiles:?}");
        }
    }

    #[test]
    fn bounds_hold_in_samples_and_in_the_score() {
        let device = Device::flex();
        let config = MonotoneHeadConfig::new(1).with_low(-2.0).with_high(2.0);
        let bounded = (config.clone())
            .with_lower_bound(Some(0.0))
            .with_upper_bound(Some(1.5));
        let row = Tensor::<2>::zeros([1, 1], &device);
        let [free, bounded] =
            [config, bounded].map(|config| config.init(&device).unwrap().forward(row.clone()));
        let tau = Tensor::<2>::from_floats([[0.0, 0.25, 0.625, 1.0]], &device);
        let quantiles = |functions: &QuantileFunctions<2>| -> Vec<f32> {
            let quantiles = functions.quantile(tau.clone());
            quantiles.into_data().try_to_vec().unwrap()
        };
        let expected = [[-2.0, -1.0, 0.5, 2.0], [0.0, 0.0, 0.5, 1.5]];
        for (functions, expected) in [&free, &bounded].into_iter().zip(expected) {
            for (quantile, expected) in quantiles(functions).iter().zip(expected) {
                // The outer knots are not 0 and 1: there the end of a function is its last value.
                assert!((quantile - expected).abs() < 0.01, "{quantile} {expected}");
            }
        }
        // Where the target is the bound, half of the distribution is right.
        let crps = |functions: &QuantileFunctions<2>| {
            functions
                .crps(Tensor::zeros([1, 1], &device))
                .into_scalar::<f32>()
        };
        assert!(crps(&bounded) < 0.6 * crps(&free));
    }

    #[test]
    #[should_panic = "the bounds [1.0, 0.0] hold no interval"]
    fn bounds_in_the_wrong_order_are_refused() {
        let config = MonotoneHeadConfig::new(1).with_lower_bound(Some(1.0));
        let _ = config.with_upper_bound(Some(0.0)).init(&Device::flex());
    }

    #[test]
    fn knots_out_of_order_are_an_error() {
        let config = MonotoneHeadConfig::new(2).with_knots(vec![0.5, 0.4]);
        assert!(config.init(&Device::flex()).is_err());
    }
}

use burn::module::Module;
use burn::nn::{Linear, LinearConfig, Relu};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::{Device, Tensor};

use crate::{KnotsError, MonotoneHead, MonotoneHeadConfig, QuantileFunctions};

/// A small network for tables: linear layers with ReLU, and a [`MonotoneHead`] that gives the whole
/// distribution of one number for each row.
///
/// Columns should be of about the same size: subtract their means and divide by their deviations first.
///
/// ```
/// use burn::tensor::{Device, Distribution, Tensor};
/// use pixel_iqn_loss::{MonotoneHeadConfig, QuantileNetwork};
///
/// // A target whose spread grows with the one column.
/// let device = Device::flex().autodiff();
/// let uniform = || Tensor::<2>::random([512, 1], Distribution::Uniform(0.0, 1.0), &device);
/// let (x, noise) = (uniform(), uniform());
/// let y = x.clone() * noise;
///
/// let head = MonotoneHeadConfig::new(16).with_lower_bound(Some(0.0));
/// let network = QuantileNetwork::new(&[1, 16], &head, &device)?.fit(&x, &y, 200, 0.02);
/// let one = Tensor::<2>::ones([1, 1], &device);
/// let interval = network.forward(one).quantile(Tensor::from_floats([[0.05, 0.95]], &device));
/// println!("{interval}"); // about 0.05 and 0.95
/// # Ok::<(), pixel_iqn_loss::KnotsError>(())
/// ```
#[derive(Module, Debug)]
pub struct QuantileNetwork {
    /// The layers before the head, each with ReLU behind it.
    pub hidden: Vec<Linear>,
    /// The last layer.
    pub head: MonotoneHead,
}

impl QuantileNetwork {
    /// Creates a network with random weights. `widths` are the number of columns and the features of each
    /// hidden layer; the last of them is what the head reads, whatever `head.features` says.
    ///
    /// # Errors
    ///
    /// [`KnotsError`] where the knots of the head are not levels in ascending order.
    ///
    /// # Panics
    ///
    /// Panics if `widths` is empty, and as [`MonotoneHeadConfig::init`].
    pub fn new(
        widths: &[usize],
        head: &MonotoneHeadConfig,
        device: &Device,
    ) -> Result<Self, KnotsError> {
        let last = *widths.last().expect("the number of columns is needed");
        let layer = |pair: &[usize]| LinearConfig::new(pair[0], pair[1]).init(device);
        let mut head = head.clone();
        head.features = last;
        Ok(Self {
            hidden: widths.windows(2).map(layer).collect(),
            head: head.init(device)?,
        })
    }

    /// Predicts a quantile function for each row.
    ///
    /// # Shapes
    ///
    /// - x: `[rows, columns]`
    /// - output: quantile functions with values `[rows, knots]`
    pub fn forward(&self, x: Tensor<2>) -> QuantileFunctions<2> {
        let layer = |x, layer: &Linear| Relu.forward(layer.forward(x));
        self.head.forward(self.hidden.iter().fold(x, layer))
    }

    /// Trains on the exact CRPS of all rows at once, with Adam and a rate that falls to 0 as a cosine (our
    /// choice): for tables of thousands of rows. Larger ones want batches and a loop of your own.
    ///
    /// # Shapes
    ///
    /// - x: `[rows, columns]`
    /// - y: `[rows, 1]`
    ///
    /// # Panics
    ///
    /// Panics if the shapes do not fit, or the device of the network has no autodiff.
    #[must_use]
    pub fn fit(self, x: &Tensor<2>, y: &Tensor<2>, steps: usize, learning_rate: f64) -> Self {
        let [rows, _] = x.dims();
        assert_eq!(y.dims(), [rows, 1], "one target for each of the rows");
        let mut network = self;
        let mut adam = AdamConfig::new().init();
        for step in 0..steps {
            let loss = network.forward(x.clone()).crps(y.clone()).mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            let angle = core::f64::consts::PI * step as f64 / steps as f64;
            let rate = learning_rate * 0.5 * (1.0 + angle.cos());
            network = adam.step(rate, network, gradients);
        }
        network
    }
}

#[cfg(test)]
mod tests {
    use rand_chacha::ChaCha8Rng;
    use rand_core::{Rng, SeedableRng};

    use super::*;
    use crate::coverage;

    fn uniform(random: &mut ChaCha8Rng, rows: usize, device: &Device) -> Tensor<2> {
        let draws: Vec<f32> = (0..rows)
            .map(|_| random.next_u32() as f32 / u32::MAX as f32)
            .collect();
        Tensor::<1>::from_floats(&draws[..], device).unsqueeze_dim(1)
    }

    #[test]
    fn intervals_grow_with_the_noise_and_cover_what_they_say() {
        let device = Device::flex().autodiff();
        let mut random = ChaCha8Rng::seed_from_u64(0);
        let mut draw = |rows| {
            let x = uniform(&mut random, rows, &device);
            let y = (uniform(&mut random, rows, &device) - 0.5) * (x.clone() + 0.1) + 5.0;
            (x, y)
        };
        let (x, y) = draw(1000);
        let head = MonotoneHeadConfig::new(1).with_low(4.0).with_high(6.0);
        let network = QuantileNetwork::new(&[1, 32], &head, &device).unwrap();
        assert_eq!(network.head.linear.weight.dims()[0], 32);
        let network = network.fit(&x, &y, 600, 0.02);

        let (x, y) = draw(1000);
        let tau = Tensor::<2>::from_floats([[0.1, 0.9]], &device);
        let bounds = network.forward(x).quantile(tau.clone());
        let [low, high] = [0, 1].map(|i| bounds.clone().narrow(1, i, 1));
        let inside = coverage(low, high, y).into_scalar::<f32>();
        assert!((inside - 0.8).abs() < 0.06, "{inside}");
        let width = |x: f32| -> f32 {
            let bounds = network
                .forward(Tensor::from_floats([[x]], &device))
                .quantile(tau.clone());
            let bounds: Vec<f32> = bounds.into_data().try_to_vec().unwrap();
            bounds[1] - bounds[0]
        };
        assert!((width(0.9) - 0.8).abs() < 0.2, "{}", width(0.9));
        assert!((width(0.1) - 0.16).abs() < 0.1, "{}", width(0.1));
    }

    #[test]
    #[should_panic = "one target for each of the rows"]
    fn targets_of_other_rows_are_refused() {
        let device = Device::flex().autodiff();
        let network = QuantileNetwork::new(&[1], &MonotoneHeadConfig::new(1), &device).unwrap();
        let _ = network.fit(
            &Tensor::zeros([3, 1], &device),
            &Tensor::zeros([2, 1], &device),
            1,
            0.1,
        );
    }
}

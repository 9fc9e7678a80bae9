use core::f64::consts::LN_2;

use burn::nn::loss::Reduction;
use burn::tensor::activation::log_softmax;
use burn::tensor::{Int, Tensor};
use pixel_iqn_core::{GatedPixelCnn, PixelIqn, PixelModel};
use pixel_iqn_loss::QuantileHuberLossConfig;

/// A model that knows what it is trained to minimise.
pub trait TrainModel: PixelModel + Sync + 'static {
    /// The name of the loss with its unit, for reports.
    const LOSS: &'static str;

    /// The mean loss of a batch.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`, in [0, 1]
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1); not read by a model without tau
    /// - `labels`: `[batch]`, for a class-conditional model
    /// - `kappa`: in units of the images; not read by a model without the quantile Huber loss
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if `labels` is missing for a class-conditional model, or if a shape is wrong.
    fn loss(
        &self,
        images: Tensor<4>,
        tau: Tensor<4>,
        labels: Option<&Tensor<1, Int>>,
        kappa: f64,
    ) -> Tensor<1>;
}

impl TrainModel for PixelIqn {
    const LOSS: &'static str = "quantile Huber loss";

    fn loss(
        &self,
        images: Tensor<4>,
        tau: Tensor<4>,
        labels: Option<&Tensor<1, Int>>,
        kappa: f64,
    ) -> Tensor<1> {
        let prediction = self.forward(images.clone(), tau.clone(), labels);
        let loss = QuantileHuberLossConfig::new().with_kappa(kappa).init();
        loss.forward(prediction, images, tau, Reduction::Mean)
    }
}

impl TrainModel for GatedPixelCnn {
    const LOSS: &'static str = "bits per value";

    fn loss(
        &self,
        images: Tensor<4>,
        _tau: Tensor<4>,
        labels: Option<&Tensor<1, Int>>,
        _kappa: f64,
    ) -> Tensor<1> {
        let top = self.config().levels - 1;
        let logits = self.forward(images.clone(), labels);
        let logarithms = log_softmax(logits.permute([0, 1, 3, 4, 2]), 4);
        let levels = images.mul_scalar(top as f32).round().int();
        let chosen = logarithms.gather(4, levels.unsqueeze_dim(4));
        chosen.mean().div_scalar(-LN_2)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use pixel_iqn_core::{Head, ModelConfig};

    #[test]
    fn cross_entropy_is_in_bits() {
        // Uniform over 16 levels: 4 bits, whatever the image.
        let device = Device::flex();
        let config = ModelConfig::tiny().with_head(Head::Categorical);
        let mut model = config.init_gated_pixel_cnn(&device);
        model.out.weight = model.out.weight.map(|weight| weight.zeros_like());
        model.out.bias = model.out.bias.map(|bias| bias.zeros_like());
        let images = Tensor::<4>::full([2, 3, 4, 5], 0.3, &device);
        let loss = model.loss(images.clone(), images, None, 0.0);
        assert!((loss.into_scalar::<f32>() - 4.0).abs() < 1e-5);
    }

    #[test]
    fn the_level_of_the_image_is_the_one_that_counts() {
        let device = Device::flex();
        let config = ModelConfig::tiny()
            .with_channels(1)
            .with_head(Head::Categorical)
            .with_levels(4);
        let mut model = config.init_gated_pixel_cnn(&device);
        model.out.weight = model.out.weight.map(|weight| weight.zeros_like());
        // Level 2 of 0 to 3 has almost all of the probability.
        let bias = Tensor::from_floats([0.0, 0.0, 30.0, 0.0], &device);
        model.out.bias = model.out.bias.map(|_| bias);
        let bits = |value: f32| {
            let images = Tensor::<4>::full([1, 1, 2, 2], value, &device);
            let loss = model.loss(images.clone(), images, None, 0.0);
            loss.into_scalar::<f32>()
        };
        assert!(bits(2.0 / 3.0) < 1e-3);
        assert!((bits(1.0 / 3.0) - 30.0 / core::f32::consts::LN_2).abs() < 1e-2);
    }
}

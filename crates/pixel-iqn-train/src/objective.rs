use core::f64::consts::LN_2;

use burn::module::{Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::ExecutionError;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use pixel_iqn_core::{AnyModel, GatedPixelCnn, PixelIqn, PixelModel};
use pixel_iqn_loss::QuantileHuberLossConfig;
use pixel_iqn_score::Forecaster;

use crate::train_batch::TrainBatch;

/// A model that knows what it is trained to minimise, and predicts distributions to be scored.
pub trait TrainModel: PixelModel + Forecaster + ModuleDisplay + Sync + 'static {
    /// The name of the loss, for reports.
    fn loss_name(&self) -> &'static str;

    /// The mean loss of a batch, `[1]`.
    ///
    /// `kappa` is in units of the images, and is not read by a model without the quantile Huber
    /// loss.
    ///
    /// # Panics
    ///
    /// Panics if labels are missing for a class-conditional model, or if a shape is wrong.
    fn loss(&self, batch: &TrainBatch, kappa: f64) -> Tensor<1>;
}

impl TrainModel for PixelIqn {
    fn loss_name(&self) -> &'static str {
        "quantile Huber loss"
    }

    fn loss(&self, batch: &TrainBatch, kappa: f64) -> Tensor<1> {
        let labels = batch.labels.as_ref();
        let prediction = self.forward_many(batch.images.clone(), batch.tau.clone(), labels);
        let loss = QuantileHuberLossConfig::new().with_kappa(kappa).init();
        let (targets, tau) = (batch.targets.clone(), batch.tau.clone());
        loss.forward(prediction, targets, tau, Reduction::Mean)
    }
}

impl TrainModel for GatedPixelCnn {
    fn loss_name(&self) -> &'static str {
        "bits per value"
    }

    fn loss(&self, batch: &TrainBatch, _kappa: f64) -> Tensor<1> {
        let top = self.levels() - 1;
        let logits = self.forward(batch.images.clone(), batch.labels.as_ref());
        let logarithms = log_softmax(logits.permute([0, 1, 3, 4, 2]), 4);
        let levels = batch.images.clone().mul_scalar(top as f32).round().int();
        let chosen = logarithms.gather(4, levels.unsqueeze_dim(4));
        chosen.mean().div_scalar(-LN_2)
    }
}

impl TrainModel for AnyModel {
    fn loss_name(&self) -> &'static str {
        match self {
            Self::PixelIqn(model) => model.loss_name(),
            Self::GatedPixelCnn(model) => model.loss_name(),
            _ => unknown_model(),
        }
    }

    fn loss(&self, batch: &TrainBatch, kappa: f64) -> Tensor<1> {
        match self {
            Self::PixelIqn(model) => model.loss(batch, kappa),
            Self::GatedPixelCnn(model) => model.loss(batch, kappa),
            _ => unknown_model(),
        }
    }
}

/// Ends the program: a model came that a later version of pixel-iqn-core added.
fn unknown_model() -> ! {
    panic!("pixel-iqn-train is older than the model: use one version of all crates")
}

/// A model with its loss, as Burn's [`SupervisedTraining`](burn::train::SupervisedTraining) trains
/// it.
#[derive(Module, Debug)]
pub struct Objective<M: Module> {
    /// The model.
    pub model: M,
    kappa: f64,
}

impl<M: TrainModel> Objective<M> {
    /// Trains `model` with this `kappa` of the quantile Huber loss.
    pub fn new(model: M, kappa: f64) -> Self {
        Self { model, kappa }
    }
}

/// The output of a step of an [`Objective`].
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct StepOutput {
    /// The mean loss, `[1]`.
    pub loss: Tensor<1>,
    /// The number of the part of the step, from [`TrainBatch::part`].
    pub part: usize,
}

impl ItemLazy for StepOutput {
    fn sync(self) -> Result<Self, ExecutionError> {
        Ok(self)
    }
}

impl Adaptor<LossInput> for StepOutput {
    fn adapt(&self) -> LossInput {
        LossInput::new(self.loss.clone())
    }
}

impl<M: TrainModel> TrainStep for Objective<M> {
    type Input = TrainBatch;
    type Output = StepOutput;

    /// The gradients are those of the loss times [`TrainBatch::weight`], so that the sum over the
    /// parts of a step is the gradient of its mean loss.
    fn step(&self, batch: TrainBatch) -> TrainOutput<StepOutput> {
        let loss = self.model.loss(&batch, self.kappa);
        let gradients = match batch.weight {
            1.0 => loss.backward(),
            weight => loss.clone().mul_scalar(weight).backward(),
        };
        let output = StepOutput {
            loss: loss.inner(),
            part: batch.part,
        };
        TrainOutput::new(self, gradients, output)
    }
}

impl<M: TrainModel> InferenceStep for Objective<M> {
    type Input = TrainBatch;
    type Output = StepOutput;

    fn step(&self, batch: TrainBatch) -> StepOutput {
        StepOutput {
            loss: self.model.loss(&batch, self.kappa),
            part: batch.part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use pixel_iqn_core::{ModelConfig, Output};

    fn batch(images: Tensor<4>) -> TrainBatch {
        TrainBatch {
            targets: images.clone(),
            tau: images.clone(),
            images,
            labels: None,
            weight: 1.0,
            part: 0,
        }
    }

    #[test]
    fn cross_entropy_is_in_bits() {
        // Uniform over 16 levels: 4 bits, whatever the image.
        let device = Device::flex();
        let config = ModelConfig::tiny().with_output(Output::categorical(16));
        let mut model = config.init_gated_pixel_cnn(&device);
        model.output.out.weight = model.output.out.weight.map(|weight| weight.zeros_like());
        model.output.out.bias = model.output.out.bias.map(|bias| bias.zeros_like());
        let images = Tensor::<4>::full([2, 3, 4, 5], 0.3, &device);
        let loss = model.loss(&batch(images), 0.0);
        assert!((loss.into_scalar::<f32>() - 4.0).abs() < 1e-5);
    }

    #[test]
    fn the_level_of_the_image_is_the_one_that_counts() {
        let device = Device::flex();
        let config = ModelConfig::tiny()
            .with_channels(1)
            .with_output(Output::categorical(4));
        let mut model = config.init_gated_pixel_cnn(&device);
        model.output.out.weight = model.output.out.weight.map(|weight| weight.zeros_like());
        // Level 2 of 0 to 3 has almost all of the probability.
        let bias = Tensor::from_floats([0.0, 0.0, 30.0, 0.0], &device);
        model.output.out.bias = model.output.out.bias.map(|_| bias);
        let bits = |value: f32| {
            let images = Tensor::<4>::full([1, 1, 2, 2], value, &device);
            model.loss(&batch(images), 0.0).into_scalar::<f32>()
        };
        assert!(bits(2.0 / 3.0) < 1e-3);
        assert!((bits(1.0 / 3.0) - 30.0 / core::f32::consts::LN_2).abs() < 1e-2);
    }

    #[test]
    fn the_loss_of_many_tau_is_the_mean_of_their_losses() {
        let device = Device::flex();
        let image = |value| Tensor::<4>::full([2, 3, 4, 4], value, &device);
        for output in [Output::gates(16, 8), Output::head(2, 16, 8)] {
            let config = ModelConfig::tiny().with_output(output).with_classes(2);
            let model = config.init_pixel_iqn(&device);
            let labels = Some(Tensor::from_data([0, 1], &device));
            let one = |tau| {
                let batch = TrainBatch {
                    tau: image(tau),
                    labels: labels.clone(),
                    ..batch(image(0.9))
                };
                model.loss(&batch, 0.002).into_scalar::<f32>()
            };
            let many = TrainBatch {
                targets: image(0.9).repeat_dim(0, 2),
                tau: Tensor::cat(vec![image(0.1), image(0.7)], 0),
                labels: labels.clone(),
                ..batch(image(0.9))
            };
            let many = model.loss(&many, 0.002).into_scalar::<f32>();
            let mean = (one(0.1) + one(0.7)) / 2.0;
            assert!((many - mean).abs() < 1e-5 * mean, "{many} {mean}");
            assert_ne!(one(0.1), one(0.7));
        }
    }
}

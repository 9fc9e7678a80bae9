use core::f64::consts::LN_2;

use burn::module::{Module, ModuleDisplay};
use burn::nn::loss::Reduction;
use burn::tensor::ExecutionError;
use burn::tensor::Tensor;
use burn::tensor::activation::log_softmax;
use burn::train::metric::{Adaptor, LossInput};
use burn::train::{InferenceStep, ItemLazy, TrainOutput, TrainStep};
use pixel_iqn_core::{AnyModel, GatedPixelCnn, PixelIqn, PixelModel, QuantileOutput};
use pixel_iqn_loss::{Censoring, QuantileHuberLossConfig};
use pixel_iqn_score::Forecaster;

use crate::config::TrainConfig;
use crate::train_batch::TrainBatch;

/// The loss of a model that predicts quantiles.
///
/// [`TrainConfig::quantile_loss`](crate::TrainConfig::quantile_loss) is the one of a training.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct QuantileLoss {
    /// The residual, in units of the images, at which the quantile Huber loss turns linear.
    pub kappa: f64,
    /// The range of the values, where the loss is that of the clamped quantile.
    pub censoring: Option<Censoring>,
    /// Whether the monotone output is trained on its exact CRPS.
    pub closed_form: bool,
}

impl QuantileLoss {
    /// What predictions are clamped to.
    fn bounds(&self) -> [f64; 2] {
        match &self.censoring {
            Some(censoring) => censoring.bounds(),
            None => [f64::NEG_INFINITY, f64::INFINITY],
        }
    }
}

impl TrainConfig {
    /// The loss of a model that predicts quantiles.
    pub fn quantile_loss(&self) -> QuantileLoss {
        QuantileLoss {
            kappa: self.kappa,
            censoring: self.censored.then(|| Censoring::new().with_leak(self.leak)),
            closed_form: self.closed_form,
        }
    }
}

/// A model that knows what it is trained to minimise, and predicts distributions to be scored.
pub trait TrainModel: PixelModel + Forecaster + ModuleDisplay + Sync + 'static {
    /// The name of the loss, for reports.
    fn loss_name(&self) -> &'static str;

    /// The mean loss of a batch, `[1]`. A model without a quantile loss does not read `loss`.
    ///
    /// # Panics
    ///
    /// Panics if labels are missing for a class-conditional model, or if a shape is wrong.
    fn loss(&self, batch: &TrainBatch, loss: &QuantileLoss) -> Tensor<1>;
}

impl TrainModel for PixelIqn {
    fn loss_name(&self) -> &'static str {
        "quantile loss"
    }

    fn loss(&self, batch: &TrainBatch, loss: &QuantileLoss) -> Tensor<1> {
        let (images, targets) = (batch.images.clone(), batch.targets.clone());
        let conditions = batch.conditions();
        if loss.closed_form && matches!(self.output, QuantileOutput::Monotone(_)) {
            // Of several tau the first targets are those of the images.
            let targets = match (targets.dims()[0], images.dims()[0]) {
                (all, batch) if all == batch => targets,
                (_, batch) => targets.narrow(0, 0, batch),
            };
            let crps = self.crps_reordered(images, targets, conditions, loss.bounds());
            let crps = crps.expect("the output is monotone");
            // Half the CRPS is the mean pinball loss, so that the losses of all outputs compare.
            return crps.mean().div_scalar(2.0);
        }
        let prediction = self.forward_reordered(images, batch.tau.clone(), conditions);
        let huber = QuantileHuberLossConfig::new()
            .with_kappa(loss.kappa)
            .with_censoring(loss.censoring)
            .init();
        huber.forward(prediction, targets, batch.tau.clone(), Reduction::Mean)
    }
}

impl TrainModel for GatedPixelCnn {
    fn loss_name(&self) -> &'static str {
        "bits per value"
    }

    fn loss(&self, batch: &TrainBatch, _: &QuantileLoss) -> Tensor<1> {
        let top = self.levels() - 1;
        let logits = self.forward_reordered(batch.images.clone(), batch.conditions());
        let logarithms = log_softmax(logits, 4);
        let levels = batch.images.clone().permute([0, 2, 3, 1]);
        let levels = levels.mul_scalar(top as f32).round().int();
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

    fn loss(&self, batch: &TrainBatch, loss: &QuantileLoss) -> Tensor<1> {
        match self {
            Self::PixelIqn(model) => model.loss(batch, loss),
            Self::GatedPixelCnn(model) => model.loss(batch, loss),
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
    #[module(skip)]
    loss: QuantileLoss,
}

impl<M: TrainModel> Objective<M> {
    /// Trains `model`, by this loss where it predicts quantiles.
    pub fn new(model: M, loss: QuantileLoss) -> Self {
        Self { model, loss }
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
        let loss = self.model.loss(&batch, &self.loss);
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
            loss: self.model.loss(&batch, &self.loss),
            part: batch.part,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use pixel_iqn_core::{ModelConfig, Order, Output};

    fn plain() -> QuantileLoss {
        TrainConfig::new(1, 1).with_censored(false).quantile_loss()
    }

    fn batch(images: Tensor<4>) -> TrainBatch {
        TrainBatch {
            targets: images.clone(),
            tau: images.clone(),
            images,
            labels: None,
            order: Order::RASTER,
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
        let loss = model.loss(&batch(images), &plain());
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
            model.loss(&batch(images), &plain()).into_scalar::<f32>()
        };
        assert!(bits(2.0 / 3.0) < 1e-3);
        assert!((bits(1.0 / 3.0) - 30.0 / core::f32::consts::LN_2).abs() < 1e-2);
    }

    #[test]
    fn the_closed_form_is_the_mean_over_all_tau() {
        let device = Device::flex();
        let output = Output::of_kind("monotone").unwrap();
        let model = PixelIqn::init_seeded(&ModelConfig::tiny().with_output(output), &device, 0);
        let image = Tensor::<4>::full([1, 3, 4, 4], 0.7, &device);
        let count = 400;
        let tau = pixel_iqn_loss::tau_midpoints(count);
        let tau = Tensor::<1>::from_data(tau.as_slice(), &device).reshape([count, 1, 1, 1]);
        let many = TrainBatch {
            targets: image.clone().repeat_dim(0, count),
            tau: tau.expand([count, 3, 4, 4]),
            ..batch(image.clone())
        };
        let loss = |batch: &TrainBatch, closed_form| {
            let config = TrainConfig::new(1, 1).with_kappa(0.0).with_leak(0.0);
            let loss = config.with_closed_form(closed_form).quantile_loss();
            model.loss(batch, &loss).into_scalar::<f32>()
        };
        let (exact, mean) = (loss(&batch(image), true), loss(&many, false));
        assert!((exact - mean).abs() < 1e-4 * exact, "{exact} {mean}");
        assert_eq!(loss(&many, true), exact);
    }

    #[test]
    fn the_loss_of_many_tau_is_the_mean_of_their_losses() {
        let device = Device::flex();
        let image = |value| Tensor::<4>::full([2, 3, 4, 4], value, &device);
        let monotone = Output::of_kind("monotone").unwrap();
        let plain = || QuantileLoss {
            closed_form: false,
            ..plain()
        };
        for output in [Output::gates(16, 8), Output::head(2, 16, 8), monotone] {
            let config = ModelConfig::tiny().with_output(output).with_classes(2);
            let model = config.init_pixel_iqn(&device);
            let labels = Some(Tensor::from_data([0, 1], &device));
            let one = |tau| {
                let batch = TrainBatch {
                    tau: image(tau),
                    labels: labels.clone(),
                    ..batch(image(0.9))
                };
                model.loss(&batch, &plain()).into_scalar::<f32>()
            };
            let many = TrainBatch {
                targets: image(0.9).repeat_dim(0, 2),
                tau: Tensor::cat(vec![image(0.1), image(0.7)], 0),
                labels: labels.clone(),
                ..batch(image(0.9))
            };
            let many = model.loss(&many, &plain()).into_scalar::<f32>();
            let mean = (one(0.1) + one(0.7)) / 2.0;
            assert!((many - mean).abs() < 1e-5 * mean, "{many} {mean}");
            assert_ne!(one(0.1), one(0.7));
        }
    }
}

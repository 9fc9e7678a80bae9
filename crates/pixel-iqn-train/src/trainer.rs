use burn::optim::{AdamConfig, GradientsParams, ModuleOptimizer};
use burn::tensor::{Device, Tensor, TensorData, Transaction};
use pixel_iqn_core::{ModelConfig, Noise};
use pixel_iqn_data::ImageBatch;
use serde::Serialize;

use crate::clip;
use crate::config::TrainConfig;
use crate::ema::Ema;
use crate::error::TrainError;
use crate::objective::TrainModel;
use crate::schedule::learning_rate;

/// Sets the noise of training apart from that of samples and of evaluation under the same seed.
const TRAINING: u64 = u64::from_be_bytes(*b"training");
const HELD_OUT: u64 = u64::from_be_bytes(*b"held out");

/// A model, its optimizer and the average of its weights, one step at a time.
///
/// Adam with gradients clipped to a global norm, the learning rate of
/// [`learning_rate`](crate::learning_rate) and one uniform tau for each value of each image. Tau
/// comes from a generator on the host, keyed by seed, step and image, so it is the same on every
/// device.
pub struct Trainer<M> {
    model: M,
    average: Ema<M>,
    optimizer: ModuleOptimizer,
    config: TrainConfig,
    device: Device,
    step: usize,
}

/// What one step did.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, counted from 0.
    pub step: usize,
    /// The mean loss of the batch before the step.
    pub loss: f32,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f32,
    /// The learning rate.
    pub learning_rate: f64,
}

impl<M: TrainModel> Trainer<M> {
    /// Creates a model with random weights on `device` and prepares to train it.
    ///
    /// Burn draws weights from one generator of the whole process, which this seeds. Where several
    /// threads draw from it at once, the weights are not reproducible.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] or [`TrainError::Model`] for a config out of range.
    ///
    /// # Panics
    ///
    /// Panics if `model` has the head of another kind of model.
    pub fn new(
        model: &ModelConfig,
        config: TrainConfig,
        device: &Device,
    ) -> Result<Self, TrainError> {
        config.validate()?;
        model.validate()?;
        let device = device.clone().autodiff();
        device.seed(config.seed);
        let model = M::init(model, &device);
        Ok(Self {
            average: Ema::new(&model, config.ema_decay),
            model,
            optimizer: AdamConfig::new().with_epsilon(1e-8).init(),
            config,
            device,
            step: 0,
        })
    }

    /// Trains on one batch.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotFinite`] where the loss or a gradient is infinite or not a number; the
    /// weights are then those before the step. [`TrainError::Device`] where the device failed.
    ///
    /// # Panics
    ///
    /// Panics if the images or labels do not fit the model.
    pub fn step(&mut self, batch: &ImageBatch) -> Result<StepReport, TrainError> {
        let [images, ..] = batch.images.dims();
        let first = (self.step * images) as u64;
        let loss = self.loss(&self.model, batch, TRAINING, first, &self.device);
        let mut gradients = GradientsParams::from_grads(loss.backward(), &self.model);
        let norm = clip::global_norm(&self.model, &gradients)
            .unwrap_or_else(|| Tensor::zeros([1], &self.device));

        // One wait for the device per step.
        let [loss, grad_norm] = read([loss, norm])?;
        let learning_rate = learning_rate(&self.config, self.step);
        if !(loss.is_finite() && grad_norm.is_finite()) {
            return Err(TrainError::NotFinite {
                step: self.step,
                loss,
                learning_rate,
            });
        }
        let factor = self.config.clip_norm / f64::from(grad_norm);
        if factor < 1.0 {
            clip::scale(&self.model, &mut gradients, factor);
        }
        let model = self.model.clone();
        self.model = self.optimizer.step(learning_rate, model, gradients);
        self.average.update(&self.model);
        let report = StepReport {
            step: self.step,
            loss,
            grad_norm,
            learning_rate,
        };
        self.step += 1;
        Ok(report)
    }

    /// The loss of a batch under the averaged weights, at tau that are the same in every call.
    ///
    /// # Errors
    ///
    /// [`TrainError::Device`] where the device failed.
    ///
    /// # Panics
    ///
    /// Panics if the images or labels do not fit the model.
    pub fn held_out_loss(&self, batch: &ImageBatch) -> Result<f32, TrainError> {
        let device = self.device.clone().inner();
        let [loss] = read([self.loss(self.averaged(), batch, HELD_OUT, 0, &device)])?;
        Ok(loss)
    }

    /// The model, without autodiff.
    pub fn model(&self) -> M {
        self.model.valid()
    }

    /// The model with the average of its weights, without autodiff.
    pub fn averaged(&self) -> &M {
        self.average.model()
    }

    fn loss(
        &self,
        model: &M,
        batch: &ImageBatch,
        purpose: u64,
        first: u64,
        device: &Device,
    ) -> Tensor<1> {
        let shape @ [images, channels, height, width] = batch.images.dims();
        let noise = Noise::new(self.config.seed ^ purpose);
        let values = channels * height * width;
        let tau: Vec<f32> = (first..first + images as u64)
            .flat_map(|image| noise.uniform(image, values))
            .collect();
        let tau = Tensor::from_data(TensorData::new(tau, shape), device);
        let labels = batch.labels.as_ref();
        let labels = labels.filter(|_| model.config().classes > 0);
        model.loss(batch.images.clone(), tau, labels, self.config.kappa)
    }
}

/// Reads scalars from their device, all at once.
fn read<const N: usize>(scalars: [Tensor<1>; N]) -> Result<[f32; N], TrainError> {
    let mut transaction = Transaction::default();
    for scalar in scalars {
        transaction = transaction.register(scalar.inner());
    }
    let data = transaction
        .try_execute()
        .map_err(|error| TrainError::Device(error.to_string()))?;
    let mut values = [0.0; N];
    for (value, data) in values.iter_mut().zip(data) {
        *value = data.iter::<f32>().next().expect("a scalar has one value");
    }
    Ok(values)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::module::Param;
    use pixel_iqn_core::{GatedPixelCnn, Head, PixelIqn};
    use pixel_iqn_data::builtin;

    fn batch(device: &Device) -> ImageBatch {
        let set = builtin::generate(0, 0..4, 8, 3).unwrap();
        set.batch(&[0, 1, 2, 3], None, device)
    }

    fn overfit<M: TrainModel>(model: &ModelConfig) -> (f32, f32) {
        let device = Device::flex();
        let config = TrainConfig::new(60, 4).with_learning_rate(1e-2);
        let mut trainer = Trainer::<M>::new(model, config, &device).unwrap();
        let batch = batch(&device);
        let first = trainer.step(&batch).unwrap();
        for _ in 1..59 {
            trainer.step(&batch).unwrap();
        }
        let last = trainer.step(&batch).unwrap();
        assert_eq!((first.step, last.step), (0, 59));
        assert!(trainer.held_out_loss(&batch).unwrap() < first.loss);
        (first.loss, last.loss)
    }

    #[test]
    fn both_models_learn_a_batch() {
        let config = ModelConfig::tiny().with_classes(10);
        let (first, last) = overfit::<PixelIqn>(&config);
        assert!(last < 0.7 * first, "{first} {last}");
        let (first, last) = overfit::<GatedPixelCnn>(&config.with_head(Head::Categorical));
        assert!(last < 0.8 * first, "{first} {last}");
    }

    #[test]
    fn a_loss_that_is_no_number_changes_nothing() {
        let device = Device::flex();
        let config = TrainConfig::new(10, 4);
        let mut trainer = Trainer::<PixelIqn>::new(&ModelConfig::tiny(), config, &device).unwrap();
        let good = batch(&device);
        trainer.step(&good).unwrap();
        let hidden = |trainer: &Trainer<PixelIqn>| trainer.model().trunk.hidden.bias.to_data();
        let before = hidden(&trainer);
        let bad = ImageBatch {
            images: good.images.clone() * f32::NAN,
            ..good
        };

        let error = trainer.step(&bad).unwrap_err();

        assert!(
            matches!(error, TrainError::NotFinite { step: 1, loss, .. } if loss.is_nan()),
            "{error}"
        );
        assert_eq!(hidden(&trainer), before);
    }

    #[test]
    fn clipping_bounds_the_gradient_and_is_reported_unclipped() {
        // A step of Adam does not depend on the scale of the gradients, unless epsilon rules:
        // a tiny bound must leave the weights where they are.
        let device = Device::flex();
        let config = TrainConfig::new(10, 4)
            .with_warmup(0.0)
            .with_learning_rate(1e-3)
            .with_clip_norm(1e-20);
        let mut trainer = Trainer::<PixelIqn>::new(&ModelConfig::tiny(), config, &device).unwrap();
        let bias = |trainer: &Trainer<PixelIqn>| -> Vec<f32> {
            let bias: Param<_> = trainer.model().trunk.hidden.bias;
            bias.to_data().try_to_vec().unwrap()
        };
        let before = bias(&trainer);

        let report = trainer.step(&batch(&device)).unwrap();

        assert!(report.grad_norm > 1e-6);
        for (after, before) in bias(&trainer).iter().zip(before) {
            assert!((after - before).abs() < 1e-9);
        }
    }

    #[test]
    fn a_config_out_of_range_is_an_error() {
        let device = Device::flex();
        let new = |model: &ModelConfig, config| Trainer::<PixelIqn>::new(model, config, &device);
        let error = new(&ModelConfig::tiny(), TrainConfig::new(0, 1)).err();
        assert!(matches!(
            error,
            Some(TrainError::Config { name: "steps", .. })
        ));
        let error = new(&ModelConfig::tiny().with_layers(0), TrainConfig::new(1, 1)).err();
        assert!(matches!(error, Some(TrainError::Model(_))));
    }
}

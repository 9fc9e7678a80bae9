use core::ops::Range;
use core::time::Duration;

use burn::optim::{GradientsAccumulator, GradientsParams};
use burn::tensor::{Device, Tensor, Transaction};
use burn::train::TrainStep;
use pixel_iqn_core::{Lowering, ModelConfig, weights};
use pixel_iqn_data::ImageBatch;

use crate::clip::global_norm;
use crate::config::{Precision, TrainConfig};
use crate::counters::Counters;
use crate::ema::Ema;
use crate::error::TrainError;
use crate::metrics::StepReport;
use crate::objective::{Objective, StepOutput, TrainModel};
use crate::optimizer::Optimizer;
use crate::schedule::learning_rate;
use crate::state;
use crate::step_batches::StepBatches;
use crate::step_threads::StepThreads;
use crate::workers::Workers;

/// Bad steps in a row after which [`TrainConfig::skip_bad_steps`] gives up: our choice.
const BAD_STEPS: usize = 100;

/// A trainer has a model, its optimizer and the average of its weights, and makes one step at a
/// time.
///
/// It trains by Adam or AdamW with gradients clipped to a global norm, the learning rate of
/// [`learning_rate`](crate::learning_rate), and uniform tau for each value of each image. Tau
/// comes from a generator on the host, keyed by seed and image, so it is the same on every
/// device, and whether a batch is cut into parts or not.
pub struct Trainer<M: TrainModel> {
    objective: Objective<M>,
    average: Ema<M>,
    optimizer: Optimizer,
    config: TrainConfig,
    device: Device,
    workers: Option<Workers<M>>,
    threads: StepThreads,
    step: usize,
    bad_in_a_row: usize,
}

/// Begins the average of the weights of a model, whose products are in single precision.
fn average_of<M: TrainModel>(model: &M, config: &TrainConfig) -> Ema<M> {
    let mut average = Ema::new(model, config.ema_decay);
    if config.precision != Precision::Float32 {
        average.model_mut().set_lowering(Lowering::Fastest);
    }
    average
}

impl<M: TrainModel> Trainer<M> {
    /// Creates a model with random weights on `device` and prepares to train it.
    ///
    /// The weights follow from the seed of the config alone, on every device and in every thread.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] or [`TrainError::Model`] for a config out of range, and
    /// [`TrainError::NoBfloat16`] where a device does not have its precision.
    ///
    /// # Panics
    ///
    /// Panics if `M` is not the model of the config's output.
    pub fn new(
        model: &ModelConfig,
        config: TrainConfig,
        device: &Device,
    ) -> Result<Self, TrainError> {
        Self::on_devices(model, config, core::slice::from_ref(device))
    }

    /// Prepares a training on several devices: each takes an equal fraction of every batch, and the
    /// first one averages the gradients and makes the step.
    ///
    /// A device may be given twice. Every image has the tau that it has on one device, so
    /// the losses are the same to rounding.
    ///
    /// # Errors
    ///
    /// The errors of [`new`](Self::new); also [`TrainError::Config`] for a batch that is too small to be cut.
    ///
    /// # Panics
    ///
    /// Panics if `devices` is empty, or `M` is not the model of the config's output.
    pub fn on_devices(
        model: &ModelConfig,
        config: TrainConfig,
        devices: &[Device],
    ) -> Result<Self, TrainError> {
        config.validate()?;
        model.validate()?;
        if config.accumulation * devices.len() > config.batch {
            return Err(TrainError::Config {
                name: "batch",
                range: "at least `accumulation` times the number of devices",
            });
        }
        let devices: Vec<Device> = devices.iter().map(|d| d.clone().autodiff()).collect();
        let device = devices[0].clone();
        let mut model = M::init_seeded(model, &device, config.seed);
        if config.precision == Precision::Bfloat16 {
            if !devices.iter().all(Lowering::has_bfloat16) {
                return Err(TrainError::NoBfloat16);
            }
            model.set_lowering(Lowering::Bfloat16);
        }
        Ok(Self {
            average: average_of(&model, &config),
            optimizer: Optimizer::new(&model, &config),
            objective: Objective::new(model, config.quantile_loss()),
            workers: (devices.len() > 1).then(|| Workers::new(devices)),
            threads: StepThreads::new(&device),
            config,
            device,
            step: 0,
            bad_in_a_row: 0,
        })
    }

    /// Replaces the random weights of a new training by those in the bytes of a safetensors file, as
    /// [`begin_from_safetensors`](weights::begin_from_safetensors) reads them, and returns what the
    /// user should know.
    ///
    /// # Errors
    ///
    /// [`WeightsError`](weights::WeightsError) where the weights are of another model.
    pub fn begin_from(&mut self, bytes: &[u8]) -> Result<Vec<String>, weights::WeightsError> {
        let model = &mut self.objective.model;
        let notices = weights::begin_from_safetensors(model, bytes)?;
        self.average = average_of(model, &self.config);
        Ok(notices)
    }

    /// Chooses how the convolutions of the model become operations of the backend.
    pub fn set_lowering(&mut self, lowering: Lowering) {
        self.objective.model.set_lowering(lowering);
        self.average.model_mut().set_lowering(lowering);
    }

    /// Names the devices of a training on several, in their order, for errors, and limits the time that
    /// each may take for its part of a step. Without this they are numbered and not limited.
    ///
    /// A limit is for devices of other machines, which may stop to answer: at first a part takes as
    /// long as its kernels take to compile.
    pub fn watch_devices(&mut self, names: Vec<String>, limit: Option<Duration>) {
        if let Some(workers) = &mut self.workers {
            workers.watch(names, limit);
        }
    }

    /// Trains on one batch.
    ///
    /// # Errors
    ///
    /// [`TrainError::NotFinite`] where the loss or a gradient is infinite or not a number and the
    /// config does not skip such steps; the weights are then those before the step.
    /// [`TrainError::Device`] where a device failed.
    ///
    /// # Panics
    ///
    /// Panics if the images or labels do not fit the model.
    pub fn step(&mut self, batch: &ImageBatch) -> Result<StepReport, TrainError> {
        let threads = self.threads.clone();
        threads.run(|| self.step_here(batch))
    }

    fn step_here(&mut self, batch: &ImageBatch) -> Result<StepReport, TrainError> {
        let (loss, gradients) = self.gradients(batch)?;
        let model = &self.objective.model;
        let norm =
            global_norm(model, &gradients).unwrap_or_else(|| Tensor::zeros([1], &self.device));

        // One wait for the device per step.
        let [loss, grad_norm] = read([loss, norm])?;
        let step = self.step;
        let learning_rate = learning_rate(&self.config, step);
        let skipped = !(loss.is_finite() && grad_norm.is_finite());
        if skipped {
            self.bad_in_a_row += 1;
            if !self.config.skip_bad_steps || self.bad_in_a_row >= BAD_STEPS {
                return Err(TrainError::NotFinite {
                    step,
                    loss,
                    grad_norm,
                    learning_rate,
                });
            }
        } else {
            self.bad_in_a_row = 0;
            // A norm of zero clips nothing.
            let scale = (self.config.clip_norm / f64::from(grad_norm)).min(1.0);
            let (model, rate) = (model.clone(), learning_rate);
            self.objective.model = self.optimizer.step(rate, model, gradients, scale);
            self.average.update(&self.objective.model);
        }
        self.step += 1;
        Ok(StepReport {
            step,
            loss,
            grad_norm,
            learning_rate,
            skipped,
        })
    }

    /// The mean loss of a batch and its gradients, summed over the parts.
    pub(crate) fn gradients(
        &self,
        batch: &ImageBatch,
    ) -> Result<(Tensor<1>, GradientsParams), TrainError> {
        let [images, ..] = batch.images.dims();
        let first = (self.step * images) as u64;
        let batches = StepBatches::new(&self.config, self.objective.model.config());
        let devices = self.workers.as_ref().map_or(1, Workers::count);
        let parts = self.config.accumulation * devices;
        let part_batch = |part: usize| {
            let range = share(images, parts, part);
            batches.part(batch, first, range, part, &self.device)
        };
        if parts == 1 {
            let output = self.objective.step(part_batch(0));
            return Ok((output.item.loss, output.grads));
        }
        let mut sum = GradientsAccumulator::new();
        let mut losses = Vec::with_capacity(parts);
        let mut add = |output: StepOutput, gradients| {
            sum.accumulate(&self.objective.model, gradients);
            let weight = share(images, parts, output.part).len() as f64 / images as f64;
            losses.push(output.loss.mul_scalar(weight));
        };
        for start in (0..parts).step_by(devices) {
            match &self.workers {
                None => {
                    let output = self.objective.step(part_batch(start));
                    add(output.item, output.grads);
                }
                Some(workers) => {
                    for (output, gradients) in workers.step(&self.objective, start, part_batch)? {
                        add(output, gradients);
                    }
                }
            }
        }
        Ok((Tensor::cat(losses, 0).sum(), sum.grads()))
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
        let model = self.averaged();
        let batches = StepBatches::held_out(&self.config, model.config());
        let batch = batches.whole(batch, 0, &self.device());
        let [loss] = read([model.loss(&batch, &self.config.quantile_loss())])?;
        Ok(loss)
    }

    /// The device of the averaged weights, and of the batches that [`step`](Self::step) takes.
    pub fn device(&self) -> Device {
        self.device.clone().inner()
    }

    /// The model, without autodiff.
    pub fn model(&self) -> M {
        self.objective.model.valid()
    }

    /// The model with the average of its weights, without autodiff.
    pub fn averaged(&self) -> &M {
        self.average.model()
    }

    /// The steps done.
    pub fn steps_done(&self) -> usize {
        self.step
    }

    /// Returns all that the rest of the training depends on: counters, and a safetensors file of the
    /// weights (`model.*`), their average (`average.*`) and the moments of the optimizer
    /// (`moment_1.*`, `moment_2.*`).
    ///
    /// # Errors
    ///
    /// [`TrainError::State`] where the tensors cannot be read from the device.
    pub fn state(&self) -> Result<(Counters, Vec<u8>), TrainError> {
        let (first, second, optimizer_steps) = self.optimizer.state(&self.objective.model);
        let counters = Counters {
            step: self.step,
            optimizer_steps,
            average_updates: self.average.updates(),
            bad_in_a_row: self.bad_in_a_row,
        };
        let tensors = state::join([
            ("model", weights::to_safetensors(&self.model())?),
            ("average", weights::to_safetensors(self.averaged())?),
            ("moment_1", weights::to_safetensors(&first)?),
            ("moment_2", weights::to_safetensors(&second)?),
        ]);
        let tensors = tensors.map_err(TrainError::tensors)?;
        Ok((counters, tensors))
    }

    /// Goes on from a [`state`](Self::state) of a trainer with the same configs: what follows is
    /// what followed there, bit for bit on the CPU.
    ///
    /// # Errors
    ///
    /// [`TrainError::State`] and [`TrainError::Tensors`] where the tensors are not those of this
    /// model; the trainer is then as it was.
    pub fn restore(&mut self, counters: Counters, tensors: &[u8]) -> Result<(), TrainError> {
        let mut model = self.objective.model.clone();
        let mut average = self.averaged().clone();
        let (mut first, mut second, _) = self.optimizer.state(&model);
        let names = ["model", "average", "moment_1", "moment_2"];
        let parts = state::split(tensors, names).map_err(TrainError::tensors)?;
        let models = [&mut model, &mut average, &mut first, &mut second];
        for (model, bytes) in models.into_iter().zip(parts) {
            weights::load_safetensors(model, &bytes)?;
        }
        self.objective.model = model;
        self.average.restore(average, counters.average_updates);
        let time = counters.optimizer_steps;
        self.optimizer.restore(&first, &second, time);
        self.step = counters.step;
        self.bad_in_a_row = counters.bad_in_a_row;
        Ok(())
    }
}

/// The images of part `part` of `parts`.
fn share(images: usize, parts: usize, part: usize) -> Range<usize> {
    images * part / parts..images * (part + 1) / parts
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
    use pixel_iqn_core::{GatedPixelCnn, Output, PixelIqn};
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
        let (first, last) = overfit::<GatedPixelCnn>(&config.with_output(Output::categorical(16)));
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
    fn a_skipped_step_leaves_the_weights_and_training_goes_on() {
        let device = Device::flex();
        let config = TrainConfig::new(10, 4).with_skip_bad_steps(true);
        let mut trainer = Trainer::<PixelIqn>::new(&ModelConfig::tiny(), config, &device).unwrap();
        let good = batch(&device);
        trainer.step(&good).unwrap();
        let (_, before) = trainer.state().unwrap();
        let bad = ImageBatch {
            images: good.images.clone() * f32::NAN,
            ..good.clone()
        };
        let report = trainer.step(&bad).unwrap();
        assert!(report.skipped && report.loss.is_nan());
        let (counters, after) = trainer.state().unwrap();
        assert!(after == before);
        assert_eq!((counters.step, counters.optimizer_steps), (2, 1));
        assert_eq!(counters.bad_in_a_row, 1);

        let report = trainer.step(&good).unwrap();
        assert!(!report.skipped && report.loss.is_finite());
        let (counters, after) = trainer.state().unwrap();
        assert!(after != before);
        assert_eq!((counters.optimizer_steps, counters.bad_in_a_row), (2, 0));
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

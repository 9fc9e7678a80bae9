use burn::data::dataloader::{DataLoaderIterator, Progress};
use burn::data::dataset::DatasetError;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn::train::train::MultiDevicesTrainStep;

use crate::error::TrainError;
use crate::objective::{Objective, StepOutput, TrainModel};
use crate::train_batch::TrainBatch;

/// One thread for each device of a trainer: Burn's data parallelism.
pub(crate) struct Workers<M: TrainModel> {
    devices: Vec<Device>,
    threads: MultiDevicesTrainStep<Objective<M>>,
}

impl<M: TrainModel> Workers<M> {
    /// Starts a thread for each device, of which the first one adds the gradients up.
    pub fn new(devices: Vec<Device>) -> Self {
        Self {
            threads: MultiDevicesTrainStep::new(&devices),
            devices,
        }
    }

    /// The number of devices.
    pub fn count(&self) -> usize {
        self.devices.len()
    }

    /// Runs the parts `start`, `start + 1`, ..., one on each device, and returns their outputs and
    /// gradients: on the first device and in the order of the parts, so that their sum is
    /// reproducible.
    pub fn step(
        &self,
        objective: &Objective<M>,
        start: usize,
        batch: impl Fn(usize) -> TrainBatch,
    ) -> Result<Vec<(StepOutput, GradientsParams)>, TrainError> {
        let mut loaders: Vec<Box<dyn DataLoaderIterator<TrainBatch>>> = Vec::new();
        for (part, device) in (start..).zip(&self.devices) {
            loaders.push(Box::new(Once(Some(batch(part).moved_to(device)))));
        }
        let (outputs, _) = self
            .threads
            .step(&mut loaders, objective)
            .map_err(|error| TrainError::Device(error.to_string()))?;
        let main = &self.devices[0];
        let mut outputs: Vec<_> = outputs
            .into_iter()
            .map(|output| {
                let mut item = output.output.item;
                item.loss = item.loss.to_device(&main.clone().inner());
                let gradients = output.output.grads.to_device(main, objective);
                (item, gradients)
            })
            .collect();
        outputs.sort_by_key(|(output, _)| output.part);
        Ok(outputs)
    }
}

/// A data loader of one batch.
struct Once(Option<TrainBatch>);

impl Iterator for Once {
    type Item = Result<TrainBatch, DatasetError>;

    fn next(&mut self) -> Option<Self::Item> {
        self.0.take().map(Ok)
    }
}

impl DataLoaderIterator<TrainBatch> for Once {
    fn progress(&self) -> Progress {
        Progress::new(1, 1, None)
    }
}

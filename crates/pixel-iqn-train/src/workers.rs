use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, Receiver, Sender};
use std::thread;
use std::time::Instant;

use burn::module::Module;
use burn::optim::GradientsParams;
use burn::tensor::Device;
use burn::train::TrainStep;

use crate::answer::{lost, panic_message, silent};
use crate::error::TrainError;
use crate::home;
use crate::objective::{Objective, StepOutput, TrainModel};
use crate::train_batch::TrainBatch;

/// What a thread made of a part of a step, and the index of its device.
type Answer = (usize, Result<(StepOutput, GradientsParams), String>);

/// One thread for each device of a trainer.
///
/// Burn's `MultiDevicesTrainStep` waits for its threads without a limit, and leaves what they computed
/// on their devices, so that a server that is lost afterwards ends the caller with a panic.
pub(crate) struct Workers<M: TrainModel> {
    threads: Vec<Sender<Task<M>>>,
    /// The name of each device in errors.
    names: Vec<String>,
    /// How long a part of a step may take.
    limit: Option<Duration>,
}

/// A part of a step, with the channel that takes the answer. Each round has a channel of its own, so
/// that an answer that comes too late reaches nobody.
struct Task<M: TrainModel> {
    objective: Objective<M>,
    batch: TrainBatch,
    answer: Sender<Answer>,
}

impl<M: TrainModel> Workers<M> {
    /// Starts a thread for each device, of which the first one is where gradients are added up.
    pub fn new(devices: Vec<Device>) -> Self {
        let home = devices[0].clone();
        let names = (0..devices.len()).map(|index| format!("number {index}"));
        Self {
            names: names.collect(),
            limit: None,
            threads: (devices.into_iter().enumerate())
                .map(|(index, device)| {
                    let (sender, tasks) = mpsc::channel();
                    let home = home.clone();
                    thread::spawn(move || work(index, &device, &home, &tasks));
                    sender
                })
                .collect(),
        }
    }

    /// Names the devices in errors, and limits the time of a part of a step.
    pub fn watch(&mut self, names: Vec<String>, limit: Option<Duration>) {
        self.names = names;
        self.limit = limit;
    }

    /// The number of devices.
    pub fn count(&self) -> usize {
        self.threads.len()
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
        let (sender, answers) = mpsc::channel();
        for (index, thread) in self.threads.iter().enumerate() {
            let task = Task {
                objective: objective.clone(),
                batch: batch(start + index),
                answer: sender.clone(),
            };
            let sent = thread.send(task);
            sent.map_err(|_| self.lost(index, "its thread has ended"))?;
        }
        drop(sender);
        let mut parts: Vec<_> = self.threads.iter().map(|_| None).collect();
        let end = self.limit.map(|limit| Instant::now() + limit);
        while let Some(missing) = parts.iter().position(Option::is_none) {
            let answer = match end {
                None => answers.recv().ok(),
                Some(end) => answers
                    .recv_timeout(end.saturating_duration_since(Instant::now()))
                    .ok(),
            };
            match (answer, self.limit) {
                (Some((index, Ok(part))), _) => parts[index] = Some(part),
                (Some((index, Err(reason))), _) => return Err(self.lost(index, &reason)),
                (None, Some(limit)) => return Err(silent(self.name(missing), limit)),
                (None, None) => return Err(self.lost(missing, "its thread has ended")),
            }
        }
        Ok(parts.into_iter().flatten().collect())
    }

    fn name(&self, index: usize) -> &str {
        self.names.get(index).map_or("of a thread", String::as_str)
    }

    fn lost(&self, index: usize, reason: &str) -> TrainError {
        lost(self.name(index), reason)
    }
}

/// Answers tasks until the trainer is gone.
fn work<M: TrainModel>(index: usize, device: &Device, home: &Device, tasks: &Receiver<Task<M>>) {
    for task in tasks {
        let Task {
            objective,
            batch,
            answer,
        } = task;
        let computed = catch_unwind(AssertUnwindSafe(|| compute(objective, batch, device, home)));
        let computed = computed.unwrap_or_else(|panic| Err(panic_message(&*panic)));
        // Where nobody listens any more, the step failed on another device.
        let _ = answer.send((index, computed));
    }
}

/// Computes a part of a step on a device, and takes the results home.
fn compute<M: TrainModel>(
    objective: Objective<M>,
    batch: TrainBatch,
    device: &Device,
    home: &Device,
) -> Result<(StepOutput, GradientsParams), String> {
    let objective = objective.fork(device);
    let output = TrainStep::step(&objective, batch.moved_to(device));
    if device == home {
        return Ok((output.item, output.grads));
    }
    let home = home.clone().inner();
    let StepOutput { loss, part } = output.item;
    let taken = home::take(&objective, loss, output.grads, &home);
    let (loss, gradients) = taken.map_err(|error| error.to_string())?;
    Ok((StepOutput { loss, part }, gradients))
}

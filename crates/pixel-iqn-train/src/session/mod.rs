mod board;
mod context;
mod curve;
mod dashboard;
mod displayed_metric;
mod early_stopping;
mod end;
mod grids;
mod interval;
mod log;
mod measurement;
mod notices;
mod on_step;
mod open;
mod outputs;
mod part;
mod saving;
mod timer;
mod train;

use core::time::Duration;
use std::fs::File;
use std::sync::Arc;

use burn::tensor::Device;
use burn::train::Interrupter;
use pixel_iqn_core::Sampler;
use pixel_iqn_data::ImageDataset;

use crate::display::Display;
use crate::metrics::Metrics;
use crate::objective::TrainModel;
#[cfg(doc)]
use crate::trainer::Trainer;

use context::Context;
pub use end::{End, Finished};
use interval::Interval;
use notices::Notices;
pub use open::ResumeFrom;
use outputs::Outputs;
use part::SessionPart;
use timer::Timer;

/// A training run in a [`RunDir`](crate::RunDir): its steps, measurements on held-out images,
/// checkpoints and pictures, and what it takes to go on after it was killed as if nothing had
/// happened.
///
/// Burn's own training strategies count epochs, keep no average of the weights, and have neither a
/// norm over all gradients nor a state that resumes inside an epoch. A session has these, and drives
/// Burn's dashboard itself.
pub struct Session<M: TrainModel> {
    context: Context<M>,
    train: Arc<ImageDataset>,
    held_out: Arc<ImageDataset>,
    outputs: Outputs<M>,
    /// Held until the session is dropped.
    _lock: File,
}

impl<M: TrainModel> Session<M> {
    /// Shows the training in this way; without it, not at all.
    pub fn with_display(mut self, display: Display) -> Self {
        self.outputs.display = display;
        self
    }

    /// Stops when `interrupter` is [stopped](Interrupter::stop): see
    /// [`stop_on_signals`](crate::stop_on_signals).
    pub fn with_interrupter(mut self, interrupter: Interrupter) -> Self {
        self.context.interrupter = interrupter;
        self
    }

    /// Draws image grids of samples with the sampler that `sampler` makes of the averaged model;
    /// without it there are no grids.
    pub fn with_sampler(
        mut self,
        sampler: impl Fn(M, &Device) -> Box<dyn Sampler> + Send + 'static,
    ) -> Self {
        self.outputs.sampler = Some(Box::new(sampler));
        self
    }

    /// Calls `on_step` after each step.
    pub fn on_step(mut self, on_step: impl FnMut(&Metrics) + Send + 'static) -> Self {
        self.outputs.on_step = Box::new(on_step);
        self
    }

    /// Calls `on_notice` with a line of text for what a user should know: a checkpoint that was
    /// left out, a step that was skipped. Under the dashboard they come when it has ended.
    pub fn on_notice(mut self, on_notice: impl FnMut(&str) + Send + 'static) -> Self {
        self.context.notices.listen(Box::new(on_notice));
        self
    }

    /// Names the devices in errors, and limits their time: see [`Trainer::watch_devices`].
    pub fn watch_devices(mut self, names: Vec<String>, limit: Option<Duration>) -> Self {
        self.context.trainer.watch_devices(names, limit);
        self
    }

    /// The number of steps done so far.
    pub fn steps_done(&self) -> usize {
        self.context.steps_done()
    }
}

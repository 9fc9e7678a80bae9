use std::time::Instant;

use burn::train::Interrupter;

use super::{Interval, Notices};
use crate::best::Best;
use crate::history::History;
use crate::objective::TrainModel;
use crate::run_config::RunConfig;
use crate::run_dir::RunDir;
use crate::trainer::Trainer;

/// What the parts of a session share.
pub(super) struct Context<M: TrainModel> {
    pub run: RunDir,
    pub config: RunConfig,
    pub trainer: Trainer<M>,
    /// The losses up to and with the last step.
    pub history: History,
    /// The lowest held-out loss so far.
    pub best: Option<Best>,
    pub interrupter: Interrupter,
    pub notices: Notices,
    /// Seconds of training in the processes before this one.
    pub seconds_before: f64,
    /// When this process began to train.
    pub started: Instant,
}

impl<M: TrainModel> Context<M> {
    pub fn steps_done(&self) -> usize {
        self.trainer.steps_done()
    }

    /// Seconds of training, over all processes that worked on the run.
    pub fn seconds(&self) -> f64 {
        self.seconds_before + self.started.elapsed().as_secs_f64()
    }

    /// How the steps are divided by measurements.
    pub fn interval(&self) -> Interval {
        Interval::new(self.config.train.steps, self.config.report.held_out_every)
    }
}

use std::cell::RefCell;
use std::rc::Rc;

use super::{Context, SessionPart};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::metrics_log::MetricsLog;
use crate::objective::TrainModel;

/// Writes a line of `metrics.jsonl` after each step. Clones write into the same file.
#[derive(Clone)]
pub(super) struct Log(Rc<RefCell<MetricsLog>>);

impl Log {
    pub fn new(log: MetricsLog) -> Self {
        Self(Rc::new(RefCell::new(log)))
    }

    /// Waits until the lines are on the disk.
    pub fn sync(&self) -> Result<(), RunError> {
        self.0.borrow().sync()
    }
}

impl<M: TrainModel> SessionPart<M> for Log {
    fn after_step(&mut self, _: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        self.0.borrow_mut().write(metrics)
    }
}

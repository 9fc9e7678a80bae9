use std::cell::RefCell;
use std::path::Path;
use std::rc::Rc;

use super::{Context, End, SessionPart};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;
use crate::tensorboard::TensorBoard;

/// Writes the event file of TensorBoard. Clones write into the same file.
#[derive(Clone)]
pub(super) struct Board(Rc<RefCell<TensorBoard>>);

impl Board {
    /// Starts an event file in `folder` for the steps from `step` on.
    pub fn create(folder: &Path, step: usize) -> Result<Self, RunError> {
        let board = TensorBoard::create(folder, step)?;
        Ok(Self(Rc::new(RefCell::new(board))))
    }

    /// Adds an image grid, as the bytes of a PNG file, and hands all events to the operating system.
    pub fn add_grid(&self, step: usize, png: Vec<u8>) -> Result<(), RunError> {
        self.0.borrow_mut().png(step, "samples", png)
    }

    /// Hands all events to the operating system.
    pub fn flush(&self) -> Result<(), RunError> {
        self.0.borrow_mut().flush()
    }
}

impl<M: TrainModel> SessionPart<M> for Board {
    fn after_step(&mut self, _: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        self.0.borrow_mut().metrics(metrics)
    }

    fn at_end(&mut self, _: &mut Context<M>, _: End) -> Result<(), RunError> {
        self.flush()
    }
}

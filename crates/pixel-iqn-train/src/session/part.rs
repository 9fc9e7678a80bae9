use super::{Context, End};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;

/// One thing that a session does besides its steps.
///
/// The session calls each method of all parts in the order in which
/// [`Session::train`](super::Session::train) lists them. The first error ends the run.
pub(super) trait SessionPart<M: TrainModel> {
    /// Called before each step; returns how the run ends, if it is to end here.
    fn before_step(&mut self, _context: &mut Context<M>) -> Result<Option<End>, RunError> {
        Ok(None)
    }

    /// Called after each step, and after the measurement on held-out images that is due with it:
    /// its scores are in `metrics`.
    fn after_step(
        &mut self,
        _context: &mut Context<M>,
        _metrics: &Metrics,
    ) -> Result<(), RunError> {
        Ok(())
    }

    /// Called once when the run ends, unless it ends with an error.
    fn at_end(&mut self, _context: &mut Context<M>, _end: End) -> Result<(), RunError> {
        Ok(())
    }
}

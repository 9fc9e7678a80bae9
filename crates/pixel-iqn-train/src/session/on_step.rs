use super::{Context, SessionPart};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;

/// Calls the function of the user after each step.
pub(super) struct OnStep(pub Box<dyn FnMut(&Metrics) + Send>);

impl<M: TrainModel> SessionPart<M> for OnStep {
    fn after_step(&mut self, _: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        (self.0)(metrics);
        Ok(())
    }
}

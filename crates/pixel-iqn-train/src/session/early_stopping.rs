use super::{Context, End, SessionPart};
use crate::best::Best;
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;

/// Keeps the lowest held-out loss of the run, and ends the run where it stays the lowest for as
/// many measurements as the config says.
pub(super) struct EarlyStopping;

impl<M: TrainModel> SessionPart<M> for EarlyStopping {
    fn before_step(&mut self, context: &mut Context<M>) -> Result<Option<End>, RunError> {
        let patience = context.config.report.patience;
        if !is_over(context.best, patience) {
            return Ok(None);
        }
        context.notices.push(format!(
            "the held-out loss did not get better in {patience} measurements: the end"
        ));
        Ok(Some(End::Early))
    }

    fn after_step(&mut self, context: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        if let Some(held_out) = metrics.held_out {
            context.best = Best::after(context.best, context.steps_done(), held_out.loss);
        }
        Ok(())
    }
}

/// Whether the patience is over; never where it is 0.
fn is_over(best: Option<Best>, patience: usize) -> bool {
    patience > 0 && best.is_some_and(|best| best.worse_since >= patience)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn patience_counts_measurements_without_a_lower_loss() {
        let mut best = None;
        let mut over = Vec::new();
        for (step, loss) in [2.0, 1.0, 1.5, 1.0, f32::NAN].into_iter().enumerate() {
            best = Best::after(best, step, loss);
            over.push(is_over(best, 2));
        }
        assert_eq!(over, [false, false, false, true, true]);
        assert!(!is_over(best, 0) && !is_over(None, 1));
    }
}

use super::{Context, End, SessionPart, Timer};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;
use crate::plot;

/// Minutes from one `curve.png` to the next.
const MINUTES: f64 = 2.0;

/// Draws `curve.png`: every two minutes, and when the run ends.
pub(super) struct Curve {
    timer: Timer,
}

impl Curve {
    pub fn new() -> Self {
        Self {
            timer: Timer::new(MINUTES),
        }
    }
}

impl<M: TrainModel> SessionPart<M> for Curve {
    fn after_step(&mut self, context: &mut Context<M>, _: &Metrics) -> Result<(), RunError> {
        if self.timer.is_due() {
            draw(context)?;
            self.timer.reset();
        }
        Ok(())
    }

    fn at_end(&mut self, context: &mut Context<M>, _: End) -> Result<(), RunError> {
        draw(context)
    }
}

fn draw<M: TrainModel>(context: &Context<M>) -> Result<(), RunError> {
    let history = &context.history;
    if history.losses.iter().all(|loss| !loss.is_finite()) {
        return Ok(());
    }
    plot::save_curve(
        &context.run.file("curve.png"),
        context.trainer.averaged().loss_name(),
        &history.losses,
        &history.held_out_losses(),
    )
}

use super::board::Board;
use super::log::Log;
use super::{Context, End, SessionPart, Timer};
use crate::checkpoints::Checkpoints;
use crate::error::RunError;
use crate::manifest::Manifest;
use crate::metrics::Metrics;
use crate::objective::TrainModel;
use crate::run_dir::Weights;

/// Writes checkpoints, and with each the weights for those who want to sample already: as often as
/// the config says, where the held-out loss is the lowest so far, and when the run ends.
pub(super) struct Saving {
    checkpoints: Checkpoints,
    timer: Timer,
    every_steps: usize,
    /// The steps done at the last checkpoint.
    saved: Option<usize>,
    log: Log,
    board: Option<Board>,
}

impl Saving {
    /// `log` and `board` are written to the disk before each checkpoint, which promises what they
    /// hold of its steps.
    pub fn new<M: TrainModel>(
        context: &Context<M>,
        checkpoints: Checkpoints,
        log: Log,
        board: Option<Board>,
    ) -> Self {
        let resumed = context.steps_done();
        Self {
            checkpoints,
            timer: Timer::new(context.config.checkpoint.every_minutes),
            every_steps: context.config.checkpoint.every_steps,
            saved: (resumed > 0).then_some(resumed),
            log,
            board,
        }
    }

    fn is_due<M: TrainModel>(&self, context: &Context<M>) -> bool {
        let done = context.steps_done();
        context.best.is_some_and(|best| best.step == done)
            || self.timer.is_due()
            || self.every_steps > 0 && done.is_multiple_of(self.every_steps)
    }

    fn save<M: TrainModel>(&mut self, context: &Context<M>) -> Result<(), RunError> {
        if let Some(board) = &self.board {
            board.flush()?;
        }
        self.log.sync()?;
        let (counters, tensors) = context.trainer.state()?;
        let manifest = Manifest {
            held_out: context.history.held_out_after(counters.step),
            best: context.best,
            seconds: context.seconds(),
            ..Manifest::new(&context.config, counters)
        };
        self.checkpoints.save(&manifest, &tensors)?;
        save_weights(context)?;
        self.saved = Some(counters.step);
        self.timer.reset();
        Ok(())
    }
}

fn save_weights<M: TrainModel>(context: &Context<M>) -> Result<(), RunError> {
    let (run, trainer) = (&context.run, &context.trainer);
    run.save_weights(Weights::Raw, &trainer.model())?;
    run.save_weights(Weights::Averaged, trainer.averaged())
}

impl<M: TrainModel> SessionPart<M> for Saving {
    fn after_step(&mut self, context: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        // Weights whose loss is not a number are not worth the place of a checkpoint.
        if self.is_due(context) && !metrics.report.skipped {
            self.save(context)?;
        }
        Ok(())
    }

    fn at_end(&mut self, context: &mut Context<M>, _: End) -> Result<(), RunError> {
        match self.saved == Some(context.steps_done()) {
            false => self.save(context),
            // A process that was killed after the checkpoint may have left the weights of an earlier one.
            true => save_weights(context),
        }
    }
}

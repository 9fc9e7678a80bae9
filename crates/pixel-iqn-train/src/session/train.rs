use std::time::Instant;

use pixel_iqn_data::{ImageBatch, Loader, LoaderConfig};

use super::measurement::Measurement;
use super::{Context, End, Finished, Session, SessionPart};
use crate::error::RunError;
use crate::metrics::{Metrics, StepReport};
use crate::objective::TrainModel;
use crate::signals::StepsAtStake;

impl<M: TrainModel> Session<M> {
    /// Trains until the last step, an interrupt or an early end, and writes a last checkpoint, the
    /// weights and `curve.png`.
    ///
    /// # Errors
    ///
    /// [`RunError::Train`] where the loss is no longer a number or the device fails,
    /// [`RunError::Io`], [`RunError::Weights`], [`RunError::Plot`] and [`RunError::Data`] where a
    /// file cannot be written, and [`RunError::Sample`] where the sampler fails. The last
    /// checkpoint is then as it was.
    pub fn train(self) -> Result<Finished<M>, RunError> {
        let mut context = self.context;
        context.notices.release();
        if self.outputs.display.takes_terminal() {
            context.notices.hold();
        }
        let mut parts = self.outputs.into_parts(&context)?;
        let batches = LoaderConfig::new(context.config.train.batch)
            .with_seed(context.config.train.seed)
            .with_flip(context.config.train.flip);
        let device = context.trainer.device();
        let measurement = Measurement::new(&context.config, &self.train, &self.held_out);
        let batches = Loader::new(
            self.train.clone(),
            batches,
            device,
            context.steps_done() as u64,
        )?;
        let is_done = context.steps_done() >= context.config.train.steps;
        let end = run(&mut context, batches, &measurement, &mut parts);
        // The dashboard gives the terminal back.
        drop(parts);
        context.notices.release();
        Ok(Finished {
            end: end?,
            // Opening a run that is complete is no part of its training.
            seconds: match is_done {
                true => context.seconds_before,
                false => context.seconds(),
            },
            trainer: context.trainer,
            history: context.history,
        })
    }
}

/// The loop of a session.
fn run<M: TrainModel>(
    context: &mut Context<M>,
    batches: impl Iterator<Item = ImageBatch>,
    measurement: &Measurement<'_>,
    parts: &mut [Box<dyn SessionPart<M>>],
) -> Result<End, RunError> {
    context.started = Instant::now();
    let left = context
        .config
        .train
        .steps
        .saturating_sub(context.steps_done());
    let mut end = End::Complete;
    let mut at_stake = None;
    'steps: for batch in batches.take(left) {
        if context.interrupter.should_stop() {
            end = End::Interrupted;
            break;
        }
        for part in parts.iter_mut() {
            if let Some(early) = part.before_step(context)? {
                end = early;
                break 'steps;
            }
        }
        let metrics = step(context, &batch, measurement)?;
        at_stake.get_or_insert_with(StepsAtStake::new);
        for part in parts.iter_mut() {
            part.after_step(context, &metrics)?;
        }
    }
    for part in parts.iter_mut() {
        part.at_end(context, end)?;
    }
    drop(at_stake);
    Ok(end)
}

/// A step, and the measurement that is due with it.
fn step<M: TrainModel>(
    context: &mut Context<M>,
    batch: &ImageBatch,
    measurement: &Measurement<'_>,
) -> Result<Metrics, RunError> {
    let before = Instant::now();
    let report = context.trainer.step(batch)?;
    let images_per_second = batch.indices.len() as f64 / before.elapsed().as_secs_f64();
    let mut metrics = Metrics {
        report,
        images_per_second,
        seconds: context.seconds(),
        held_out: None,
    };
    if context.interval().ends_after(context.steps_done()) {
        metrics.held_out = Some(measurement.scores(&context.trainer)?);
    }
    if report.skipped {
        context.notices.push(skipped(&report));
    }
    context.history.push(&metrics);
    Ok(metrics)
}

fn skipped(report: &StepReport) -> String {
    format!(
        "WARNING: step {} was skipped: its loss is {} and the norm of its gradient {}",
        report.step + 1,
        report.loss,
        report.grad_norm
    )
}

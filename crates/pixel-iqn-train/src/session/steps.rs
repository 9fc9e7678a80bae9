use core::ops::ControlFlow;
use std::time::{Duration, Instant};

use burn::data::dataloader::Progress;
use burn::tensor::Tensor;
use burn::train::{
    EventProcessorTraining, LearnerEvent, SupervisedTrainingEventProcessor, TrainingItem,
};
use pixel_iqn_core::RowDone;
use pixel_iqn_data::{Loader, LoaderConfig};

use super::measure::Measure;
use super::{End, Session};
use crate::checkpoint::{Best, Manifest};
use crate::display::Display;
use crate::error::{RunError, at};
use crate::figures::save_samples;
use crate::metrics::{Metrics, StepReport};
use crate::objective::{Objective, StepOutput, TrainModel};
use crate::plot;
use crate::run_dir::Weights;
use crate::tensorboard::TensorBoard;
use crate::trainer::Trainer;

pub(super) type Events<M> = SupervisedTrainingEventProcessor<Objective<M>>;

/// Minutes from one `curve.png` to the next.
const CURVE_MINUTES: f64 = 2.0;

/// Sets the tau of the sheets apart from that of other samples.
const SHEETS: u64 = u64::from_be_bytes(*b"a sheet ");

impl<M: TrainModel> Session<M> {
    /// Steps from one measurement to the next: an epoch to Burn.
    pub(super) fn leg(&self) -> usize {
        match self.config.report.held_out_every {
            0 => self.config.train.steps,
            every => every,
        }
    }

    /// The steps, to their end of whatever kind, and what follows.
    pub(super) fn run(&mut self, events: &mut Events<M>) -> Result<End, RunError> {
        let end = self.steps(events)?;
        self.curve()?;
        Ok(end)
    }

    fn curve(&self) -> Result<(), RunError> {
        if self.history.losses.iter().all(|loss| !loss.is_finite()) {
            return Ok(());
        }
        plot::save_curve(
            &self.run.file("curve.png"),
            M::LOSS,
            &self.history.losses,
            &self.history.held_out_losses(),
        )
    }

    fn steps(&mut self, events: &mut Events<M>) -> Result<End, RunError> {
        let train = &self.config.train;
        let (steps, leg) = (train.steps, self.leg());
        let loader = LoaderConfig::new(train.batch)
            .with_seed(train.seed)
            .with_flip(train.flip);
        let first = self.steps_done();
        let device = self.trainer.device();
        let mut loader = Loader::new(self.train.clone(), loader, device, first as u64)?;
        let measure = Measure::new(self);
        let mut board = match self.config.report.tensorboard {
            true => Some(TensorBoard::create(&self.run.file("tensorboard"), first)?),
            false => None,
        };
        self.started = Instant::now();
        let mut saved = Timer::new(self.config.checkpoint.every_minutes);
        let mut sheet = Timer::new(self.config.report.sheet_minutes);
        let mut curve = Timer::new(CURVE_MINUTES);
        let mut saved_step = (first > 0).then_some(first);
        let mut in_leg = false;
        let mut end = End::Complete;
        while self.steps_done() < steps {
            if self.interrupter.should_stop() {
                end = End::Interrupted;
                break;
            }
            let patience = self.config.report.patience;
            if patience > 0 && self.best.is_some_and(|best| best.worse_since >= patience) {
                self.notice(format!(
                    "the held-out loss did not get better in {patience} measurements: the end"
                ));
                end = End::Early;
                break;
            }
            let step = self.steps_done();
            if !in_leg {
                let total_items = leg.min(steps - step / leg * leg);
                let epoch_number = step / leg + 1;
                send(events.process_train(LearnerEvent::StartSplit {
                    epoch_number,
                    total_items,
                }))?;
                in_leg = true;
            }
            let batch = loader.next().expect("the loader is endless");
            let before = Instant::now();
            let report = self.trainer.step(&batch)?;
            let images_per_second = batch.indices.len() as f64 / before.elapsed().as_secs_f64();
            let done = self.steps_done();
            let mut metrics = Metrics {
                report,
                images_per_second,
                seconds: self.seconds(),
                held_out: None,
            };
            let ends_leg = done.is_multiple_of(leg) || done == steps;
            if ends_leg {
                metrics.held_out = Some(measure.held_out(self)?);
            }
            if report.skipped {
                self.notice(bad_step(&report));
            }
            self.log.write(&metrics)?;
            self.history.push(&metrics);
            if let Some(board) = &mut board {
                board.metrics(&metrics)?;
            }
            let progress = Progress::new(step % leg + 1, leg, Some("steps".into()));
            send(events.process_train(item(&self.trainer, metrics, progress.clone())))?;
            (self.on_step)(&metrics);
            let mut better = false;
            if ends_leg {
                let epoch = step / leg + 1;
                send(events.process_train(LearnerEvent::EndSplit(epoch)))?;
                in_leg = false;
                if let Some(held_out) = metrics.held_out {
                    send(events.process_valid(LearnerEvent::StartSplit {
                        epoch_number: epoch,
                        total_items: 1,
                    }))?;
                    send(events.process_valid(item(&self.trainer, metrics, progress)))?;
                    send(events.process_valid(LearnerEvent::EndSplit(epoch)))?;
                    better = self.compare(done, held_out.loss);
                }
                send(events.process_train(LearnerEvent::EndEpoch(epoch)))?;
            }
            if sheet.is_due() {
                self.sheet(board.as_mut())?;
                sheet.reset();
            }
            if curve.is_due() {
                self.curve()?;
                curve.reset();
            }
            let every = self.config.checkpoint.every_steps;
            let due = better || saved.is_due() || (every > 0 && done.is_multiple_of(every));
            // Weights whose loss is no number are not worth the place of a checkpoint.
            if due && !report.skipped {
                if let Some(board) = &mut board {
                    board.flush()?;
                }
                self.save()?;
                saved_step = Some(done);
                saved.reset();
            }
        }
        if saved_step != Some(self.steps_done()) {
            self.save()?;
        }
        if self.config.report.sheet_minutes > 0.0 && end != End::Interrupted {
            self.sheet(board.as_mut())?;
        }
        if let Some(board) = &mut board {
            board.flush()?;
        }
        Ok(end)
    }

    /// Whether this held-out loss is the lowest of the run.
    fn compare(&mut self, done: usize, loss: f32) -> bool {
        let better = match &self.best {
            Some(best) => loss < best.loss,
            None => loss.is_finite(),
        };
        if better {
            self.best = Some(Best {
                step: done,
                loss,
                worse_since: 0,
            });
        } else if let Some(best) = &mut self.best {
            best.worse_since += 1;
        }
        better
    }

    /// Writes a checkpoint, and the weights for those who want to sample already.
    fn save(&mut self) -> Result<(), RunError> {
        let (counters, tensors) = self.trainer.state()?;
        let held_out = self.history.held_out.last();
        let held_out = held_out.filter(|(step, _)| step + 1 == counters.step);
        let held_out = held_out.map(|(_, held_out)| *held_out);
        let manifest = Manifest {
            held_out,
            best: self.best,
            seconds: self.seconds(),
            ..Manifest::new(&self.config, counters)
        };
        // A checkpoint promises that the lines of its steps are there.
        self.log.sync()?;
        self.checkpoints.save(&manifest, &tensors)?;
        self.run.save_weights(Weights::Raw, &self.trainer.model())?;
        self.run
            .save_weights(Weights::Averaged, self.trainer.averaged())
    }

    /// Draws a sheet of samples, always at the same tau.
    fn sheet(&mut self, board: Option<&mut TensorBoard>) -> Result<(), RunError> {
        let Some(make) = &self.sampler else {
            return Ok(());
        };
        let sampler = make(self.trainer.averaged().clone(), &self.trainer.device());
        let count = self.config.report.sheet_samples;
        let (size, seed) = (self.config.data.size, self.config.train.seed ^ SHEETS);
        let unless_stopped = |_: RowDone<'_>| match self.interrupter.should_stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let step = self.steps_done();
        let folder = self.run.file("sheets");
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join(format!("{step:08}.png"));
        match save_samples(&path, &*sampler, count, size, seed, &unless_stopped) {
            Err(RunError::Sample(_)) if self.interrupter.should_stop() => return Ok(()),
            saved => saved?,
        }
        if let Some(board) = board {
            let png = std::fs::read(&path).map_err(at(&path))?;
            board.png(step, "samples", png)?;
        }
        Ok(())
    }

    /// Of training, over all processes.
    pub(super) fn seconds(&self) -> f64 {
        self.seconds + self.started.elapsed().as_secs_f64()
    }

    fn notice(&mut self, notice: String) {
        self.notices.push(notice);
        if self.display == Display::Plain {
            self.say();
        }
    }

    pub(super) fn say(&mut self) {
        for notice in self.notices.drain(..) {
            (self.on_notice)(&notice);
        }
    }
}

fn bad_step(report: &StepReport) -> String {
    format!(
        "WARNING: step {} was skipped: its loss is {} and the norm of its gradient {}",
        report.step + 1,
        report.loss,
        report.grad_norm
    )
}

/// What Burn's event processor takes.
fn item<M: TrainModel>(
    trainer: &Trainer<M>,
    metrics: Metrics,
    progress: Progress,
) -> LearnerEvent<StepOutput> {
    let output = StepOutput {
        loss: Tensor::from_floats([metrics.report.loss], &trainer.device()),
        part: 0,
        metrics: Some(metrics),
    };
    LearnerEvent::ProcessedItem(TrainingItem::new(
        output,
        progress,
        Some(metrics.report.step + 1),
        Some(metrics.report.learning_rate.into()),
    ))
}

fn send<E: core::fmt::Display>(result: Result<(), E>) -> Result<(), RunError> {
    result.map_err(|error| RunError::Burn(error.to_string()))
}

/// Whether some minutes have passed; never if they are 0.
struct Timer {
    every: Option<Duration>,
    since: Instant,
}

impl Timer {
    fn new(minutes: f64) -> Self {
        let every = (minutes > 0.0).then(|| Duration::try_from_secs_f64(60.0 * minutes));
        Self {
            every: every.and_then(Result::ok),
            since: Instant::now(),
        }
    }

    fn is_due(&self) -> bool {
        self.every
            .is_some_and(|every| self.since.elapsed() >= every)
    }

    fn reset(&mut self) {
        self.since = Instant::now();
    }
}

use core::ops::ControlFlow;
use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use burn::data::dataloader::{DataLoader, DataLoaderIterator, Progress};
use burn::optim::AdamConfig;
use burn::tensor::{Device, Tensor};
use burn::train::{
    EventProcessorTraining, Interrupter, Learner, LearnerEvent, SupervisedLearningStrategy,
    SupervisedTraining, SupervisedTrainingEventProcessor, TrainLoader, TrainingComponents,
    TrainingItem, TrainingStrategy, ValidLoader,
};
use pixel_iqn_core::{Labels, RowDone, SampleOptions, Sampler};
use pixel_iqn_data::{ImageDataset, Loader, LoaderConfig, save_sheet};

use crate::checkpoint::{Best, Checkpoint, Checkpoints, Manifest};
use crate::display::{Display, Reading};
use crate::error::{RunError, at};
use crate::figures::sample_levels;
use crate::marginal::MarginalQuantiles;
use crate::metrics::{HeldOut, History, Metrics, MetricsLog};
use crate::objective::{Objective, StepOutput, TrainModel};
use crate::plot;
use crate::run_config::{RunConfig, digest};
use crate::run_dir::{RunDir, Weights};
use crate::score::{ScoreOptions, score};
use crate::tensorboard::TensorBoard;
use crate::trainer::{StepReport, Trainer};

type MakeSampler<M> = Box<dyn Fn(M, &Device) -> Box<dyn Sampler> + Send>;
type OnStep = Box<dyn FnMut(&Metrics) + Send>;
type OnNotice = Box<dyn FnMut(&str) + Send>;
type Events<M> = SupervisedTrainingEventProcessor<Objective<M>>;

/// Minutes from one `curve.png` to the next.
const CURVE_MINUTES: f64 = 2.0;

/// How many pixels a pixel of a sheet is wide.
const SHEET_SCALE: usize = 3;

/// Sets the tau of the sheets apart from that of other samples.
const SHEETS: u64 = u64::from_be_bytes(*b"a sheet ");

/// A training run in a [`RunDir`]: steps, measurements, checkpoints, pictures, and what it takes to
/// go on after an end by force as if there had been none.
///
/// It runs as a custom strategy of Burn's
/// [`SupervisedTraining`](burn::train::SupervisedTraining), which shows the dashboard and writes
/// its metric files. Burn's own strategies count epochs, keep no average of the weights, and have
/// neither a norm over all gradients nor a state that resumes inside an epoch: these parts are
/// here.
pub struct Session<M: TrainModel> {
    run: RunDir,
    config: RunConfig,
    trainer: Trainer<M>,
    train: Arc<ImageDataset>,
    held_out: Arc<ImageDataset>,
    checkpoints: Checkpoints,
    log: MetricsLog,
    history: History,
    best: Option<Best>,
    /// Of the processes before this one.
    seconds: f64,
    started: Instant,
    notices: Vec<String>,
    interrupter: Interrupter,
    display: Display,
    sampler: Option<MakeSampler<M>>,
    on_step: OnStep,
    on_notice: OnNotice,
    /// Held until the session is dropped.
    _lock: File,
}

/// How a [`Session`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// After the last step.
    Complete,
    /// The held-out loss did not get better for as long as the config says.
    Early,
    /// A signal, or the user at the dashboard. The run can be resumed.
    Interrupted,
}

/// What a [`Session`] leaves behind.
pub struct Finished<M: TrainModel> {
    /// The trainer after its last step.
    pub trainer: Trainer<M>,
    /// All losses of the run.
    pub history: History,
    /// Why it ended.
    pub end: End,
}

/// Which checkpoint to resume from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ResumeFrom {
    /// The last one that is whole; without any, the run starts again from its seed.
    Last,
    /// The one after this number of steps; later ones are removed.
    Step(usize),
}

impl<M: TrainModel> Session<M> {
    /// Begins a run in a folder: writes its config.
    ///
    /// # Errors
    ///
    /// [`RunError::Train`] for a config out of range, [`RunError::NotEmpty`] where the folder has a
    /// run, [`RunError::Locked`] where another process works in it, [`RunError::OtherImages`] where the digest of the config is not that
    /// of the images, and [`RunError::Io`].
    ///
    /// # Panics
    ///
    /// Panics if `devices` is empty, or the model has the head of another kind of model.
    pub fn start(
        run: RunDir,
        config: RunConfig,
        train: Arc<ImageDataset>,
        held_out: Arc<ImageDataset>,
        devices: &[Device],
    ) -> Result<Self, RunError> {
        if run.file("config.toml").exists() {
            return Err(RunError::NotEmpty(run.path().to_owned()));
        }
        let lock = run.lock()?;
        let session = Self::new(run, config, train, held_out, devices, None, lock)?;
        session.run.save_config(&session.config)?;
        Ok(session)
    }

    /// Goes on with the run in a folder.
    ///
    /// `config` is that of the folder, or differs from it in `checkpoint`, `report` and `data.path`
    /// alone. Damaged checkpoints are left out, with a notice.
    ///
    /// # Errors
    ///
    /// As [`start`](Self::start); also [`RunError::Conflict`] where the config is not that of the
    /// checkpoint, [`RunError::NoCheckpoint`] and [`RunError::Checkpoint`] for a checkpoint that
    /// was named, and [`RunError::NoGoodCheckpoint`] where there are some and none can be used.
    ///
    /// # Panics
    ///
    /// As [`start`](Self::start).
    pub fn resume(
        run: RunDir,
        config: RunConfig,
        train: Arc<ImageDataset>,
        held_out: Arc<ImageDataset>,
        devices: &[Device],
        from: ResumeFrom,
    ) -> Result<Self, RunError> {
        let lock = run.lock()?;
        let checkpoints = run.checkpoints(&config);
        let (checkpoint, bad) = match from {
            ResumeFrom::Step(step) => (Some(checkpoints.load(step)?), Vec::new()),
            ResumeFrom::Last => checkpoints.load_last()?,
        };
        if checkpoint.is_none() && !bad.is_empty() {
            let reasons = bad.iter().map(ToString::to_string);
            return Err(RunError::NoGoodCheckpoint(reasons.collect()));
        }
        if let Some(Checkpoint { manifest, .. }) = &checkpoint {
            let conflicts = config.conflicts(&manifest.config);
            if !conflicts.is_empty() {
                let text = |(key, config, checkpoint): (String, String, String)| {
                    format!("`{key}` is {config} in the config and {checkpoint} there")
                };
                return Err(RunError::Conflict {
                    path: checkpoints.path(manifest.counters.step),
                    conflicts: conflicts.into_iter().map(text).collect(),
                });
            }
        }
        let begins_again = checkpoint.is_none();
        let mut session = Self::new(run, config, train, held_out, devices, checkpoint, lock)?;
        if begins_again {
            let notice = "WARNING: there is no checkpoint yet: the run begins again from its seed";
            session.notices.push(notice.to_owned());
        }
        for error in bad {
            session.notices.push(format!("WARNING: {error}"));
        }
        session.run.save_config(&session.config)?;
        Ok(session)
    }

    fn new(
        run: RunDir,
        config: RunConfig,
        train: Arc<ImageDataset>,
        held_out: Arc<ImageDataset>,
        devices: &[Device],
        checkpoint: Option<Checkpoint>,
        lock: File,
    ) -> Result<Self, RunError> {
        config.validate()?;
        let found = digest(&train, &held_out);
        if found != config.data.digest {
            return Err(RunError::OtherImages {
                found,
                expected: config.data.digest,
            });
        }
        let checkpoints = run.checkpoints(&config);
        let mut trainer = Trainer::on_devices(&config.model, config.train.clone(), devices)?;
        let (mut best, mut seconds) = (None, 0.0);
        if let Some(Checkpoint { manifest, tensors }) = checkpoint {
            trainer.restore(manifest.counters, &tensors)?;
            (best, seconds) = (manifest.best, manifest.seconds);
        }
        let step = trainer.steps_done();
        let (log, history, missing) = MetricsLog::open(run.file("metrics.jsonl"), step)?;
        let mut notices = Vec::new();
        if missing > 0 {
            let path = log.path().display();
            notices.push(format!("WARNING: {path} lacks {missing} of {step} steps"));
        }
        checkpoints.rewind(step)?;
        Ok(Self {
            run,
            config,
            trainer,
            train,
            held_out,
            checkpoints,
            log,
            history,
            best,
            seconds,
            started: Instant::now(),
            notices,
            interrupter: Interrupter::new(),
            display: Display::Plain,
            sampler: None,
            on_step: Box::new(|_| ()),
            on_notice: Box::new(|_| ()),
            _lock: lock,
        })
    }

    /// Shows the training in this way; without it, not at all.
    pub fn with_display(self, display: Display) -> Self {
        Self { display, ..self }
    }

    /// Stops when this is [stopped](Interrupter::stop): see
    /// [`stop_on_signals`](crate::stop_on_signals).
    pub fn with_interrupter(self, interrupter: Interrupter) -> Self {
        Self {
            interrupter,
            ..self
        }
    }

    /// Draws the sheets of samples with what `sampler` makes of the averaged model; without it
    /// there are no sheets.
    pub fn with_sampler(
        self,
        sampler: impl Fn(M, &Device) -> Box<dyn Sampler> + Send + 'static,
    ) -> Self {
        let sampler: Option<MakeSampler<M>> = Some(Box::new(sampler));
        Self { sampler, ..self }
    }

    /// Calls `on_step` after each step.
    pub fn on_step(self, on_step: impl FnMut(&Metrics) + Send + 'static) -> Self {
        let on_step = Box::new(on_step);
        Self { on_step, ..self }
    }

    /// Calls `on_notice` with a line of text for what a user should know: a checkpoint that was
    /// left out, a step that was skipped. Under the dashboard they come when it has ended.
    pub fn on_notice(self, on_notice: impl FnMut(&str) + Send + 'static) -> Self {
        let on_notice = Box::new(on_notice);
        Self { on_notice, ..self }
    }

    /// The steps done so far.
    pub fn steps_done(&self) -> usize {
        self.trainer.steps_done()
    }

    /// Trains until the last step, an interrupt or an early end, and writes a last checkpoint, the
    /// weights and `curve.png`.
    ///
    /// # Errors
    ///
    /// [`RunError::Train`] where the loss is no longer a number or the device fails,
    /// [`RunError::Io`], [`RunError::Weights`], [`RunError::Plot`] and [`RunError::Data`] where a
    /// file cannot be written, [`RunError::Sample`] where the sampler fails, and [`RunError::Burn`].
    /// The last checkpoint is then as it was.
    pub fn train(mut self) -> Result<Finished<M>, RunError> {
        self.say();
        let legs = self.config.train.steps.div_ceil(self.leg());
        let done = self.steps_done() / self.leg();
        let renderer = self.display.renderer(&self.interrupter);
        let learner = Learner::new(
            self.trainer.objective().clone(),
            // Not used: the trainer has its own.
            AdamConfig::new().init(),
            0.0,
        );
        let folder = self.run.file("burn");
        let interrupter = self.interrupter.clone();
        let strategy = Arc::new(Steps(Mutex::new(State::Ready(Box::new(self)))));
        let loader: Arc<dyn DataLoader<_>> = Arc::new(NoLoader);
        let result = SupervisedTraining::<Objective<M>>::new(folder, loader.clone(), loader)
            .with_training_strategy(TrainingStrategy::Custom(strategy.clone()))
            .with_application_logger(None)
            .with_interrupter(interrupter)
            .renderer(renderer)
            .num_epochs(legs)
            .checkpoint(done)
            .metric_train_numeric(Reading::new("Loss", |m| Some(m.report.loss.into())))
            .metric_train_numeric(Reading::new("Gradient norm", |m| {
                Some(m.report.grad_norm.into())
            }))
            .metric_train_numeric(Reading::new("Learning rate", |m| {
                Some(m.report.learning_rate)
            }))
            .metric_train_numeric(
                Reading::new("Images per second", |m| Some(m.images_per_second)).higher_is_better(),
            )
            .metric_valid_numeric(Reading::new("Loss", |m| {
                m.held_out.map(|held_out| held_out.loss.into())
            }))
            .metric_valid_numeric(Reading::new("Mean pinball", |m| {
                m.held_out.map(|held_out| held_out.mean_pinball)
            }))
            .metric_valid_numeric(
                Reading::new("Skill", |m| m.held_out.map(|held_out| held_out.skill))
                    .higher_is_better(),
            )
            .metric_valid_numeric(Reading::new("Crossing rate", |m| {
                m.held_out.map(|held_out| held_out.crossing_rate)
            }))
            .launch(learner);
        // The dashboard gives the terminal back.
        drop(result.renderer);
        let mut state = strategy.0.lock().unwrap_or_else(PoisonError::into_inner);
        let State::Done(mut session, end) = core::mem::replace(&mut *state, State::Running) else {
            return Err(RunError::Burn("it never began".into()));
        };
        session.say();
        Ok(Finished {
            end: end?,
            trainer: session.trainer,
            history: session.history,
        })
    }

    /// Steps from one measurement to the next: an epoch to Burn.
    fn leg(&self) -> usize {
        match self.config.report.held_out_every {
            0 => self.config.train.steps,
            every => every,
        }
    }

    /// The steps, to their end of whatever kind, and what follows.
    fn run(&mut self, events: &mut Events<M>) -> Result<End, RunError> {
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
        let loader = LoaderConfig {
            seed: train.seed,
            flip: train.flip,
            ..LoaderConfig::new(train.batch)
        };
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
        let model = &self.config.model;
        let sampler = make(self.trainer.averaged().clone(), &self.trainer.device());
        let count = self.config.report.sheet_samples;
        let size = self.config.data.size;
        let options = SampleOptions {
            labels: match model.classes {
                0 => Labels::None,
                _ => Labels::Spread,
            },
            ..SampleOptions::new(count, size, self.config.train.seed ^ SHEETS)
        };
        let unless_stopped = |_: RowDone<'_>| match self.interrupter.should_stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let levels = match sample_levels(&*sampler, &options, &unless_stopped) {
            Err(_) if self.interrupter.should_stop() => return Ok(()),
            levels => levels?,
        };
        let columns = match model.classes {
            0 => count.isqrt().max(1),
            classes => classes.min(count),
        };
        let step = self.steps_done();
        let folder = self.run.file("sheets");
        std::fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join(format!("{step:08}.png"));
        let shape = [count, model.channels, size[0], size[1]];
        save_sheet(&path, &levels, shape, columns, SHEET_SCALE)?;
        if let Some(board) = board {
            let png = std::fs::read(&path).map_err(at(&path))?;
            board.png(step, "samples", png)?;
        }
        Ok(())
    }

    /// Of training, over all processes.
    fn seconds(&self) -> f64 {
        self.seconds + self.started.elapsed().as_secs_f64()
    }

    fn notice(&mut self, notice: String) {
        self.notices.push(notice);
        if self.display == Display::Plain {
            self.say();
        }
    }

    fn say(&mut self) {
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

/// Measures on held-out images, always the same ones.
struct Measure {
    marginal: MarginalQuantiles,
    indices: Vec<usize>,
}

impl Measure {
    fn new<M: TrainModel>(session: &Session<M>) -> Self {
        let images = session.config.report.held_out_images;
        Self {
            marginal: MarginalQuantiles::of(&session.train),
            indices: (0..images.min(session.held_out.len())).collect(),
        }
    }

    /// An interrupt waits for it: the rest of the run depends on what it finds.
    fn held_out<M: TrainModel>(&self, session: &Session<M>) -> Result<HeldOut, RunError> {
        let (trainer, set) = (&session.trainer, &session.held_out);
        let device = trainer.device();
        let batch = session.config.train.batch;
        let options = ScoreOptions {
            images: self.indices.len(),
            batch,
            seed: session.config.train.seed,
        };
        let go_on = |_, _| ControlFlow::Continue(());
        let model = trainer.averaged();
        let scores = score(model, set, &self.marginal, &options, &device, go_on)?
            .expect("nothing breaks it off");
        let mut loss = 0.0;
        for indices in self.indices.chunks(batch) {
            let mean = trainer.held_out_loss(&set.batch(indices, None, &device))?;
            loss += f64::from(mean) * indices.len() as f64;
        }
        Ok(HeldOut {
            loss: (loss / self.indices.len() as f64) as f32,
            mean_pinball: scores.mean_pinball,
            skill: scores.skill,
            crossing_rate: scores.crossing_rate,
        })
    }
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

/// The steps of a session as a strategy of Burn.
struct Steps<M: TrainModel>(Mutex<State<M>>);

enum State<M: TrainModel> {
    Ready(Box<Session<M>>),
    Running,
    Done(Box<Session<M>>, Result<End, RunError>),
}

impl<M: TrainModel> SupervisedLearningStrategy<Objective<M>> for Steps<M> {
    fn fit(
        &self,
        components: TrainingComponents<Objective<M>>,
        _: Learner<Objective<M>>,
        _: TrainLoader<Objective<M>>,
        _: ValidLoader<Objective<M>>,
        _: usize,
    ) -> (Objective<M>, Events<M>) {
        let mut events = components.event_processor;
        let mut state = self.0.lock().expect("no thread panics with the lock");
        let State::Ready(mut session) = core::mem::replace(&mut *state, State::Running) else {
            panic!("a session is run once");
        };
        let end = session.run(&mut events);
        let objective = session.trainer.objective().clone();
        *state = State::Done(session, end);
        (objective, events)
    }
}

/// Burn asks for loaders; the session has its own, which starts anywhere.
struct NoLoader;

impl<T> DataLoader<T> for NoLoader {
    fn iter<'a>(&'a self) -> Box<dyn DataLoaderIterator<T> + 'a> {
        unreachable!("the strategy reads no loader")
    }

    fn num_items(&self) -> usize {
        0
    }

    fn to_device(&self, _: &Device) -> Arc<dyn DataLoader<T>> {
        Arc::new(NoLoader)
    }

    fn slice(&self, _: usize, _: usize) -> Arc<dyn DataLoader<T>> {
        Arc::new(NoLoader)
    }
}

mod measure;
mod steps;
mod strategy;

use std::fs::File;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use burn::data::dataloader::DataLoader;
use burn::optim::AdamConfig;
use burn::tensor::Device;
use burn::train::{Interrupter, Learner, SupervisedTraining, TrainingStrategy};
use pixel_iqn_core::Sampler;
use pixel_iqn_data::ImageDataset;

use crate::checkpoint::{Best, Checkpoint, Checkpoints};
use crate::display::{Display, Reading};
use crate::error::RunError;
use crate::metrics::{History, Metrics, MetricsLog};
use crate::objective::{Objective, TrainModel};
use crate::run_config::{RunConfig, digest};
use crate::run_dir::RunDir;
use crate::trainer::Trainer;
use strategy::{NoLoader, State, Steps};

type MakeSampler<M> = Box<dyn Fn(M, &Device) -> Box<dyn Sampler> + Send>;
type OnStep = Box<dyn FnMut(&Metrics) + Send>;
type OnNotice = Box<dyn FnMut(&str) + Send>;

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
    /// Seconds that all processes together worked on the run, by the clock.
    pub seconds: f64,
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
    /// run, [`RunError::Locked`] where another process works in it, [`RunError::OtherImages`] where
    /// the digest of the config is not that of the images, and [`RunError::Io`].
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
    /// `config` is that of the folder, or differs from it in `checkpoint`, `report`, `data.path` and
    /// `train.skip_bad_steps` alone. Damaged checkpoints are left out and set aside, with a notice.
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
            seconds: session.seconds(),
            trainer: session.trainer,
            history: session.history,
        })
    }
}

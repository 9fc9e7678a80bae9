mod results;

use core::time::Duration;
use std::path::PathBuf;

use burn::tensor::Device;
use pixel_iqn_core::{AnyModel, Cancelled, ModelConfig};
use pixel_iqn_data::ImageDataset;
use pixel_iqn_train::{
    ConfigFile, End, Finished, ReportConfig, ResumeFrom, RunConfig, RunDir, RunOverrides, Session,
    TrainConfig, with_causes,
};

use crate::model::TrainedWeights;
use crate::run::Trained;
use crate::training_checks;
use crate::watcher::Watcher;
use crate::{DEFAULT_DEVICE, DeviceDefaults, Error, Run, TrainingImages};

/// How long a device of another machine may take for its part of a step: the first one takes as long as
/// its kernels take to compile.
const REMOTE_TIMEOUT: Duration = Duration::from_secs(300);

/// Begins a training on images, of which the last of every ten is held out: see [`Training`].
///
/// ```no_run
/// use pixel_iqn::data::ImageDataset;
///
/// let images = ImageDataset::from_folder("photos", 32)?;
/// let run = pixel_iqn::train(images)
///     .preset("quick")
///     .steps(5_000)
///     .device("cpu")
///     .run_dir("runs/photos")
///     .start()?;
/// println!("skill {:?}", run.scores().and_then(|scores| scores.skill));
/// # Ok::<(), pixel_iqn::Error>(())
/// ```
pub fn train(images: ImageDataset) -> Training {
    Training::new(TrainingImages::split(images))
}

/// Begins a training on images whose held-out part is chosen, such as those of a data set.
pub fn train_on(images: TrainingImages) -> Training {
    Training::new(Ok(images))
}

impl Run {
    /// Begins to go on with the training from its last checkpoint, on its own images;
    /// [`start`](Training::start) does it.
    pub fn resume(self, images: TrainingImages) -> Training {
        Training {
            resumed: Some(self),
            ..Training::new(Ok(images))
        }
    }
}

/// A request for a training, which [`start`](Self::start) carries out: a run folder with config,
/// metrics, checkpoints, weights, scores and pictures.
///
/// What is not asked for suits the device: see [`DeviceDefaults`]. The precedence of what is asked
/// for is that of [`RunConfig::resolve`]: the device's defaults, the preset, the config file, the
/// methods of this type, then [`set`](Self::set).
///
/// It prints nothing unless something [watches](Self::watch) it, as
/// [`Terminal::watcher`](crate::terminal::Terminal::watcher) does.
#[must_use = "a request does nothing until `start` is called"]
pub struct Training {
    images: Result<TrainingImages, Error>,
    resumed: Option<Run>,
    from: Option<ResumeFrom>,
    devices: String,
    remote_timeout: Duration,
    run_dir: Option<PathBuf>,
    resume_existing: bool,
    only_steps: bool,
    class_conditional: bool,
    begin_from: Option<PathBuf>,
    trust_device: bool,
    overrides: RunOverrides,
    file: ConfigFile,
    settings: Vec<String>,
    watcher: Box<dyn Watcher>,
}

/// What shows structure in the built-in pictures after two minutes of steps on two cores: our choice, by
/// trial.
const FIRST_LOOK_STEPS: usize = 2500;
const FIRST_LOOK_RATE: f64 = 3e-3;
const FIRST_LOOK_WARMUP: f64 = 0.02;

impl Training {
    fn new(images: Result<TrainingImages, Error>) -> Self {
        Self {
            images,
            resumed: None,
            from: None,
            devices: DEFAULT_DEVICE.to_owned(),
            remote_timeout: REMOTE_TIMEOUT,
            run_dir: None,
            resume_existing: false,
            only_steps: false,
            class_conditional: false,
            begin_from: None,
            trust_device: false,
            overrides: RunOverrides::new(),
            file: ConfigFile::default(),
            settings: Vec::new(),
            watcher: Box::new(()),
        }
    }

    /// Chooses the architecture: a [preset](ModelConfig::preset).
    pub fn preset(mut self, name: &str) -> Self {
        self.overrides.preset = Some(name.to_owned());
        self
    }

    /// Chooses the [kind](pixel_iqn_core::Output::KINDS) of the model's output.
    pub fn output(mut self, kind: &str) -> Self {
        self.overrides.output = Some(kind.to_owned());
        self
    }

    /// Conditions the model on the class of each image.
    pub fn class_conditional(self, class_conditional: bool) -> Self {
        Self {
            class_conditional,
            ..self
        }
    }

    /// Sets the training steps.
    pub fn steps(mut self, steps: usize) -> Self {
        self.overrides.steps = Some(steps);
        self
    }

    /// Sets the images in a step.
    pub fn batch(mut self, batch: usize) -> Self {
        self.overrides.batch = Some(batch);
        self
    }

    /// Sets the seed of everything random, 0 without it.
    pub fn seed(mut self, seed: u64) -> Self {
        self.overrides.seed = Some(seed);
        self
    }

    /// Chooses the [device](crate::device()); several, separated by commas, share each batch, and
    /// those after the first may be of other machines: see [`devices`](crate::devices).
    pub fn device(self, names: &str) -> Self {
        let devices = names.to_owned();
        Self { devices, ..self }
    }

    /// Sets how long a device of another machine may take for its part of a step before the training
    /// fails, 5 minutes without it.
    pub fn remote_timeout(self, remote_timeout: Duration) -> Self {
        Self {
            remote_timeout,
            ..self
        }
    }

    /// Begins from trained weights in place of random ones: a run folder, whose averaged weights are
    /// taken, a folder of trained weights, or a safetensors file. Of a folder the architecture is
    /// taken, too, unless a [preset](Self::preset) is chosen.
    ///
    /// The biases of classes and orders that are new begin at 0, which the
    /// [watcher](Watcher::on_notice) is told.
    pub fn begin_from(self, weights: impl Into<PathBuf>) -> Self {
        let begin_from = Some(weights.into());
        Self { begin_from, ..self }
    }

    /// Sets the folder of the run, new or empty; without it, the next free one in `runs`.
    pub fn run_dir(self, path: impl Into<PathBuf>) -> Self {
        let run_dir = Some(path.into());
        Self { run_dir, ..self }
    }

    /// Resumes the run that is in the folder, where there is one of this architecture and training, in
    /// place of refusing a folder that is not empty: the same request then goes on after it was
    /// stopped, and trains nothing twice.
    pub fn resume_existing(self, resume_existing: bool) -> Self {
        Self {
            resume_existing,
            ..self
        }
    }

    /// Ends after the last step, without scores and pictures.
    pub fn only_steps(self, only_steps: bool) -> Self {
        Self { only_steps, ..self }
    }

    /// Leaves out the check of a device's gradients. Without this, a training on another device than the
    /// CPU begins by computing those of a small model there and on the CPU
    /// ([`check_gradients`](pixel_iqn_train::check_gradients)), and fails where they differ.
    pub fn trust_device(self, trust_device: bool) -> Self {
        Self {
            trust_device,
            ..self
        }
    }

    /// Sets everything that a program's flags change. It replaces what single methods set before it;
    /// those that come after it change single fields.
    pub fn overrides(self, overrides: RunOverrides) -> Self {
        Self { overrides, ..self }
    }

    /// Reads changes from a config file.
    pub fn config_file(self, file: ConfigFile) -> Self {
        Self { file, ..self }
    }

    /// Changes any key of the config, as in `train.clip_norm=0.5`.
    pub fn set(mut self, setting: impl Into<String>) -> Self {
        self.settings.push(setting.into());
        self
    }

    /// Resumes from another checkpoint than the last; for a run that is [resumed](Run::resume).
    pub fn from_checkpoint(self, from: ResumeFrom) -> Self {
        let from = Some(from);
        Self { from, ..self }
    }

    /// Lets a program see the training and stop it.
    pub fn watch(self, watcher: impl Watcher + 'static) -> Self {
        let watcher = Box::new(watcher);
        Self { watcher, ..self }
    }

    /// Resolves the config that [`start`](Self::start) trains under.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`start`](Self::start) before the first step.
    pub fn config(&self) -> Result<RunConfig, Error> {
        let images = match &self.images {
            Ok(images) => images,
            Err(error) => return Err(Error::Request(with_causes(error))),
        };
        match &self.resumed {
            Some(run) => self.resumed_config(run, images),
            None => self.new_config(images, &self.device_defaults()?[0]),
        }
    }

    /// Trains to the end, scores held-out images (`scores.json`), and draws `samples.png` and
    /// `inpainting.png`. A stopped training returns early with a checkpoint: see [`Run::end`].
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where the images do not fit the config, or the request contradicts itself,
    /// [`Error::Device`] where a device is not there, [`Error::Data`] where there are too few images to
    /// hold some out or a picture cannot be written, [`Error::Run`] where the config is out of range,
    /// the folder cannot be used or the training fails, and [`Error::Score`] where the scores are no
    /// numbers.
    pub fn start(mut self) -> Result<Run, Error> {
        self.check_request()?;
        let images = core::mem::replace(
            &mut self.images,
            Err(Error::Request("the training was started".into())),
        )?;
        let defaults = self.device_defaults()?;
        let devices: Vec<Device> = defaults.iter().map(|d| d.device.clone()).collect();
        let config = match &self.resumed {
            Some(run) => self.resumed_config(run, &images)?,
            None => self.new_config(&images, &defaults[0])?,
        };
        training_checks::step_fits(&config, &devices)?;
        if !self.only_steps {
            training_checks::samples_fit(&config)?;
        }
        if !devices.iter().all(crate::device::is_cpu) {
            let notice = &mut *self.watcher.on_notice();
            training_checks::gradients_are_right(
                &config,
                &defaults,
                self.trust_device,
                self.remote_timeout,
                notice,
            )?;
        }
        let (mut run, session) = match self.resumed.take() {
            Some(run) => {
                let from = self.from.unwrap_or(ResumeFrom::Last);
                self.resumed_session(run, config, from, &images, &devices)?
            }
            None => self.new_session(config, &images, &devices)?,
        };
        let limited = defaults.iter().any(DeviceDefaults::is_remote);
        let names = defaults.iter().map(|device| device.name.clone()).collect();
        let session = session.watch_devices(names, limited.then_some(self.remote_timeout));
        let watcher = &mut self.watcher;
        watcher.begin(&run, session.steps_done(), &devices);
        let Finished {
            end,
            seconds,
            history,
            trainer,
            ..
        } = session
            .with_display(watcher.display())
            .with_interrupter(watcher.interrupter())
            .with_sampler(|model, device| crate::sampler(model, device))
            .on_step(watcher.on_step())
            .on_notice(watcher.on_notice())
            .train()?;
        let mut trained = Trained {
            end,
            steps: trainer.steps_done(),
            seconds,
            history,
        };
        if end != End::Interrupted && !self.only_steps {
            let model = trainer.averaged().clone();
            match self.finish(&mut run, model, &images, &devices[0]) {
                Err(Error::Cancelled(Cancelled)) => trained.end = End::Interrupted,
                finished => finished?,
            }
        }
        run.trained = Some(trained);
        Ok(run)
    }

    fn device_defaults(&self) -> Result<Vec<DeviceDefaults>, Error> {
        Ok(crate::devices(&self.devices)?)
    }

    /// The config of a new run.
    fn new_config(
        &self,
        images: &TrainingImages,
        defaults: &DeviceDefaults,
    ) -> Result<RunConfig, Error> {
        let source = images.source();
        let [channels, ..] = images.train.shape();
        let class_conditional = self.class_conditional || images.are_stand_in();
        let classes = match (class_conditional, images.train.classes()) {
            (false, _) => 0,
            (true, 0) => {
                return Err(Error::Request(format!(
                    "`{}` has no classes to condition on: those of a folder are its subfolders",
                    source.dataset
                )));
            }
            (true, classes) => classes,
        };
        let begun = self.begin_from.as_deref().map(TrainedWeights::find);
        let begun = begun.transpose()?;
        let model = match begun.as_ref().and_then(|begun| begun.config.clone()) {
            Some(config) if config.channels != channels => {
                return Err(Error::Request(format!(
                    "the weights to begin from are of images of {} channel(s), and those of `{}` have \
                     {channels}",
                    config.channels, source.dataset
                )));
            }
            Some(config) => config,
            None => ModelConfig::preset(defaults.preset)?,
        };
        let model = model.with_channels(channels).with_classes(classes);
        let first_look = images.are_stand_in() && crate::device::is_cpu(&defaults.device);
        let steps = match first_look {
            true => FIRST_LOOK_STEPS,
            false => defaults.steps,
        };
        let mut train = TrainConfig::new(steps, defaults.batch).with_flip(images.may_flip());
        if first_look {
            train = train
                .with_learning_rate(FIRST_LOOK_RATE)
                .with_warmup(FIRST_LOOK_WARMUP);
        }
        if let Some(begun) = begun {
            let path = begun.weights.into_os_string().into_string();
            train.init = Some(path.map_err(|path| {
                Error::Request(format!("the path {} is not UTF-8", path.display()))
            })?);
        }
        let mut base = RunConfig::new(source.clone(), model, train);
        base.report = ReportConfig::for_steps(steps)
            .with_eval_images(defaults.eval_images)
            .with_samples(defaults.samples);
        let mut config = base.resolve(&self.file, &self.overrides, &self.settings)?;
        // A request wins over the file, which may be of a run without classes.
        if class_conditional {
            config.model.classes = classes;
        }
        training_checks::images_fit(&config, images)?;
        Ok(config)
    }

    fn new_session(
        &self,
        config: RunConfig,
        images: &TrainingImages,
        devices: &[Device],
    ) -> Result<(Run, Session<AnyModel>), Error> {
        let (train, held_out) = (images.train.clone(), images.held_out.clone());
        if let (true, Some(path)) = (self.resume_existing, &self.run_dir)
            && path.join("config.toml").exists()
        {
            let (dir, before) = RunDir::open(path)?;
            if (&before.model, &before.train) != (&config.model, &config.train) {
                return Err(Error::Request(format!(
                    "{} has a run of another config (its config.toml): choose another folder",
                    path.display()
                )));
            }
            if before.data.digest != config.data.digest {
                return Err(Error::Request(format!(
                    "{} has a run on other images ({}), not on these ({}): choose another folder",
                    path.display(),
                    before.data.told_apart(),
                    config.data.told_apart()
                )));
            }
            let from = ResumeFrom::Last;
            let session =
                Session::resume(dir.clone(), config.clone(), train, held_out, devices, from)?;
            return Ok((Run::new(dir, config), session));
        }
        let dir = match &self.run_dir {
            Some(path) => RunDir::create(path)?,
            None => RunDir::create_next("runs", &config.data.dataset)?,
        };
        let session = Session::start(dir.clone(), config.clone(), train, held_out, devices)?;
        Ok((Run::new(dir, config), session))
    }

    /// The config of a run that goes on.
    fn resumed_config(&self, run: &Run, images: &TrainingImages) -> Result<RunConfig, Error> {
        let mut config = run.config.clone();
        if let Some(path) = &images.source().path {
            config.data.path = Some(path.clone());
        }
        Ok(config.resolve(&self.file, &self.overrides, &self.settings)?)
    }

    /// Refuses what would be passed over without a word.
    fn check_request(&self) -> Result<(), Error> {
        let new_only = self.run_dir.is_some()
            || self.class_conditional
            || self.resume_existing
            || self.begin_from.is_some();
        let problem = match &self.resumed {
            Some(_) if new_only => {
                "a run that is resumed has its folder, its classes and its weights: leave them out"
            }
            None if self.from.is_some() => {
                "a new run has no checkpoint to begin from: resume a run"
            }
            None if self.resume_existing && self.run_dir.is_none() => {
                "name the folder of the run that may be resumed"
            }
            _ => return Ok(()),
        };
        Err(Error::Request(problem.into()))
    }

    fn resumed_session(
        &self,
        resumed: Run,
        config: RunConfig,
        from: ResumeFrom,
        images: &TrainingImages,
        devices: &[Device],
    ) -> Result<(Run, Session<AnyModel>), Error> {
        let dir = resumed.dir;
        let (train, held_out) = (images.train.clone(), images.held_out.clone());
        let session = Session::resume(dir.clone(), config.clone(), train, held_out, devices, from)?;
        Ok((Run::new(dir, config), session))
    }
}

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use burn::tensor::Device;
use burn::train::Interrupter;
use pixel_iqn_data::ImageDataset;

use super::{Context, Notices, Outputs, Session};
use crate::checkpoint::Checkpoint;
use crate::data_config::digest;
use crate::display::Display;
use crate::error::{RunError, with_causes};
use crate::metrics_log::MetricsLog;
use crate::objective::TrainModel;
use crate::run_config::RunConfig;
use crate::run_dir::{RunDir, read};
use crate::trainer::Trainer;

/// The checkpoint that a run is resumed from.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum ResumeFrom {
    /// The last checkpoint that is whole; where there is none, the run begins again from its seed.
    Last,
    /// The checkpoint after this number of steps; later ones are removed.
    Step(usize),
}

impl<M: TrainModel> Session<M> {
    /// Begins a run in a folder, and writes its config.
    ///
    /// # Errors
    ///
    /// [`RunError::Train`] for a config out of range, [`RunError::NotEmpty`] where the folder has a
    /// run, [`RunError::Locked`] where another process works in it, [`RunError::OtherImages`] where
    /// the digest of the config is not that of the images, and [`RunError::Io`].
    ///
    /// # Panics
    ///
    /// Panics if `devices` is empty, or `M` is not the model of the config's output.
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
        let session = Self::new(run.clone(), config, train, held_out, devices, None, lock);
        let saved = session.and_then(|session| {
            run.save_config(&session.context.config)?;
            Ok(session)
        });
        saved.inspect_err(|_| run.remove_unbegun())
    }

    /// Goes on with the run in a folder.
    ///
    /// `config` is the config of the folder, or differs from it in `checkpoint`, `report`, `data.path` and
    /// `train.skip_bad_steps` alone. Damaged checkpoints are left out and set aside, with a notice.
    ///
    /// # Errors
    ///
    /// The errors of [`start`](Self::start); also [`RunError::Conflict`] where the config is not that of the
    /// checkpoint, [`RunError::NoCheckpoint`] and [`RunError::Checkpoint`] for a checkpoint that
    /// was named, and [`RunError::NoGoodCheckpoint`] where there are some and none can be used.
    ///
    /// # Panics
    ///
    /// Panics where [`start`](Self::start) does.
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
            let reasons = bad.iter().map(|error| with_causes(error));
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
            session.context.notices.push(notice);
        }
        for error in bad {
            session
                .context
                .notices
                .push(format!("WARNING: {}", with_causes(&error)));
        }
        session.context.run.save_config(&session.context.config)?;
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
        run.remove_leftovers()?;
        let checkpoints = run.checkpoints(&config);
        let mut trainer = Trainer::on_devices(&config.model, config.train.clone(), devices)?;
        let mut notices = Notices::held();
        let (mut best, mut seconds) = (None, 0.0);
        match (checkpoint, &config.train.init) {
            (Some(Checkpoint { manifest, tensors }), _) => {
                trainer.restore(manifest.counters, &tensors)?;
                (best, seconds) = (manifest.best, manifest.seconds);
            }
            (None, Some(init)) => {
                let path = Path::new(init);
                let bytes = read(path)?;
                let begun = trainer.begin_from(&bytes);
                let differences = begun.map_err(|source| RunError::Weights {
                    path: path.to_owned(),
                    source,
                })?;
                notices.push(format!("the weights are those of {init}"));
                for difference in differences {
                    notices.push(format!("NOTE: {difference}"));
                }
            }
            (None, None) => {}
        }
        let step = trainer.steps_done();
        let (log, history, missing) = MetricsLog::open(run.file("metrics.jsonl"), step)?;
        if missing > 0 {
            let path = log.path().display();
            notices.push(format!("WARNING: {path} lacks {missing} of {step} steps"));
        }
        checkpoints.rewind(step)?;
        Ok(Self {
            context: Context {
                run,
                config,
                trainer,
                history,
                best,
                interrupter: Interrupter::new(),
                notices,
                seconds_before: seconds,
                started: Instant::now(),
            },
            train,
            held_out,
            outputs: Outputs {
                checkpoints,
                log,
                display: Display::Plain,
                sampler: None,
                on_step: Box::new(|_| ()),
            },
            _lock: lock,
        })
    }
}

use std::ffi::OsStr;
use std::fs::{self, File, TryLockError};
use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pixel_iqn_core::{PixelModel, weights};
use pixel_iqn_data::write_atomically;
use serde::Serialize;

use crate::checkpoints::Checkpoints;
use crate::error::{RunError, SettingsError, at};
use crate::run_config::RunConfig;
use crate::sums::{SUMS, Sums};

/// The folder of one training run.
///
/// | file | content |
/// |---|---|
/// | `config.toml` | the [`RunConfig`] |
/// | `metrics.jsonl` | one [`Metrics`](crate::Metrics) per line and step |
/// | `checkpoints/` | the [`Checkpoints`] |
/// | `weights.safetensors` | the weights at the last checkpoint |
/// | `averaged.safetensors` | the average of the weights then: use this one |
/// | `SHA256` | the checksums of both, which are compared when they are read |
/// | `grids/` | an image grid of samples every few minutes, named after the steps done |
/// | `tensorboard/` | event files for TensorBoard |
/// | `scores.json` | the [`ConditionalScores`](pixel_iqn_score::ConditionalScores) on held-out images |
/// | `curve.png`, `samples.png`, `inpainting.png` | pictures |
/// | `lock` | held by the process that trains |
///
/// The metrics and the event files grow line by line; all other files are there whole or not at all.
///
/// A trained model that is passed on is such a folder with `config.toml`, the averaged weights as
/// `weights.safetensors`, and `SHA256` alone: see [`best_weights`](Self::best_weights).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// The two kinds of weights that a run folder holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum Weights {
    /// The weights after the last step.
    Raw,
    /// The exponential moving average of the weights.
    Averaged,
}

impl Weights {
    fn file_name(self) -> &'static str {
        match self {
            Self::Raw => "weights.safetensors",
            Self::Averaged => "averaged.safetensors",
        }
    }
}

const LOCK: &str = "lock";

impl RunDir {
    /// Creates the folder of a new run, with its parents.
    ///
    /// # Errors
    ///
    /// [`RunError::NotEmpty`] where the folder has files of a run in it, and [`RunError::Io`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RunError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(at(&path))?;
        for entry in fs::read_dir(&path).map_err(at(&path))? {
            // What a run leaves that could not begin, or was ended before it had a config: the metrics
            // are opened first.
            let entry = entry.map_err(at(&path))?;
            let name = entry.file_name();
            let part = ["config.toml", "metrics.jsonl"].map(|file| is_leftover(&name, file));
            let no_metrics =
                name == "metrics.jsonl" && entry.metadata().is_ok_and(|file| file.len() == 0);
            if name != LOCK && !part.contains(&true) && !no_metrics {
                return Err(RunError::NotEmpty(path));
            }
        }
        Ok(Self { path })
    }

    /// Creates the first folder `name-1`, `name-2`, ... of `parent` that is not there yet.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn create_next(parent: impl AsRef<Path>, name: &str) -> Result<Self, RunError> {
        let parent = parent.as_ref();
        fs::create_dir_all(parent).map_err(at(parent))?;
        let mut number = 1;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(at(&path)(error)),
            }
        }
    }

    /// Opens the folder of a run and reads its config.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] where there is no config, [`RunError::Config`] where it cannot be
    /// used, and [`RunError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, RunConfig), RunError> {
        let run = Self { path: path.into() };
        let path = run.file("config.toml");
        let old = run.file("config.json");
        // Beside weights it is the config of trained weights, which are no run.
        let is_old = old.exists() && !run.file("weights.safetensors").exists();
        if is_old && !path.exists() {
            let (found, expected) = (Some(1), RunConfig::VERSION);
            let source = SettingsError::Version { found, expected };
            return Err(RunError::Config { path: old, source });
        }
        let text = read(&path)?;
        match RunConfig::from_toml(&String::from_utf8_lossy(&text)) {
            Ok(config) => Ok((run, config)),
            Err(source) => Err(RunError::Config { path, source }),
        }
    }

    /// Makes this process the only one that trains in the folder, until the file is dropped or the
    /// process ends, however it ends.
    ///
    /// # Errors
    ///
    /// [`RunError::Locked`] where another process does, and [`RunError::Io`]. On a file system
    /// without locks there is no such check.
    pub(crate) fn lock(&self) -> Result<File, RunError> {
        let path = self.file(LOCK);
        let file = File::create(&path).map_err(at(&path))?;
        match file.try_lock() {
            Ok(()) => Ok(file),
            Err(TryLockError::WouldBlock) => Err(RunError::Locked(self.path.clone())),
            // A file system without locks.
            Err(TryLockError::Error(_)) => Ok(file),
        }
    }

    /// Removes what a session has written that could not begin, and the folder where nothing else is
    /// in it. This is a courtesy: what cannot be removed stays.
    pub(crate) fn remove_unbegun(&self) {
        let _ = fs::remove_file(self.file(LOCK));
        let metrics = self.file("metrics.jsonl");
        if fs::metadata(&metrics).is_ok_and(|file| file.len() == 0) {
            let _ = fs::remove_file(metrics);
        }
        let _ = fs::remove_dir(&self.path);
    }

    /// Removes what a killed session left of the files that it was writing. Only a session that has
    /// the [lock](Self::lock) may do so.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub(crate) fn remove_leftovers(&self) -> Result<(), RunError> {
        let files = [
            "config.toml",
            "metrics.jsonl",
            Weights::Raw.file_name(),
            Weights::Averaged.file_name(),
            SUMS,
            "curve.png",
        ];
        // Other programs may write other files of the run at this time, and have left some.
        pixel_iqn_data::remove_leftovers(&self.path, |_| true);
        let of_session = |name: &OsStr| files.iter().any(|file| is_leftover(name, file));
        remove_files(&self.path, of_session)?;
        remove_files(&self.file("grids"), |name| is_leftover(name, ""))
    }

    /// The checkpoints of the run.
    pub fn checkpoints(&self, config: &RunConfig) -> Checkpoints {
        Checkpoints::new(self.file("checkpoints"), config.checkpoint.keep)
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The weights to draw with and to begin from: the averaged ones. Where the checksums of the folder
    /// know `weights.safetensors` and not the others, as in a model that was passed on without its run, those
    /// are the averaged ones.
    pub fn best_weights(&self) -> Weights {
        let names = Sums::of(&self.path).names();
        let has = |which: Weights| names.iter().any(|name| name == which.file_name());
        match has(Weights::Raw) && !has(Weights::Averaged) {
            true => Weights::Raw,
            false => Weights::Averaged,
        }
    }

    /// The path of a file of weights.
    pub fn weights(&self, which: Weights) -> PathBuf {
        self.file(which.file_name())
    }

    /// The path of a file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    ///
    /// [`RunError::Json`] for a value that JSON cannot hold, and [`RunError::Io`].
    pub fn save_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let path = self.file(name);
        match serde_json::to_string_pretty(value) {
            Ok(json) => Ok(write_atomically(&path, format!("{json}\n").as_bytes())?),
            Err(error) => Err(RunError::Json {
                path,
                source: error.into(),
            }),
        }
    }

    /// Writes the config.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn save_config(&self, config: &RunConfig) -> Result<(), RunError> {
        Ok(write_atomically(
            &self.file("config.toml"),
            config.to_toml().as_bytes(),
        )?)
    }

    /// Writes the weights of a model.
    ///
    /// # Errors
    ///
    /// [`RunError::Weights`] where they cannot be read from the device, and [`RunError::Io`].
    pub fn save_weights<M: PixelModel>(&self, which: Weights, model: &M) -> Result<(), RunError> {
        let path = self.weights(which);
        match weights::to_safetensors(model) {
            Ok(bytes) => Sums::of(&self.path).write(which.file_name(), &bytes),
            Err(source) => Err(RunError::Weights { path, source }),
        }
    }

    /// Creates the model of the run's config and loads weights into it.
    ///
    /// # Errors
    ///
    /// The errors of [`read_weights`](Self::read_weights), and [`RunError::Weights`] where they are not
    /// of this model.
    ///
    /// # Panics
    ///
    /// Panics if `M` is not the model of the config's output.
    pub fn load_weights<M: PixelModel>(
        &self,
        which: Weights,
        config: &RunConfig,
        device: &Device,
    ) -> Result<M, RunError> {
        let bytes = self.read_weights(which)?;
        let mut model = M::init(&config.model, device);
        match weights::load_safetensors(&mut model, &bytes) {
            Ok(_) => Ok(model),
            Err(source) => Err(RunError::Weights {
                path: self.weights(which),
                source,
            }),
        }
    }

    /// Reads a file of weights, and compares it with its checksum.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] where the run saved no weights, [`RunError::Changed`] and
    /// [`RunError::NoChecksum`] where they are not those that were saved, and [`RunError::Io`].
    pub fn read_weights(&self, which: Weights) -> Result<Vec<u8>, RunError> {
        let bytes = read(&self.weights(which))?;
        Sums::of(&self.path).check(which.file_name(), &bytes)?;
        Ok(bytes)
    }
}

/// Whether a name is that of a temporary file from which
/// [`write_atomically`](pixel_iqn_data::write_atomically) makes `file`, or any file if that is empty.
fn is_leftover(name: &OsStr, file: &str) -> bool {
    let name = name.to_string_lossy();
    let rest = name.strip_prefix('.').and_then(|n| n.strip_prefix(file));
    rest.is_some_and(|rest| rest.ends_with(".part"))
}

/// Removes the files of a folder, which need not be there, whose names are `unwanted`.
fn remove_files(folder: &Path, unwanted: impl Fn(&OsStr) -> bool) -> Result<(), RunError> {
    let entries = match fs::read_dir(folder) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(at(folder)(error)),
    };
    for entry in entries {
        let entry = entry.map_err(at(folder))?;
        let path = entry.path();
        if unwanted(&entry.file_name()) && path.is_file() {
            fs::remove_file(&path).map_err(at(&path))?;
        }
    }
    Ok(())
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RunError::Missing { path: path.into() },
        _ => at(path)(error),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_config::tests::config;
    use pixel_iqn_core::PixelIqn;

    #[test]
    fn a_model_that_was_passed_on_has_its_averaged_weights_alone() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path()).unwrap();
        assert_eq!(run.best_weights(), Weights::Averaged);
        let model = config().model.init_pixel_iqn(&Device::flex());
        run.save_weights(Weights::Raw, &model).unwrap();
        assert_eq!(run.best_weights(), Weights::Raw);
        run.save_weights(Weights::Averaged, &model).unwrap();
        assert_eq!(run.best_weights(), Weights::Averaged);
        // A run whose averaged weights were lost says so, in place of drawing with others.
        fs::remove_file(run.weights(Weights::Averaged)).unwrap();
        assert_eq!(run.best_weights(), Weights::Averaged);
    }

    #[test]
    fn a_run_that_was_ended_before_it_had_a_config_can_begin_again() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, text: &str| fs::write(folder.path().join(name), text).unwrap();
        for name in [
            LOCK,
            ".config.toml.1.part",
            ".metrics.jsonl.2.part",
            "metrics.jsonl",
        ] {
            write(name, "");
        }
        RunDir::create(folder.path()).unwrap();
        write("metrics.jsonl", "{}\n");
        let error = RunDir::create(folder.path()).unwrap_err();
        assert!(matches!(error, RunError::NotEmpty(_)), "{error}");
    }

    #[test]
    fn a_saved_run_opens_with_the_same_config_and_weights() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path().join("a/b")).unwrap();
        let device = Device::flex();
        let config = config();
        let model = config.model.init_pixel_iqn(&device);
        run.save_config(&config).unwrap();
        run.save_weights(Weights::Averaged, &model).unwrap();

        let (opened, read) = RunDir::open(run.path()).unwrap();
        assert_eq!((&opened, &read), (&run, &config));
        let loaded: PixelIqn = run
            .load_weights(Weights::Averaged, &config, &device)
            .unwrap();
        assert_eq!(
            weights::to_safetensors(&loaded).unwrap(),
            weights::to_safetensors(&model).unwrap()
        );

        let error = run.load_weights::<PixelIqn>(Weights::Raw, &config, &device);
        assert!(matches!(error, Err(RunError::Missing { .. })), "{error:?}");
        let mut deeper = config;
        deeper.model.layers += 1;
        let error = run.load_weights::<PixelIqn>(Weights::Averaged, &deeper, &device);
        assert!(matches!(error, Err(RunError::Weights { .. })), "{error:?}");
    }

    #[test]
    fn configs_that_cannot_be_used_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RunDir::open(folder.path()).unwrap_err();
        let write = |text: &str| fs::write(folder.path().join("config.toml"), text).unwrap();
        let good = config().to_toml();

        let error = open();
        assert!(matches!(error, RunError::Missing { .. }), "{error}");
        // What version 1 wrote.
        fs::write(folder.path().join("config.json"), "{}").unwrap();
        let error = open();
        assert!(matches!(error, RunError::Config { .. }), "{error}");
        for bad in [
            good[..good.len() / 2].to_owned(),
            "version = 99\nall = \"new\"\n".to_owned(),
            good.replace("layers = 3", "layers = 0"),
            good.replace("batch = 2", "batch = 0"),
            good.replace("batch = 2", "bitch = 2"),
        ] {
            write(&bad);
            let error = open();
            assert!(matches!(error, RunError::Config { .. }), "{error}");
        }
        write(&good);
        assert_eq!(RunDir::open(folder.path()).unwrap().1, config());
    }

    #[test]
    fn one_process_trains_in_a_folder() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path()).unwrap();
        let lock = run.lock().unwrap();
        let error = run.lock().unwrap_err();
        assert!(matches!(error, RunError::Locked(_)), "{error}");
        drop(lock);
        run.lock().unwrap();
        // A lock alone is no run.
        RunDir::create(folder.path()).unwrap();
    }

    #[test]
    fn what_a_killed_session_left_is_removed_and_keeps_no_run_from_beginning() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path()).unwrap();
        fs::write(run.file(".config.toml.7-0.part"), "half").unwrap();
        RunDir::create(folder.path()).unwrap();

        fs::create_dir(run.file("grids")).unwrap();
        let left = [
            ".averaged.safetensors.7-1.part",
            ".metrics.jsonl.7-2.part",
            "grids/.00000005.png.7-3.part",
        ];
        // Of another program, and files that are whole.
        let of_another = format!(".scores.json.{}-0.part", std::process::id());
        let kept = [&of_another, "curve.png", "grids/00000005.png"];
        for name in left.iter().chain(&kept) {
            fs::write(run.file(name), "x").unwrap();
        }
        run.remove_leftovers().unwrap();
        assert!(left.iter().all(|name| !run.file(name).exists()));
        assert!(kept.iter().all(|name| run.file(name).exists()));
        assert!(!run.file(".config.toml.7-0.part").exists());
    }

    #[test]
    fn a_run_never_overwrites_another() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunDir::create_next(folder.path(), "mnist").unwrap();
        let second = RunDir::create_next(folder.path(), "mnist").unwrap();
        assert!(first.path().ends_with("mnist-1") && second.path().ends_with("mnist-2"));

        RunDir::create(first.path()).unwrap();
        first.save_config(&config()).unwrap();
        let error = RunDir::create(first.path()).unwrap_err();
        assert!(matches!(error, RunError::NotEmpty(_)), "{error}");
    }
}

use std::io;
use std::path::{Path, PathBuf};

use pixel_iqn_core::SampleError;
use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_score::ScoreError;

use super::{SettingsError, Source, TrainError};

/// Why a run cannot go on, or its folder cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder of a new run has files in it.
    #[error("{} is not empty: choose another folder, or empty it first{}", .0.display(), advice_on_run(.0))]
    NotEmpty(PathBuf),
    /// A file that every run has is not there.
    #[error("{} is missing: is {} the folder of a run, and did it save this?", path.display(), path.parent().unwrap_or(path).display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// A file of weights is not the one that was written.
    #[error(
        "{} is not what was written{}: its checksum is not the one in {}. Take a copy that is whole, or an \
         earlier one from `checkpoints`; `sample` and `inpaint` read a file that was changed on purpose \
         by --weights FILE",
        path.display(),
        found.as_ref().map_or_else(String::new, |found| format!(" but {found}")),
        sums.display()
    )]
    #[non_exhaustive]
    Changed {
        /// The file.
        path: PathBuf,
        /// The file of checksums.
        sums: PathBuf,
        /// What stands in the place of the weights, where that can be told.
        found: Option<String>,
    },
    /// A file of weights is in a folder with a file of checksums, which does not have that of it.
    #[error(
        "{} has no checksum in {}, which is damaged, or the weights are of another run: delete the \
         latter to read them unchecked",
        path.display(),
        sums.display()
    )]
    NoChecksum {
        /// The file.
        path: PathBuf,
        /// The file of checksums.
        sums: PathBuf,
    },
    /// The operating system refused to read or write.
    #[error("cannot read or write {}{}", path.display(), advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// The operating system refused to write.
    #[error("cannot write {}{}", path.display(), advice(source))]
    Write {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A value cannot be written as JSON.
    #[error("cannot write {} as JSON", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: Source,
    },
    /// The config cannot be used.
    #[error("{} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SettingsError,
    },
    /// A setting that was given as text cannot be used.
    #[error("cannot set `{setting}`")]
    Setting {
        /// The setting, as it was given.
        setting: String,
        /// What is wrong.
        source: SettingsError,
    },
    /// A checkpoint is damaged, or of another version or program.
    #[error("the checkpoint {} cannot be used: {reason}", path.display())]
    Checkpoint {
        /// The folder of the checkpoint.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no checkpoint after this number of steps.
    #[error("there is no checkpoint {}: there are those after {} steps", path.display(), list(steps))]
    NoCheckpoint {
        /// Where it would be.
        path: PathBuf,
        /// The steps of the checkpoints that there are.
        steps: Vec<usize>,
    },
    /// There are checkpoints, and none of them can be used; the texts say why.
    #[error("no checkpoint can be used: {}; start again in another folder", .0.join("; "))]
    NoGoodCheckpoint(Vec<String>),
    /// The config of a run is not that of its checkpoint.
    #[error(
        "the config disagrees with the checkpoint {}: {}; a run keeps its config, and a new run with \
         another one, such as more steps, can begin from its weights (`train --init`)",
        path.display(),
        conflicts.join("; ")
    )]
    Conflict {
        /// The folder of the checkpoint.
        path: PathBuf,
        /// One text for each field that differs, with both values.
        conflicts: Vec<String>,
    },
    /// Another process works in the folder.
    #[error("another process trains in {}: wait for it, or end it", .0.display())]
    Locked(PathBuf),
    /// The images are not those of the run.
    #[error(
        "the images in the data set are not those that the run began with (their digest is {found}, not {expected}): take the images of the run"
    )]
    OtherImages {
        /// The digest of the images.
        found: String,
        /// The digest in the config.
        expected: String,
    },
    /// Training cannot start or go on.
    #[error("cannot train")]
    Train(#[from] TrainError),
    /// Signals cannot be listened to.
    #[error("cannot listen for Ctrl-C")]
    Signals(#[source] io::Error),
    /// The weights are not those of the config's model.
    #[error("the weights {} cannot be used", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// An image could not be written.
    #[error(transparent)]
    Data(pixel_iqn_data::DataError),
    /// The model could not be evaluated on held-out images.
    #[error(transparent)]
    Score(#[from] ScoreError),
    /// Images could not be sampled.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A plot could not be drawn.
    #[error("cannot draw {}: {message}", path.display())]
    Plot {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        message: String,
    },
}

impl From<pixel_iqn_data::DataError> for RunError {
    fn from(error: pixel_iqn_data::DataError) -> Self {
        match error {
            // With advice on what to do.
            pixel_iqn_data::DataError::Io { path, source } => Self::Io { path, source },
            pixel_iqn_data::DataError::Write { path, source, .. } => Self::Write { path, source },
            error => Self::Data(error),
        }
    }
}

/// What to do instead with a folder that has a run.
fn advice_on_run(folder: &Path) -> &'static str {
    match folder.join("config.toml").exists() {
        true => {
            ". It has a run: `train --resume` goes on with it, and `train --init` begins a new one, also a \
             longer one, from its weights"
        }
        false => "",
    }
}

/// What to do about an error of the operating system, whose own words are the source.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            ": make room on the disk and resume; what was written before is whole"
        }
        io::ErrorKind::PermissionDenied => ": check who owns it",
        _ => "",
    }
}

fn list(steps: &[usize]) -> String {
    match steps {
        [] => "no".into(),
        steps => {
            let steps: Vec<String> = steps.iter().map(ToString::to_string).collect();
            steps.join(", ")
        }
    }
}

/// Attaches the path to an I/O error: `fs::read(path).map_err(at(path))`.
pub(crate) fn at(path: &Path) -> impl FnOnce(io::Error) -> RunError {
    |source| RunError::Io {
        path: path.to_owned(),
        source,
    }
}

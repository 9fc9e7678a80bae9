use std::io;
use std::path::PathBuf;

use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_core::{ConfigError, SampleError};
use safetensors::SafeTensorError;

/// Why training cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A field of a [`TrainConfig`](crate::TrainConfig) is out of range.
    #[error("`{name}` of the training config must be {range}")]
    Config {
        /// The field.
        name: &'static str,
        /// What it must be.
        range: &'static str,
    },
    /// The architecture cannot be built.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The loss or the gradient is no longer a number.
    #[error(
        "after {step} steps the loss is {loss} and the norm of the gradient {grad_norm}, with the \
         learning rate {learning_rate:e}: begin again with a lower learning rate, or resume from an \
         earlier checkpoint, with `train.skip_bad_steps` to leave out such steps (which gives up \
         after 100 of them in a row)"
    )]
    NotFinite {
        /// Steps done before this one, whose update was not made.
        step: usize,
        /// The loss.
        loss: f32,
        /// The norm of all gradients together.
        grad_norm: f32,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// The device failed.
    #[error("the device failed: {0}")]
    Device(String),
    /// The weights cannot be read, or are not those of this model.
    #[error("the state of training does not fit")]
    State(#[from] WeightsError),
    /// The file of the state is not what it should be.
    #[error("the state of training cannot be written or read")]
    Tensors(#[from] SafeTensorError),
}

/// Why a config cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// Not TOML, or a value of another type; the text says where.
    #[error("{0}")]
    Toml(String),
    /// A key that no config has.
    #[error("unknown key `{key}`: did you mean `{nearest}`?")]
    UnknownKey {
        /// The key.
        key: String,
        /// The most similar one that there is.
        nearest: String,
    },
    /// A key that stands in several sections.
    #[error("`{key}` may be `{first}` or `{second}`: write the section too")]
    Ambiguous {
        /// The key.
        key: String,
        /// One place.
        first: String,
        /// Another.
        second: String,
    },
    /// A section where a value stands.
    #[error("`{0}` is a section: its keys have values, it has none")]
    Section(String),
    /// A setting without `=`.
    #[error("`{0}` has no value: write KEY=VALUE")]
    NoValue(String),
    /// The config is of a version that this crate does not read.
    #[error("the config has {}, but this program reads version {expected}", found.map_or("no version".into(), |v| format!("version {v}")))]
    Version {
        /// Its version.
        found: Option<i64>,
        /// The version that can be read.
        expected: u32,
    },
    /// A field is out of range.
    #[error(transparent)]
    Invalid(#[from] TrainError),
}

impl From<toml::de::Error> for SettingsError {
    fn from(error: toml::de::Error) -> Self {
        Self::Toml(error.to_string().trim_end().replace('\n', " "))
    }
}

/// Why a run folder cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder of a new run has files in it.
    #[error("{} is not empty: choose another folder, or empty it first", .0.display())]
    NotEmpty(PathBuf),
    /// A file that every run has is not there.
    #[error("{} is missing: is {} the folder of a run, and did it save this?", path.display(), path.parent().unwrap_or(path).display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused to read or write.
    #[error("cannot read or write {}: {}", path.display(), advice(source))]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },
    /// A file is not the JSON that belongs there.
    #[error("{} is damaged or of another version of this program", path.display())]
    Json {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: serde_json::Error,
    },
    /// The config cannot be used.
    #[error("{} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: SettingsError,
    },
    /// A checkpoint is damaged, or of another version or program.
    #[error("the checkpoint {} cannot be used: {reason}", path.display())]
    Checkpoint {
        /// Its folder.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// There is no checkpoint after this number of steps.
    #[error("there is no checkpoint {}: there are those after {} steps", path.display(), list(steps))]
    NoCheckpoint {
        /// Where it would be.
        path: PathBuf,
        /// The steps of those that there are.
        steps: Vec<usize>,
    },
    /// No checkpoint of a run can be used.
    #[error("no checkpoint can be used: {}; start again in another folder", .0.join("; "))]
    NoGoodCheckpoint(Vec<String>),
    /// The config of a run is not that of its checkpoint.
    #[error("the config disagrees with the checkpoint {}: {}", path.display(), conflicts.join("; "))]
    Conflict {
        /// The folder of the checkpoint.
        path: PathBuf,
        /// One text per field, with both values.
        conflicts: Vec<String>,
    },
    /// Another process works in the folder.
    #[error("another process trains in {}: wait for it, or end it", .0.display())]
    Locked(PathBuf),
    /// The images are not those of the run.
    #[error(
        "the images in the data set are not those that the run began with (their digest is {found}, not {expected}): give the right folder with `data.path`"
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
    #[error("{} does not fit the model of `config.toml`", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// An image could not be written.
    #[error(transparent)]
    Data(#[from] pixel_iqn_data::DataError),
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

/// What the operating system said is the source; this is what to do about it.
fn advice(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::StorageFull | io::ErrorKind::QuotaExceeded => {
            "the disk is full; what was written before is whole: make room and resume"
        }
        io::ErrorKind::PermissionDenied => "permission denied; check who owns it",
        io::ErrorKind::NotFound => "it is not there",
        _ => "the operating system refused",
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
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> RunError {
    |source| RunError::Io {
        path: path.to_owned(),
        source,
    }
}

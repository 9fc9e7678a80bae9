use std::io;
use std::path::PathBuf;

use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_core::{ConfigError, SampleError};

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
    /// The loss is no longer a number.
    #[error(
        "the loss is {loss} at step {step} with the learning rate {learning_rate:e}: \
         train with a lower learning rate"
    )]
    NotFinite {
        /// The step, counted from 0, whose update was not made.
        step: usize,
        /// The loss.
        loss: f32,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// The device failed.
    #[error("cannot read from the device: {0}")]
    Device(String),
}

/// Why a run folder cannot be written or read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum RunError {
    /// The folder of a new run has files in it.
    #[error("{} is not empty: choose another folder, or empty it first", .0.display())]
    NotEmpty(PathBuf),
    /// A file that every run has is not there.
    #[error("{} is missing: is {} the folder of a run that saved its weights?", path.display(), path.parent().unwrap_or(path).display())]
    Missing {
        /// The file.
        path: PathBuf,
    },
    /// The operating system refused to read or write.
    #[error("cannot read or write {}", path.display())]
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
    /// The config is of a version that this crate does not read.
    #[error("{} has version {found}, but this program reads version {expected}", path.display())]
    Version {
        /// The file.
        path: PathBuf,
        /// Its version.
        found: u32,
        /// The version that can be read.
        expected: u32,
    },
    /// The config describes a model that cannot be built.
    #[error("{} cannot be used", path.display())]
    Config {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: TrainError,
    },
    /// The weights are not those of the config's model.
    #[error("{} does not fit the model of `config.json`", path.display())]
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

/// Attaches the path to an I/O error: `fs::read(path).map_err(at(path))`.
pub(crate) fn at(path: &std::path::Path) -> impl FnOnce(io::Error) -> RunError {
    |source| RunError::Io {
        path: path.to_owned(),
        source,
    }
}

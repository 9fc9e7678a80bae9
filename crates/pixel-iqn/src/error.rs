use std::path::PathBuf;

use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_core::{Cancelled, ConfigError, SampleError};
use pixel_iqn_data::DataError;
use pixel_iqn_score::ScoreError;
use pixel_iqn_train::{RunError, SettingsError, TrainError};

use crate::device::DeviceError;

/// Why a [`Model`](crate::Model) or a [`Run`](crate::Run) cannot do what it was asked to.
///
/// The message of an underlying error is not repeated here: it is the
/// [`source`](std::error::Error::source), which reporters such as `anyhow` print after a colon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum Error {
    /// There is no such device.
    #[error(transparent)]
    Device(#[from] DeviceError),
    /// Images cannot be read or written.
    #[error(transparent)]
    Data(#[from] DataError),
    /// A run folder cannot be read or written, or its training failed.
    #[error(transparent)]
    Run(RunError),
    /// The config of a run cannot be read or changed as asked.
    #[error(transparent)]
    Settings(#[from] SettingsError),
    /// The preset of a model does not exist.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The config of trained weights cannot be used.
    #[error("the model config {} cannot be used", path.display())]
    ModelConfig {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: ConfigError,
    },
    /// Weights cannot be loaded.
    #[error("the weights {} cannot be used", path.display())]
    Weights {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        source: WeightsError,
    },
    /// Weights cannot be read back from their device.
    #[error(transparent)]
    Read(WeightsError),
    /// A folder holds neither a run nor weights with their config.
    #[error(
        "{} is neither the folder of a run (config.toml) nor of trained weights (config.json and \
         weights.safetensors); a shipped model is opened by its name, as `--model shapes`",
        .0.display()
    )]
    NoModel(PathBuf),
    /// There is no shipped model of this name.
    #[error(
        "there is no shipped model `{name}`: there is {known}; a model of your own is opened by its \
         folder, as a run"
    )]
    Pretrained {
        /// The name.
        name: String,
        /// The names that there are, separated by commas.
        known: String,
    },
    /// A model cannot be asked for this; the text says why and what to do.
    #[error("{0}")]
    Request(String),
    /// A file cannot be read.
    #[error("cannot read {}", path.display())]
    Io {
        /// The file.
        path: PathBuf,
        /// What the operating system said.
        source: std::io::Error,
    },
    /// The system has no threads left to compute with.
    #[error(
        "cannot start the threads that compute: raise the limit on processes (`ulimit -u`), end others, or \
         set RAYON_NUM_THREADS to fewer"
    )]
    Threads(#[source] std::io::Error),
    /// Images cannot be sampled.
    #[error(transparent)]
    Sample(SampleError),
    /// Held-out images cannot be scored.
    #[error(transparent)]
    Score(ScoreError),
    /// The progress broke off.
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl From<RunError> for Error {
    fn from(error: RunError) -> Self {
        match error {
            RunError::Data(error) => error.into(),
            RunError::Sample(error) => error.into(),
            RunError::Score(error) => error.into(),
            error => Self::Run(error),
        }
    }
}

impl From<SampleError> for Error {
    fn from(error: SampleError) -> Self {
        match error {
            SampleError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Sample(error),
        }
    }
}

impl From<ScoreError> for Error {
    fn from(error: ScoreError) -> Self {
        match error {
            ScoreError::Cancelled(cancelled) => cancelled.into(),
            error => Self::Score(error),
        }
    }
}

impl From<TrainError> for Error {
    fn from(error: TrainError) -> Self {
        Self::Run(error.into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cancellation_is_one_wherever_it_comes_from() {
        let sample = || SampleError::from(Cancelled);
        let score = || ScoreError::from(Cancelled);
        for error in [
            Error::from(sample()),
            Error::from(score()),
            Error::from(RunError::from(sample())),
            Error::from(RunError::from(score())),
        ] {
            assert!(matches!(error, Error::Cancelled(Cancelled)), "{error:?}");
        }
    }
}

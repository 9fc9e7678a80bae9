use crate::weights::WeightsError;
use crate::{ConfigError, SampleError};

/// The error of a case that cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The vectors are not a safetensors file, or not the JSON that is expected; the message says
    /// what is wrong.
    #[error("not the file that is expected: {0}")]
    Format(String),
    /// The weights are not those of the config.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The inputs cannot be sampled at.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A tensor is missing, or has another shape or type than the config needs; the message names
    /// it.
    #[error("{0}")]
    Tensor(String),
}

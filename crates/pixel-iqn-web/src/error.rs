use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_core::{ConfigError, SampleError};

/// The error of a request from the page.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WebError {
    /// The config of the model cannot be read.
    #[error("the config of the model cannot be used: {0}")]
    Config(#[from] ConfigError),
    /// The weights are not those of the model.
    #[error("the weights of the model cannot be used: {0}")]
    Weights(#[from] WeightsError),
    /// The request is not what this program reads.
    #[error("the request cannot be read, so the page and the program are of two versions: {0}")]
    Request(#[from] serde_json::Error),
    /// The request does not fit the model; the message says why.
    #[error("{0}")]
    Invalid(String),
    /// The model cannot carry out the request.
    #[error(transparent)]
    Sample(#[from] SampleError),
}

//! Verifies a model against test vectors of another implementation.
//!
//! A case is a config and a safetensors file. The file has the weights under
//! `weight/<name>`, the inputs `x`, `tau`, `labels` and
//! `levels`, and the results of the other implementation: `output`,
//! `loss`, the gradients of the loss under `grad/<name>` and, for an output that predicts
//! quantiles, `sample`, the image sampled at `tau`. The reference implementation writes such files.

mod case;
mod vectors;

use burn::tensor::Device;

use crate::weights::WeightsError;
use crate::{ConfigError, Lowering, ModelConfig, SampleError};

use case::Case;

/// The largest absolute difference that is allowed for outputs and losses.
pub const MAX_ABS: f64 = 1e-4;
/// The largest relative difference that is allowed for gradients.
pub const MAX_REL_GRAD: f64 = 1e-3;
/// The largest fraction of the values of sampled images that may have another intensity level.
///
/// Where a prediction is near the border between two levels, backends that round differently choose
/// different levels, and later values depend on the choice. Equal images cannot be required of
/// them. The limit is our choice.
pub const MAX_UNEQUAL: f64 = 0.01;

/// The largest differences from the vectors of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Differences {
    /// The largest absolute difference of the model's output.
    pub output: f64,
    /// The absolute difference of the loss.
    pub loss: f64,
    /// The largest relative difference of a gradient: for each weight tensor, the largest
    /// difference over the largest absolute value of its gradient.
    pub grad: f64,
    /// The fraction of values with another intensity level in the images of the naive or the
    /// incremental sampler, whichever is larger; `None` for a case without images.
    pub unequal: Option<f64>,
}

impl Differences {
    /// Whether all differences are within [`MAX_ABS`], [`MAX_REL_GRAD`] and [`MAX_UNEQUAL`].
    pub fn ok(&self) -> bool {
        self.output <= MAX_ABS
            && self.loss <= MAX_ABS
            && self.grad <= MAX_REL_GRAD
            && self.unequal.is_none_or(|fraction| fraction <= MAX_UNEQUAL)
    }
}

/// The error of a case that cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The vectors are not a safetensors file; the message says what is wrong.
    #[error("not a safetensors file: {0}")]
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

/// Runs a case on `device` with a lowering of the convolutions, and compares the results.
///
/// `device` is given without autodiff, which is added here.
///
/// # Errors
///
/// [`ParityError`] where the case cannot be run. A large difference is not an error: see
/// [`Differences::ok`].
pub fn check(
    config: &str,
    vectors: &[u8],
    device: &Device,
    lowering: Lowering,
) -> Result<Differences, ParityError> {
    let config = ModelConfig::from_json(config)?;
    let case = Case::new(&config, vectors, device, lowering)?;
    if config.output.is_quantile() {
        case.quantile(&config)
    } else {
        case.categorical(&config)
    }
}

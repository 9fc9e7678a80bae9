use std::io;
use std::path::{Path, PathBuf};

use burn::tensor::ExecutionError;
use pixel_iqn_core::Cancelled;

use crate::feature_origin::FeatureOrigin;

/// Why sets of images could not be evaluated.
///
/// The message of an underlying error is not repeated here: it is the
/// [`source`](std::error::Error::source), which reporters such as `anyhow` print after a colon.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum EvalError {
    /// The operating system refused to read or write.
    #[error("cannot read or write {}", path.display())]
    Io {
        /// The file in question.
        path: PathBuf,
        /// What the operating system said.
        source: io::Error,
    },

    /// A file of weights is neither a PyTorch checkpoint nor a safetensors file.
    #[error("{} holds no weights: {problem}", path.display())]
    WeightsFormat {
        /// The file.
        path: PathBuf,
        /// What its reader said.
        problem: String,
    },

    /// The tensors of a file are not those of the network.
    #[error("{} is not the Inception v3 of FID: {}", path.display(), shortened(problems))]
    Weights {
        /// The file.
        path: PathBuf,
        /// One line for each tensor that is missing, superfluous or of another shape.
        problems: Vec<String>,
    },

    /// A file of statistics has no mean and covariance that fit.
    #[error("{} holds no statistics: {problem}", path.display())]
    Statistics {
        /// The file.
        path: PathBuf,
        /// What was expected and what was found.
        problem: String,
    },

    /// Images or features do not have the shape that they are said to have.
    #[error("{0}")]
    Shape(String),

    /// There are fewer images than the score needs.
    #[error("{score} needs at least {least} images in each set, not {given}{hint}")]
    TooFew {
        /// The score.
        score: &'static str,
        /// How many it needs.
        least: usize,
        /// How many there are.
        given: usize,
        /// What to change, after a colon, or nothing.
        hint: &'static str,
    },

    /// The features of two sets were computed in different ways.
    #[error(
        "the features of the two sets cannot be compared: those of the generated images are of {generated}, \
         and those of the real ones of {real}"
    )]
    OtherFeatures {
        /// How those of the generated images were computed.
        generated: FeatureOrigin,
        /// How those of the real images were computed.
        real: FeatureOrigin,
    },

    /// A value that no score can be computed from.
    #[error("{0} are infinite or not a number")]
    NotFinite(&'static str),

    /// An option is out of range.
    #[error("{name} must be {range}")]
    Option {
        /// The option.
        name: &'static str,
        /// What it may be.
        range: &'static str,
    },

    /// A data set or an array could not be read or written.
    #[error(transparent)]
    Data(#[from] pixel_iqn_data::DataError),

    /// The device failed while it ran the network.
    #[error("the device failed")]
    Device(#[from] ExecutionError),

    /// The caller cancelled the work by its [`Progress`](pixel_iqn_core::Progress).
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

impl EvalError {
    pub(crate) fn io(path: &Path) -> impl FnOnce(io::Error) -> Self {
        |source| Self::Io {
            path: path.to_owned(),
            source,
        }
    }
}

/// The first problems, and how many more there are.
fn shortened(problems: &[String]) -> String {
    const SHOWN: usize = 5;
    let text = problems[..problems.len().min(SHOWN)].join("; ");
    match problems.len().saturating_sub(SHOWN) {
        0 => text,
        more => format!("{text}; and {more} more"),
    }
}

/// An error and its causes in one line.
pub(crate) fn with_causes(error: &EvalError) -> String {
    let mut text = error.to_string();
    let mut cause = std::error::Error::source(error);
    while let Some(error) = cause {
        text += &format!(": {error}");
        cause = error.source();
    }
    text
}

use burn::tensor::ExecutionError;
use pixel_iqn_core::Cancelled;

/// Why predicted distributions could not be evaluated.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ScoreError {
    /// An option is out of range.
    #[error("`{name}` must be {range}")]
    Option {
        /// The option.
        name: &'static str,
        /// The range that it must lie in, in words.
        range: &'static str,
    },

    /// The model predicts a quantile or a probability that is infinite or not a number.
    #[error("the predictions are infinite or not a number")]
    NotFinite,

    /// The device failed while it ran the model.
    #[error("the device failed")]
    Device(#[from] ExecutionError),

    /// The caller cancelled the work by its [`Progress`](pixel_iqn_core::Progress).
    #[error(transparent)]
    Cancelled(#[from] Cancelled),
}

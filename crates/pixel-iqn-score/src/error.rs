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

    /// What a batch predicts does not fit into memory. Nothing was reserved.
    #[error(
        "{quantile_levels} quantile levels of a batch of {images} images are too many: take fewer of either"
    )]
    Memory {
        /// The quantile levels asked for.
        quantile_levels: usize,
        /// The images of a batch.
        images: usize,
        /// What is needed and what there is.
        source: pixel_iqn_data::DataError,
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

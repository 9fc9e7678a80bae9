use pixel_iqn_core::ConfigError;
use pixel_iqn_core::weights::WeightsError;

use super::Source;

/// Why training cannot start or go on.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum TrainError {
    /// A field of a [`TrainConfig`](crate::TrainConfig) or a [`RunConfig`](crate::RunConfig) is out
    /// of range.
    #[error("`{name}` of the training config must be {range}")]
    Config {
        /// The name of the field.
        name: &'static str,
        /// What it must be.
        range: &'static str,
    },
    /// The architecture cannot be built.
    #[error(transparent)]
    Model(#[from] ConfigError),
    /// The loss or the gradient is infinite or not a number.
    #[error(
        "after {step} steps the loss is {loss} and the norm of the gradient {grad_norm}, with the \
         learning rate {learning_rate:e}: begin again with a lower learning rate, or resume from an \
         earlier checkpoint, with `train.skip_bad_steps` to leave out such steps (which gives up \
         after 100 of them in a row); on a GPU a wrong kernel can do this, too, and the same steps \
         with `--device cpu` tell"
    )]
    NotFinite {
        /// The number of steps done before this one, whose update was not made.
        step: usize,
        /// The loss.
        loss: f32,
        /// The norm of all gradients together.
        grad_norm: f32,
        /// The learning rate of that step.
        learning_rate: f64,
    },
    /// A device computes wrong gradients: see [`check_gradients`](crate::check_gradients).
    #[error(
        "the device computes wrong gradients: that of `{tensor}` of a small model is off by {off:.1e} of \
         its largest value, so that what it trains would not be the model. Choose another device or \
         crate feature (docs/devices.md says which were checked), or train all the same with \
         --trust-device"
    )]
    WrongGradients {
        /// The name of the weights.
        tensor: String,
        /// The largest difference over the largest value of the gradient.
        off: f64,
    },
    /// A device or processor does not multiply numbers of the precision of the config.
    #[error(
        "`precision` is \"bfloat16\", which only the device cpu has, on a processor with AVX-512 BF16: train \
         with --set train.precision=float32"
    )]
    NoBfloat16,
    /// The device failed; the text says how.
    #[error("the device failed: {0}")]
    Device(String),
    /// The weights cannot be read, or are not those of this model.
    #[error("the state of training does not fit")]
    State(#[from] WeightsError),
    /// The state of training is not a safetensors file, or not one of this crate.
    #[error("the state of training cannot be written or read")]
    Tensors(#[source] Source),
}

impl TrainError {
    pub(crate) fn tensors(error: impl Into<Source>) -> Self {
        Self::Tensors(error.into())
    }
}

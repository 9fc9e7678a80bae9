//! Verifies a model against test vectors of another implementation.
//!
//! A case is a config and a safetensors file. The file has the weights under
//! `weight/<name>`, the inputs `x`, `tau`, `labels`, `order` and
//! `levels`, and the results of the other implementation: `output`,
//! `loss`, the gradients of the loss under `grad/<name>` and, for an output that predicts
//! quantiles, `sample`, the image sampled at `tau`. The reference implementation writes such files.

mod case;
mod differences;
mod error;
mod losses;
mod vectors;

use burn::tensor::Device;

use crate::{Lowering, ModelConfig};

use case::Case;
pub use differences::{Differences, MAX_ABS, MAX_REL_GRAD, MAX_UNEQUAL};
pub use error::ParityError;
pub use losses::{MAX_ABS_LOSS, check_crps, check_losses};

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

//! Saves and loads weights as safetensors, in the layouts of PyTorch.
//!
//! The names are those of the reference implementation, for example `layers.0.vertical.weight`,
//! `hidden.bias`, `tau_embedding.linear.weight` and `out.weight`, so that its `state_dict` loads
//! without a conversion.

mod content;
mod file;
mod named;
#[cfg(feature = "burn")]
mod of_modules;

pub use named::NamedWeights;
#[cfg(feature = "burn")]
pub use of_modules::{begin_from_safetensors, load_safetensors, to_safetensors};

/// The error of weights that cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes are not a safetensors file, or not all of one; the text says what they are.
    #[error("they are {0}")]
    Content(String),
    /// Tensors cannot be read from their device or written; the source says why.
    #[cfg(feature = "burn")]
    #[error("they cannot be read from their device or be written")]
    Format(#[from] burn::store::SafetensorsStoreError),
    /// The tensors of the file are not those of the model, with a message for each that differs.
    #[error("the weights are of another model: {}", first_of(.0))]
    Mismatch(Vec<String>),
    /// A tensor, which is named, has a value that is infinite or not a number.
    #[error(
        "`{0}` has a value that is infinite or not a number in 32 bits: the training that wrote it may \
         have failed, and an earlier checkpoint be whole"
    )]
    NotFinite(String),
}

/// The first problems, and the number of the others.
fn first_of(problems: &[String]) -> String {
    const SHOWN: usize = 2;
    let shown = problems[..problems.len().min(SHOWN)].join("; ");
    match problems.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

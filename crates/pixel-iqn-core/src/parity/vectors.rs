use std::borrow::Cow;
use std::collections::BTreeMap;

use safetensors::SafeTensorError;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use super::error::ParityError;

/// A reader of the tensors in a safetensors file.
pub(super) struct Vectors<'data>(SafeTensors<'data>);

impl<'data> Vectors<'data> {
    /// Reads the header of a file.
    pub(super) fn new(bytes: &'data [u8]) -> Result<Self, ParityError> {
        Ok(Self(SafeTensors::deserialize(bytes).map_err(format_error)?))
    }

    /// The names of all tensors.
    pub(super) fn names(&self) -> Vec<&str> {
        self.0.names()
    }

    /// Finds a tensor by name.
    fn view(&self, name: &str) -> Result<TensorView<'_>, ParityError> {
        let view = self.0.tensor(name);
        view.map_err(|_| ParityError::Tensor(format!("the vectors have no `{name}`")))
    }

    /// The shape of a tensor of 4 axes.
    pub(super) fn dims(&self, name: &str) -> Result<[usize; 4], ParityError> {
        let shape = self.view(name)?.shape().to_vec();
        shape.try_into().map_err(|shape| {
            ParityError::Tensor(format!("`{name}` must have 4 axes, not {shape:?}"))
        })
    }

    /// The values of a tensor of 32-bit floats.
    pub(super) fn float(&self, name: &str) -> Result<Vec<f32>, ParityError> {
        to_f32(name, &self.view(name)?)
    }

    /// The values of a tensor of 32-bit floats that must have the given shape.
    pub(super) fn float_of(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParityError> {
        self.expect_shape(name, shape)?;
        self.float(name)
    }

    /// The values of a tensor of 64-bit integers that must have the given shape.
    pub(super) fn int(&self, name: &str, shape: &[usize]) -> Result<Vec<i64>, ParityError> {
        self.expect_shape(name, shape)?;
        let view = self.view(name)?;
        if view.dtype() != Dtype::I64 {
            return Err(ParityError::Tensor(format!(
                "`{name}` must be I64, not {:?}",
                view.dtype()
            )));
        }
        let values = view.data().chunks_exact(8);
        Ok(values
            .map(|b| i64::from_le_bytes(b.try_into().expect("chunks of 8 bytes")))
            .collect())
    }

    /// Checks the shape of a tensor.
    fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<(), ParityError> {
        let view = self.view(name)?;
        if view.shape() == expected {
            return Ok(());
        }
        Err(ParityError::Tensor(format!(
            "`{name}` must be {expected:?}, not {:?}",
            view.shape()
        )))
    }

    /// Writes the tensors whose name starts with `prefix` as a file of their own, without the
    /// prefix.
    pub(super) fn under(&self, prefix: &str) -> Result<Vec<u8>, ParityError> {
        let tensors: BTreeMap<Cow<'_, str>, TensorView<'_>> = self
            .0
            .iter()
            .filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.into(), view)))
            .collect();
        safetensors::serialize(tensors, None).map_err(format_error)
    }
}

/// Turns an error of the safetensors crate into one of ours, so that its type is not public.
fn format_error(error: SafeTensorError) -> ParityError {
    ParityError::Format(error.to_string())
}

/// The values of a tensor of 32-bit floats.
fn to_f32(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ParityError> {
    if view.dtype() != Dtype::F32 {
        return Err(ParityError::Tensor(format!(
            "`{name}` must be F32, not {:?}",
            view.dtype()
        )));
    }
    let values = view.data().chunks_exact(4);
    Ok(values
        .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of 4 bytes")))
        .collect())
}

use std::collections::BTreeMap;

use super::WeightsError;
use super::file::{Weight, WeightsFile};

/// The weights of a model on the host, by the names of their tensors, for samplers that pack them in
/// layouts of their own.
///
/// [`take`](Self::take) takes one tensor after the other, and [`finish`](Self::finish) says at the end
/// whether all were there and no other.
#[derive(Debug)]
pub struct NamedWeights {
    tensors: BTreeMap<String, Weight>,
    problems: Vec<String>,
}

impl NamedWeights {
    /// Reads the bytes of a safetensors file, as [`load_safetensors`](super::load_safetensors) does.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Content`] where the bytes are not a safetensors file, [`WeightsError::NotFinite`], and
    /// [`WeightsError::Mismatch`] for a tensor that has no floats.
    pub fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        Ok(Self::from_file(WeightsFile::read(bytes)?))
    }

    /// Copies the weights of a model from its device, whatever their values are.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Format`] where the weights cannot be read from the device.
    #[cfg(feature = "burn")]
    pub fn of<M: burn::module::Module>(model: &M) -> Result<Self, WeightsError> {
        let bytes = super::to_safetensors(model)?;
        Ok(Self::from_file(WeightsFile::parse(&bytes)?))
    }

    fn from_file(file: WeightsFile) -> Self {
        Self {
            tensors: file.tensors,
            problems: Vec::new(),
        }
    }

    /// Takes the values of a tensor out, in row-major order. Where there is none of the name and shape it
    /// returns zeros, and [`finish`](Self::finish) the error.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        match self.tensors.remove(name) {
            Some(weight) if weight.shape == shape => return weight.values,
            Some(weight) => self.problems.push(format!(
                "`{name}` is {:?} in the file and {shape:?} in the model",
                weight.shape
            )),
            None => self.problems.push(format!("`{name}` is missing")),
        }
        vec![0.0; shape.iter().product()]
    }

    /// Fails unless all tensors that were taken were there, and all that were there were taken.
    ///
    /// # Errors
    ///
    /// [`WeightsError::Mismatch`] with all that differs.
    pub fn finish(self) -> Result<(), WeightsError> {
        let rest = self.tensors.into_keys();
        let rest = rest.map(|name| format!("the model has no `{name}`"));
        let problems: Vec<String> = self.problems.into_iter().chain(rest).collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(WeightsError::Mismatch(problems)),
        }
    }
}

#[cfg(all(test, feature = "burn"))]
mod tests {
    use super::*;
    use crate::ModelConfig;
    use burn::tensor::Device;

    #[test]
    fn all_that_differs_is_told_at_the_end() {
        let model = ModelConfig::tiny().init_pixel_iqn(&Device::flex());
        let mut weights = NamedWeights::of(&model).unwrap();
        let hidden: Vec<f32> = model
            .trunk
            .hidden
            .bias
            .val()
            .into_data()
            .try_to_vec()
            .unwrap();
        assert_eq!(weights.take("hidden.bias", &[12]), hidden);
        assert_eq!(weights.take("hidden.weight", &[12, 11]), [0.0; 132]);
        assert_eq!(weights.take("hidden.none", &[2]), [0.0; 2]);
        let WeightsError::Mismatch(problems) = weights.finish().unwrap_err() else {
            panic!("another error");
        };
        assert!(
            problems[0].contains("[12, 12, 1, 1] in the file"),
            "{problems:?}"
        );
        assert_eq!(problems[1], "`hidden.none` is missing");
        assert!(
            problems[2].starts_with("the model has no `layers.0"),
            "{problems:?}"
        );
    }
}

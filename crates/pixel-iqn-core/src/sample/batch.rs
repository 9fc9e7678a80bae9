use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::progress::Cancelled;

/// One batch of images to sample, on the host.
///
/// All images are `[batch, channels, height, width]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleBatch {
    /// `[batch, channels, height, width]`.
    pub dims: [usize; 4],
    /// The quantile level of each value, in (0, 1).
    pub tau: Vec<f32>,
    /// The class of each image, or none, for a class-conditional model.
    pub labels: Option<Vec<Option<usize>>>,
    /// Values that are given, for inpainting.
    pub known: Option<KnownValues>,
    /// Intensity levels to round each value to before the next ones read it.
    pub levels: Option<usize>,
}

/// The given values of a [`SampleBatch`].
#[derive(Debug, Clone, PartialEq)]
pub struct KnownValues {
    /// The values of every position, in [0, 1]; unused where `mask` is false.
    pub values: Vec<f32>,
    /// Whether the value is given: then it is kept exactly, and conditions all later ones.
    pub mask: Vec<bool>,
}

impl SampleBatch {
    /// A batch of a shape at given quantile levels: without labels and known values, and not rounded.
    pub fn new(dims: [usize; 4], tau: Vec<f32>) -> Self {
        Self {
            dims,
            tau,
            labels: None,
            known: None,
            levels: None,
        }
    }

    /// Sets the class of each image, or none.
    pub fn with_labels(self, labels: Option<Vec<Option<usize>>>) -> Self {
        Self { labels, ..self }
    }

    /// Sets the values that are given.
    pub fn with_known(self, known: Option<KnownValues>) -> Self {
        Self { known, ..self }
    }

    /// Sets the intensity levels to round to.
    pub fn with_levels(self, levels: Option<usize>) -> Self {
        Self { levels, ..self }
    }

    /// Checks the batch against a model.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] naming what does not fit.
    pub fn validate(&self, config: &ModelConfig) -> Result<(), SampleError> {
        let invalid = |message: String| Err(SampleError::Invalid(message));
        let [batch, channels, height, width] = self.dims;
        let count = batch * channels * height * width;
        if channels != config.channels {
            return invalid(format!(
                "the images have {channels} channel(s), the model {}",
                config.channels
            ));
        }
        if count == 0 {
            return invalid(format!("there is no value to sample in {:?}", self.dims));
        }
        if self.levels.is_some_and(|levels| levels < 2) {
            return invalid("values can be rounded to two levels or more".into());
        }
        if self.tau.len() != count || !self.tau.iter().all(|&tau| 0.0 < tau && tau < 1.0) {
            return invalid(format!("tau must be {count} numbers in (0, 1)"));
        }
        if let Some(known) = &self.known
            && (known.values.len() != count || known.mask.len() != count)
        {
            return invalid(format!(
                "known values and mask must each have {count} entries"
            ));
        }
        match (&self.labels, config.classes) {
            (None, 0) => Ok(()),
            (None, classes) => invalid(format!(
                "the model is class-conditional: each image needs a label below {classes}"
            )),
            (Some(_), 0) => invalid("the model takes no labels".into()),
            (Some(labels), classes) => {
                if labels.len() == batch && labels.iter().flatten().all(|&label| label < classes) {
                    Ok(())
                } else {
                    invalid(format!(
                        "there must be {batch} labels, each below {classes} or none"
                    ))
                }
            }
        }
    }

    /// The final value at `index` where the model predicted `value`: the known one, else `value`
    /// clamped to [0, 1] and rounded to a level.
    pub fn final_value(&self, index: usize, value: f32) -> f32 {
        match &self.known {
            Some(known) if known.mask[index] => known.values[index],
            _ => round_to_level(value.clamp(0.0, 1.0), self.levels),
        }
    }

    /// The labels as a model takes them, `[batch]`: the number of classes stands for no class.
    pub(crate) fn label_tensor(&self, classes: usize, device: &Device) -> Option<Tensor<1, Int>> {
        let labels = self.labels.as_ref()?;
        let labels: Vec<i64> = labels
            .iter()
            .map(|label| label.unwrap_or(classes) as i64)
            .collect();
        Some(Tensor::from_data(labels.as_slice(), device))
    }
}

/// `value`, in [0, 1], or the nearest of `levels` evenly spaced levels, ties to even.
pub fn round_to_level(value: f32, levels: Option<usize>) -> f32 {
    match levels {
        Some(levels) => {
            let top = (levels - 1) as f32;
            (value * top).round_ties_even() / top
        }
        None => value,
    }
}

/// Why images were not sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The request does not fit the model; the text says why.
    #[error("cannot sample: {0}")]
    Invalid(String),
    /// The progress broke off.
    #[error("sampling was cancelled")]
    Cancelled(#[from] Cancelled),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rounding_is_to_the_nearest_level() {
        assert_eq!(round_to_level(0.3, Some(3)), 0.5);
        assert_eq!(round_to_level(0.24, Some(3)), 0.0);
        assert_eq!(round_to_level(0.24, None), 0.24);
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let config = ModelConfig::tiny().with_channels(1).with_classes(3);
        let good = SampleBatch::new([2, 1, 1, 2], vec![0.5; 4])
            .with_labels(Some(vec![Some(0), None]))
            .with_levels(Some(256));
        good.validate(&config).unwrap();
        let known = KnownValues {
            values: vec![0.0; 3],
            mask: vec![true; 4],
        };
        for (change, text) in [
            (
                SampleBatch {
                    dims: [2, 2, 1, 1],
                    ..good.clone()
                },
                "2 channel(s)",
            ),
            (
                SampleBatch {
                    dims: [0, 1, 1, 2],
                    ..good.clone()
                },
                "no value",
            ),
            (
                SampleBatch {
                    levels: Some(1),
                    ..good.clone()
                },
                "two levels",
            ),
            (
                SampleBatch {
                    tau: vec![0.5; 3],
                    ..good.clone()
                },
                "4 numbers",
            ),
            (
                SampleBatch {
                    tau: vec![1.0; 4],
                    ..good.clone()
                },
                "in (0, 1)",
            ),
            (
                SampleBatch {
                    known: Some(known),
                    ..good.clone()
                },
                "known values",
            ),
            (
                SampleBatch {
                    labels: None,
                    ..good.clone()
                },
                "needs a label",
            ),
            (
                SampleBatch {
                    labels: Some(vec![Some(0), Some(3)]),
                    ..good.clone()
                },
                "below 3",
            ),
        ] {
            let error = change.validate(&config).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        let unconditional = config.with_classes(0);
        let error = good.validate(&unconditional).unwrap_err().to_string();
        assert!(error.contains("takes no labels"), "{error}");
    }
}

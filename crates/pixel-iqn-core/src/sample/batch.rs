use std::borrow::Cow;

#[cfg(feature = "burn")]
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::order::Order;
use crate::output::Output;
use crate::progress::Cancelled;

/// A batch of images to sample, on the host.
///
/// All values are `[batch, channels, height, width]` in row-major order.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleBatch {
    /// The shape of the images, `[batch, channels, height, width]`.
    pub dims: [usize; 4],
    /// The quantile level of each value, in (0, 1).
    pub tau: Vec<f32>,
    /// The labels of the images, for a class-conditional model: each a class, or `None` for an
    /// image without a class.
    pub labels: Option<Vec<Option<usize>>>,
    /// The given values, for inpainting.
    pub known: Option<KnownValues>,
    /// The number of intensity levels to round each value to before later values read it; without
    /// it, values are not rounded.
    pub levels: Option<usize>,
    /// The order in which the values are generated. All values of the batch are in the image's own
    /// orientation, whatever the order.
    pub order: Order,
    /// The weight of the [guidance](Self::with_guidance) towards the labels, 0 for none.
    pub guidance: f32,
}

/// The given values of images to inpaint.
#[derive(Debug, Clone, PartialEq)]
pub struct KnownValues {
    /// The values of all positions, in [0, 1]; they are not used where `mask` is false.
    pub values: Vec<f32>,
    /// Whether each value is given. A given value is kept exactly, and later values are conditioned
    /// on it.
    pub mask: Vec<bool>,
}

impl SampleBatch {
    /// Creates a batch of a shape at the quantile levels `tau`, without labels, given values and
    /// rounding.
    pub fn new(dims: [usize; 4], tau: Vec<f32>) -> Self {
        Self {
            dims,
            tau,
            labels: None,
            known: None,
            levels: None,
            order: Order::RASTER,
            guidance: 0.0,
        }
    }

    /// Sets the generation order.
    pub fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Sets the labels of the images.
    pub fn with_labels(self, labels: Option<Vec<Option<usize>>>) -> Self {
        Self { labels, ..self }
    }

    /// Sets the given values.
    pub fn with_known(self, known: Option<KnownValues>) -> Self {
        Self { known, ..self }
    }

    /// Sets the number of intensity levels to round to.
    pub fn with_levels(self, levels: Option<usize>) -> Self {
        Self { levels, ..self }
    }

    /// Sets the weight `w` of the classifier-free guidance (Ho and Salimans 2022, equation 6).
    ///
    /// A level of probability `p` for an image with its label, and `q` for the same image without one, then
    /// has a probability proportional to `p ((p + ε) / (q + ε))^w` with `ε = 0.02`: what speaks for the label
    /// is drawn more often, and images vary less. At 0, the default, images are those of the model.
    ///
    /// The paper guides the noise of a diffusion model; autoregressive models are guided in the same way by
    /// their probabilities (Gafni et al. 2022, Sanchez et al. 2023). `ε` is our choice. Without it levels that
    /// are improbable both with and without the label, of which a model knows little, are raised by large
    /// factors, in so many places of an image that strokes appear everywhere. It is added to the probability
    /// of a level, so that one weight does less to values whose probability is spread over many levels.
    ///
    /// It takes a sampler that guides, such as that of `pixel-iqn-cpu`, a model that was trained with label
    /// dropout, an output of which the probabilities of levels are known
    /// ([`Output::Monotone`](crate::Output::Monotone) or [`Output::Categorical`](crate::Output::Categorical)),
    /// and a little more than twice the time.
    pub fn with_guidance(self, guidance: f32) -> Self {
        Self { guidance, ..self }
    }

    /// Fails where there is guidance, for samplers that do not guide.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where there is.
    pub fn check_without_guidance(&self) -> Result<(), SampleError> {
        match self.copies() {
            1 => Ok(()),
            _ => Err(SampleError::Invalid(
                "guidance is only in the sampler on the CPU: take the device cpu".into(),
            )),
        }
    }

    /// Returns the batch with each image followed by itself without a class, the unconditional image that
    /// guidance compares it with.
    // Public for the samplers in the crates of the backends.
    #[doc(hidden)]
    pub fn with_unconditional(&self) -> Self {
        let [images, channels, height, width] = self.dims;
        let values = channels * height * width;
        let labels = self.labels.as_ref();
        Self {
            dims: [2 * images, channels, height, width],
            tau: twice(&self.tau, values),
            labels: labels.map(|labels| labels.iter().flat_map(|label| [*label, None]).collect()),
            known: self.known.as_ref().map(|known| KnownValues {
                values: twice(&known.values, values),
                mask: twice(&known.mask, values),
            }),
            ..*self
        }
    }

    /// The images that a sampler computes for each one of the batch: 2 with guidance, else 1.
    #[doc(hidden)]
    pub fn copies(&self) -> usize {
        copies(self.guidance)
    }

    /// Returns the batch with its values [reordered](Order::reorder_values), so that the raster
    /// order of the result is the order of this batch. Samplers turn the images and not their code.
    // Public for the samplers in the crates of the backends.
    #[doc(hidden)]
    pub fn reordered(&self) -> Cow<'_, Self> {
        if self.order == Order::RASTER {
            return Cow::Borrowed(self);
        }
        let [batch, channels, height, width] = self.dims;
        let size = [height, width];
        let [rows, columns] = self.order.size(size);
        Cow::Owned(Self {
            dims: [batch, channels, rows, columns],
            tau: self.order.reorder_values(&self.tau, size),
            labels: self.labels.clone(),
            known: self.known.as_ref().map(|known| KnownValues {
                values: self.order.reorder_values(&known.values, size),
                mask: self.order.reorder_values(&known.mask, size),
            }),
            levels: self.levels,
            order: self.order,
            guidance: self.guidance,
        })
    }

    /// Turns values of the reordered batch back to the image's own orientation.
    #[doc(hidden)]
    pub fn restored(&self, values: Vec<f32>) -> Vec<f32> {
        if self.order == Order::RASTER {
            return values;
        }
        let [_, _, height, width] = self.dims;
        self.order.restore_values(&values, [height, width])
    }

    /// Checks that the batch fits a model.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where it does not; the message says why.
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
        check_order(self.order, config)?;
        check_guidance(self.guidance, self.levels, config)?;
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

    /// Turns the prediction `value` of a model at `index` into the final value there: the given
    /// value, else the prediction clamped to [0, 1] and rounded to an intensity level. What is infinite
    /// or not a number stays so.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not the index of a value and there are given values.
    pub fn final_value(&self, index: usize, value: f32) -> f32 {
        match &self.known {
            Some(known) if known.mask[index] => known.values[index],
            // The nearest end would hide that the model predicts nothing.
            _ if !value.is_finite() => value,
            _ => round_to_level(value.clamp(0.0, 1.0), self.levels),
        }
    }

    /// Creates the tensor of the labels, `[batch]`, in which the number of classes stands for no
    /// class.
    #[cfg(feature = "burn")]
    pub(crate) fn label_tensor(&self, classes: usize, device: &Device) -> Option<Tensor<1, Int>> {
        let labels = self.labels.as_ref()?;
        let labels: Vec<i64> = labels
            .iter()
            .map(|label| label.unwrap_or(classes) as i64)
            .collect();
        Some(Tensor::from_data(labels.as_slice(), device))
    }
}

/// The images that a sampler computes for each one at a weight of guidance.
pub(super) fn copies(guidance: f32) -> usize {
    if guidance > 0.0 { 2 } else { 1 }
}

/// Repeats each image of `values` numbers.
fn twice<T: Copy>(numbers: &[T], values: usize) -> Vec<T> {
    let images = numbers.chunks_exact(values);
    images.flat_map(|image| image.repeat(2)).collect()
}

/// Checks that a model knows a generation order.
pub(super) fn check_order(order: Order, config: &ModelConfig) -> Result<(), SampleError> {
    if order.index() < config.orders {
        return Ok(());
    }
    Err(SampleError::Invalid(format!(
        "the model knows {} generation order(s), counted from 0 (raster order), and none of index {order}",
        config.orders
    )))
}

/// Checks that a model can be guided with a weight.
pub(super) fn check_guidance(
    weight: f32,
    levels: Option<usize>,
    config: &ModelConfig,
) -> Result<(), SampleError> {
    let invalid = |message: String| Err(SampleError::Invalid(message));
    match (weight, levels, &config.output) {
        (weight, ..) if !(weight >= 0.0 && weight.is_finite()) => invalid(format!(
            "the weight of guidance must be a number of at least 0, not {weight}"
        )),
        (0.0, ..) => Ok(()),
        _ if config.classes == 0 => invalid("guidance needs a class-conditional model".into()),
        (_, None, _) => invalid("guidance needs intensity levels to round to".into()),
        (_, _, Output::Monotone { .. } | Output::Categorical { .. }) => Ok(()),
        (_, _, output) => invalid(format!(
            "guidance needs probabilities of intensity levels, which the output {} does not have: take a model \
             of output monotone or categorical",
            output.kind()
        )),
    }
}

/// Rounds `value`, in [0, 1], to the nearest of `levels` evenly spaced intensity levels, ties to
/// even; without levels, returns it unchanged.
fn round_to_level(value: f32, levels: Option<usize>) -> f32 {
    match levels {
        Some(levels) => {
            let top = (levels - 1) as f32;
            (value * top).round_ties_even() / top
        }
        None => value,
    }
}

/// The error of images that were not sampled.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SampleError {
    /// The batch or the options do not fit the model; the message says why.
    #[error("cannot sample: {0}")]
    Invalid(String),
    /// The progress cancelled sampling.
    #[error("sampling was cancelled")]
    Cancelled(#[from] Cancelled),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_final_value_is_in_range_or_no_number() {
        let batch = SampleBatch::new([1, 1, 1, 1], vec![0.5]);
        assert_eq!(batch.final_value(0, -3.0), 0.0);
        assert_eq!(batch.final_value(0, 7.0), 1.0);
        for value in [f32::INFINITY, f32::NEG_INFINITY, f32::NAN] {
            assert!(!batch.final_value(0, value).is_finite());
        }
    }

    #[test]
    fn rounding_is_to_the_nearest_level() {
        assert_eq!(round_to_level(0.3, Some(3)), 0.5);
        assert_eq!(round_to_level(0.24, Some(3)), 0.0);
        assert_eq!(round_to_level(0.24, None), 0.24);
    }

    #[test]
    fn guidance_samples_each_image_with_and_without_its_class() {
        let batch = SampleBatch::new([2, 1, 1, 2], vec![0.1, 0.2, 0.3, 0.4])
            .with_labels(Some(vec![Some(2), None]))
            .with_known(Some(KnownValues {
                values: vec![0.0, 1.0, 0.5, 0.0],
                mask: vec![false, true, true, false],
            }));
        assert_eq!(batch.copies(), 1);
        batch.check_without_guidance().unwrap();
        let guided = batch.with_guidance(1.5);
        assert_eq!(guided.copies(), 2);
        assert!(guided.check_without_guidance().is_err());
        let both = guided.with_unconditional();
        assert_eq!(both.dims, [4, 1, 1, 2]);
        assert_eq!(both.tau, [0.1, 0.2, 0.1, 0.2, 0.3, 0.4, 0.3, 0.4]);
        assert_eq!(both.labels, Some(vec![Some(2), None, None, None]));
        let known = both.known.unwrap();
        assert_eq!(known.values[..4], [0.0, 1.0, 0.0, 1.0]);
        assert_eq!(known.mask[4..], [true, false, true, false]);
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
                    order: Order::new(5).unwrap(),
                    ..good.clone()
                },
                "1 generation order(s), counted from 0 (raster order), and none of index 5",
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
            (good.clone().with_guidance(-1.0), "at least 0, not -1"),
            (good.clone().with_guidance(1.0), "output gates"),
        ] {
            let error = change.validate(&config).unwrap_err().to_string();
            assert!(error.contains(text), "{error}");
        }
        let unconditional = config.with_classes(0);
        let error = good.validate(&unconditional).unwrap_err().to_string();
        assert!(error.contains("takes no labels"), "{error}");
    }
}

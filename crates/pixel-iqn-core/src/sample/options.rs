use core::ops::Range;

use crate::config::ModelConfig;
use crate::noise::Noise;
use crate::sample::{KnownValues, SampleBatch, SampleError};

/// Where tau comes from.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TauSource {
    /// Uniform in (0, 1): a sample of the model.
    Uniform,
    /// Uniform in an interval inside (0, 1): narrower than the model's distribution.
    Interval(f32, f32),
    /// The same everywhere: 0.5 is the image of medians.
    Constant(f32),
    /// One number per value, `[count, channels, height, width]`.
    Given(Vec<f32>),
}

/// The classes of sampled images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Labels {
    /// None, for an unconditional model.
    None,
    /// The same for all.
    One(usize),
    /// One per image, `[count]`, or none for an image without a class.
    PerImage(Vec<Option<usize>>),
    /// Image `i` has class `i` modulo the number of classes.
    Spread,
    /// No class, from a class-conditional model that was trained with label dropout.
    Unlabelled,
}

/// What to sample.
///
/// The image with index `i` under a seed depends on the seed and `i` alone, not on the batch it
/// is sampled in: `first` and `count` cut one long sequence of images into pieces.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleOptions {
    /// Index of the first image.
    pub first: usize,
    /// Number of images.
    pub count: usize,
    /// Height and width.
    pub size: [usize; 2],
    /// Seed of tau.
    pub seed: u64,
    /// Where tau comes from.
    pub tau: TauSource,
    /// The classes.
    pub labels: Labels,
    /// Given values of all images, `[count, channels, height, width]`, for inpainting.
    pub known: Option<KnownValues>,
    /// Intensity levels to round to.
    pub levels: Option<usize>,
    /// Images in a batch.
    pub batch: usize,
}

impl SampleOptions {
    /// `count` samples of a size, 8 bits deep, in batches of 64.
    pub fn new(count: usize, size: [usize; 2], seed: u64) -> Self {
        Self {
            first: 0,
            count,
            size,
            seed,
            tau: TauSource::Uniform,
            labels: Labels::None,
            known: None,
            levels: Some(256),
            batch: 64,
        }
    }

    /// Begins with another image of the seed's sequence.
    pub fn with_first(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// Sets where tau comes from.
    pub fn with_tau(self, tau: TauSource) -> Self {
        Self { tau, ..self }
    }

    /// Sets the classes.
    pub fn with_labels(self, labels: Labels) -> Self {
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

    /// Sets the images in a batch.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// The options of the images of `range` alone, which come out the same.
    ///
    /// # Panics
    ///
    /// Panics if the range leaves the images, or where values of each image are given: tau, known
    /// values or labels of another length than `count`.
    pub fn part(&self, range: Range<usize>) -> Self {
        assert!(
            range.end <= self.count,
            "{range:?} leaves {} images",
            self.count
        );
        let per_image = |length: usize| {
            let values = length / self.count.max(1);
            range.start * values..range.end * values
        };
        Self {
            first: self.first + range.start,
            count: range.len(),
            tau: match &self.tau {
                TauSource::Given(tau) => TauSource::Given(tau[per_image(tau.len())].to_vec()),
                tau => tau.clone(),
            },
            labels: match &self.labels {
                Labels::PerImage(labels) => Labels::PerImage(labels[range.clone()].to_vec()),
                labels => labels.clone(),
            },
            known: self.known.as_ref().map(|known| KnownValues {
                values: known.values[per_image(known.values.len())].to_vec(),
                mask: known.mask[per_image(known.mask.len())].to_vec(),
            }),
            ..self.clone()
        }
    }

    /// The batches, in order.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the options do not fit the model.
    pub fn batches<'a>(
        &'a self,
        config: &ModelConfig,
    ) -> Result<impl Iterator<Item = SampleBatch> + use<'a>, SampleError> {
        let [height, width] = self.size;
        let values = config.channels * height * width;
        self.validate(config)?;
        let (channels, classes) = (config.channels, config.classes);
        let starts = (0..self.count).step_by(self.batch);
        Ok(starts.map(move |start| {
            let images = start..(start + self.batch).min(self.count);
            let range = images.start * values..images.end * values;
            SampleBatch {
                dims: [images.len(), channels, height, width],
                tau: self.tau_of(images.clone(), values),
                labels: self.labels_of(images, classes),
                known: self.known.as_ref().map(|known| KnownValues {
                    values: known.values[range.clone()].to_vec(),
                    mask: known.mask[range].to_vec(),
                }),
                levels: self.levels,
            }
        }))
    }

    /// Checks the options against a model.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] naming what does not fit.
    pub fn validate(&self, config: &ModelConfig) -> Result<(), SampleError> {
        let [height, width] = self.size;
        let values = config.channels * height * width;
        let invalid = |message: String| Err(SampleError::Invalid(message));
        if self.batch == 0 {
            return invalid("a batch must have at least one image".into());
        }
        match &self.tau {
            TauSource::Interval(low, high) if !(0.0 <= *low && low < high && *high <= 1.0) => {
                return invalid(format!("tau cannot be uniform in [{low}, {high}]"));
            }
            TauSource::Constant(tau) if !(0.0 < *tau && *tau < 1.0) => {
                return invalid(format!("tau must be in (0, 1), not {tau}"));
            }
            TauSource::Given(tau) if tau.len() != self.count * values => {
                return invalid(format!(
                    "{} tau were given, {} are needed",
                    tau.len(),
                    self.count * values
                ));
            }
            _ => {}
        }
        if let Some(known) = &self.known
            && (known.values.len() != self.count * values
                || known.mask.len() != self.count * values)
        {
            return invalid(format!(
                "known values and mask must each have {} entries",
                self.count * values
            ));
        }
        match &self.labels {
            Labels::PerImage(labels) if labels.len() != self.count => invalid(format!(
                "{} labels were given for {} images",
                labels.len(),
                self.count
            )),
            Labels::One(label) if config.classes > 0 && *label >= config.classes => {
                invalid(format!(
                    "there is no class {label}: the classes are 0 to {}",
                    config.classes - 1
                ))
            }
            Labels::PerImage(labels)
                if config.classes > 0
                    && labels
                        .iter()
                        .flatten()
                        .any(|&label| label >= config.classes) =>
            {
                invalid(format!(
                    "a label is no class: the classes are 0 to {}",
                    config.classes - 1
                ))
            }
            Labels::None if config.classes > 0 => invalid(format!(
                "the model is class-conditional: choose labels below {}",
                config.classes
            )),
            Labels::None => Ok(()),
            _ if config.classes == 0 => invalid("the model takes no labels".into()),
            _ => Ok(()),
        }
    }

    fn tau_of(&self, images: Range<usize>, values: usize) -> Vec<f32> {
        let uniform = |images: Range<usize>| {
            let noise = Noise::new(self.seed);
            images.flat_map(move |i| noise.uniform((self.first + i) as u64, values))
        };
        match &self.tau {
            TauSource::Uniform => uniform(images).collect(),
            TauSource::Interval(low, high) => {
                // A sum may round up to 1, which is no tau.
                let tau = uniform(images).map(|u| low + (high - low) * u);
                tau.map(|tau| tau.min(1.0 - f32::EPSILON / 2.0)).collect()
            }
            TauSource::Constant(tau) => vec![*tau; images.len() * values],
            TauSource::Given(tau) => tau[images.start * values..images.end * values].to_vec(),
        }
    }

    fn labels_of(&self, images: Range<usize>, classes: usize) -> Option<Vec<Option<usize>>> {
        match &self.labels {
            Labels::None => None,
            Labels::One(label) => Some(vec![Some(*label); images.len()]),
            Labels::PerImage(labels) => Some(labels[images].to_vec()),
            Labels::Spread => Some(images.map(|i| Some((self.first + i) % classes)).collect()),
            Labels::Unlabelled => Some(vec![None; images.len()]),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images(options: &SampleOptions, config: &ModelConfig) -> Vec<(Vec<f32>, Option<usize>)> {
        let batches = options.batches(config).unwrap();
        batches
            .flat_map(|batch| {
                batch.validate(config).unwrap();
                let values = batch.tau.len() / batch.dims[0];
                let labels = batch.labels.clone();
                (0..batch.dims[0])
                    .map(move |i| {
                        let tau = batch.tau[i * values..(i + 1) * values].to_vec();
                        (tau, labels.as_ref().and_then(|labels| labels[i]))
                    })
                    .collect::<Vec<_>>()
            })
            .collect()
    }

    #[test]
    fn an_image_depends_on_its_index_alone() {
        let config = ModelConfig::tiny().with_classes(3);
        let whole = SampleOptions {
            labels: Labels::Spread,
            ..SampleOptions::new(10, [2, 3], 5)
        };
        let expected = images(&whole, &config);
        assert_eq!(expected.len(), 10);
        for batch in [1, 3, 10] {
            let batched = SampleOptions {
                batch,
                ..whole.clone()
            };
            assert_eq!(images(&batched, &config), expected);
        }
        let tail = SampleOptions {
            first: 4,
            count: 6,
            ..whole.clone()
        };
        assert_eq!(images(&tail, &config), expected[4..]);
        // Seed 0, image 777 has the largest number that its generator gives.
        let narrow = SampleOptions {
            first: 777,
            count: 1,
            tau: TauSource::Interval(0.5, 1.0),
            ..SampleOptions::new(1, [32, 32], 0)
        };
        images(&narrow, &ModelConfig::tiny());
        let given = SampleOptions {
            tau: TauSource::Given(expected.iter().flat_map(|(tau, _)| tau.clone()).collect()),
            labels: Labels::PerImage(expected.iter().map(|(_, label)| *label).collect()),
            ..whole.clone()
        };
        for options in [&whole, &given] {
            assert_eq!(images(&options.part(3..7), &config), expected[3..7]);
        }
    }

    #[test]
    fn what_does_not_fit_is_an_error() {
        let config = ModelConfig::tiny();
        let good = SampleOptions::new(2, [2, 2], 0);
        assert!(good.batches(&config).is_ok());
        let known = KnownValues {
            values: vec![0.0; 24],
            mask: vec![true; 23],
        };
        for bad in [
            SampleOptions {
                batch: 0,
                ..good.clone()
            },
            SampleOptions {
                tau: TauSource::Interval(0.5, 0.5),
                ..good.clone()
            },
            SampleOptions {
                tau: TauSource::Constant(1.0),
                ..good.clone()
            },
            SampleOptions {
                tau: TauSource::Given(vec![0.5; 3]),
                ..good.clone()
            },
            SampleOptions {
                labels: Labels::Spread,
                ..good.clone()
            },
            SampleOptions {
                known: Some(known),
                ..good.clone()
            },
        ] {
            assert!(bad.batches(&config).is_err(), "{bad:?}");
        }
        let conditional = config.with_classes(2);
        assert!(good.batches(&conditional).is_err());
        for labels in [
            Labels::PerImage(vec![Some(0)]),
            Labels::PerImage(vec![Some(0), Some(2)]),
            Labels::One(2),
        ] {
            let bad = SampleOptions {
                labels,
                ..good.clone()
            };
            assert!(bad.batches(&conditional).is_err(), "{bad:?}");
        }
    }
}

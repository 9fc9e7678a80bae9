use core::ops::Range;

use crate::config::ModelConfig;
use crate::noise::Noise;
use crate::order::Order;
use crate::sample::batch::{check_guidance, check_order, copies};
use crate::sample::{KnownValues, SampleBatch, SampleError};

/// The source of the quantile levels tau of sampled images.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum TauSource {
    /// Tau is uniform in (0, 1), so that images are samples of the model.
    Uniform,
    /// Tau is uniform in an interval inside (0, 1), so that images vary less than samples.
    Interval(f32, f32),
    /// Tau is the same for all values; 0.5 gives the image of medians.
    Constant(f32),
    /// Tau is given for each value, `[count, channels, height, width]`.
    Given(Vec<f32>),
}

/// The labels of sampled images.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub enum Labels {
    /// There are no labels, for an unconditional model.
    None,
    /// All images have the same class.
    One(usize),
    /// Each image has its own label, `[count]`: a class, or `None` for an image without a class.
    PerImage(Vec<Option<usize>>),
    /// The images cycle through the classes: image `i` has class `i` modulo their number.
    Spread,
    /// No image has a class, for a class-conditional model that was trained with label dropout.
    Unlabelled,
}

impl Labels {
    /// The class of each of some images, `[images]`, by the number of the image; `None` where there are
    /// no labels.
    ///
    /// # Panics
    ///
    /// Panics if an image has a label of its own in [`PerImage`](Self::PerImage) and is not there.
    pub fn of_images(&self, images: Range<usize>, classes: usize) -> Option<Vec<Option<usize>>> {
        match self {
            Self::None => None,
            Self::One(label) => Some(vec![Some(*label); images.len()]),
            Self::PerImage(labels) => Some(labels[images].to_vec()),
            Self::Spread => Some(images.map(|image| Some(image % classes)).collect()),
            Self::Unlabelled => Some(vec![None; images.len()]),
        }
    }
}

/// The options of sampling: how many images of which size, at which quantile levels and labels.
///
/// Image `i` of a seed depends on the seed and `i` alone, and not on the batch that it is sampled
/// in: a seed has one long sequence of images, of which `first` and `count` select a part.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct SampleOptions {
    /// The index of the first image in the sequence of the seed.
    pub first: usize,
    /// The number of images.
    pub count: usize,
    /// The height and width of the images.
    pub size: [usize; 2],
    /// The seed of tau.
    pub seed: u64,
    /// The source of tau.
    pub tau: TauSource,
    /// The labels of the images.
    pub labels: Labels,
    /// The given values of all images, `[count, channels, height, width]`, for inpainting.
    pub known: Option<KnownValues>,
    /// The number of intensity levels to round values to; without it, they are not rounded.
    pub levels: Option<usize>,
    /// The number of images in a batch.
    pub batch: usize,
    /// The order in which values are generated, for a model of several.
    pub order: Order,
    /// The weight of the [guidance](SampleBatch::with_guidance) towards the labels, 0 for none.
    pub guidance: f32,
}

impl SampleOptions {
    /// Creates the options of `count` unconditional samples of a size with 256 intensity levels, in
    /// batches of 64.
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
            order: Order::RASTER,
            guidance: 0.0,
        }
    }

    /// Sets the index of the first image in the sequence of the seed.
    pub fn with_first(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// Sets the source of tau.
    pub fn with_tau(self, tau: TauSource) -> Self {
        Self { tau, ..self }
    }

    /// Sets the labels of the images.
    pub fn with_labels(self, labels: Labels) -> Self {
        Self { labels, ..self }
    }

    /// Sets the given values of all images.
    pub fn with_known(self, known: Option<KnownValues>) -> Self {
        Self { known, ..self }
    }

    /// Sets the number of intensity levels to round to.
    pub fn with_levels(self, levels: Option<usize>) -> Self {
        Self { levels, ..self }
    }

    /// Sets the number of images in a batch.
    pub fn with_batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Sets the order in which values are generated.
    pub fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Sets the weight of the [guidance](SampleBatch::with_guidance) towards the labels.
    pub fn with_guidance(self, guidance: f32) -> Self {
        Self { guidance, ..self }
    }

    /// The images that a sampler computes for each one: 2 with guidance, else 1.
    // Public for the facade, which asks for the memory.
    #[doc(hidden)]
    pub fn copies(&self) -> usize {
        copies(self.guidance)
    }

    /// Creates the options of the images in `range` alone; sampling them gives the same images.
    ///
    /// # Panics
    ///
    /// Panics if the range is not within the images, or if tau, given values or labels are too
    /// short for it.
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

    /// Creates the batches to sample, in order.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the options do not fit the model; the message says why.
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
                order: self.order,
                guidance: self.guidance,
            }
        }))
    }

    /// Checks that the options fit a model.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where they do not; the message says why.
    pub fn validate(&self, config: &ModelConfig) -> Result<(), SampleError> {
        let [height, width] = self.size;
        let values = config.channels * height * width;
        let invalid = |message: String| Err(SampleError::Invalid(message));
        check_order(self.order, config)?;
        check_guidance(self.guidance, self.levels, config)?;
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

    /// The tau of some images of `values` values each.
    fn tau_of(&self, images: Range<usize>, values: usize) -> Vec<f32> {
        let uniform = |images: Range<usize>| {
            let noise = Noise::new(self.seed);
            images.flat_map(move |i| noise.uniform((self.first + i) as u64, values))
        };
        match &self.tau {
            TauSource::Uniform => uniform(images).collect(),
            TauSource::Interval(low, high) => {
                // The sum may round up to 1, which is not a valid tau.
                let tau = uniform(images).map(|u| low + (high - low) * u);
                tau.map(|tau| tau.min(1.0 - f32::EPSILON / 2.0)).collect()
            }
            TauSource::Constant(tau) => vec![*tau; images.len() * values],
            TauSource::Given(tau) => tau[images.start * values..images.end * values].to_vec(),
        }
    }

    /// The labels of some images.
    fn labels_of(&self, images: Range<usize>, classes: usize) -> Option<Vec<Option<usize>>> {
        let images = match &self.labels {
            Labels::Spread => self.first + images.start..self.first + images.end,
            _ => images,
        };
        self.labels.of_images(images, classes)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::output::Output;
    use pixel_iqn_loss::Knots;

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
        let monotone = config
            .clone()
            .with_output(Output::monotone(&Knots::default()));
        let guided = whole.clone().with_guidance(1.5).part(3..7);
        for batch in guided.batches(&monotone).unwrap() {
            assert_eq!(batch.guidance, 1.5);
        }
        let tail = SampleOptions {
            first: 4,
            count: 6,
            ..whole.clone()
        };
        assert_eq!(images(&tail, &config), expected[4..]);
        // Image 777 of seed 0 has the largest number that the generator gives.
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
            good.clone().with_order(Order::new(1).unwrap()),
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

use pixel_iqn_core::{
    KnownValues, Labels, NoProgress, Order, PartProgress, Progress, SampleOptions,
};
use pixel_iqn_data::{ImageDataset, Mask};
use pixel_iqn_score::{CompletionScores, ForecastOptions, Forecaster, value_maps};
use serde::{Deserialize, Serialize};

use crate::{Error, Images, Model};

/// Level of what is missing, in the picture of an input: mid grey.
const MISSING: u8 = 128;

/// Number of images that are scored together: a matter of memory.
const SCORED_TOGETHER: usize = 32;

/// Side of the blocks of a sweep, in pixels: our choice.
const BLOCK: usize = 8;

/// A request for completions of images with missing pixels, which [`run`](Self::run) carries out.
#[derive(Clone)]
#[must_use = "a request does nothing until `run` is called"]
pub struct Inpainting<'a> {
    model: &'a Model,
    pub(crate) images: &'a ImageDataset,
    mask: &'a Mask,
    pub(crate) completions: usize,
    seed: u64,
    labels: Option<String>,
    order: Option<Order>,
    sweeps: usize,
    pub(crate) batch: usize,
    originals: bool,
    progress: &'a dyn Progress,
}

/// Images that were completed: see [`Inpainting::run`].
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Completions {
    /// The completions alone, those of the first image first.
    pub images: Images,
    /// A row for each image: the input with its missing pixels grey, the completions, and the
    /// original where it was asked for.
    pub figure: Images,
    /// The generation order, of the first pass where there are sweeps.
    pub order: Order,
    /// The class of each input, where the model has classes.
    labels: Option<Vec<Option<usize>>>,
}

/// The scores of completions whose originals are known, means over images: see
/// [`Completions::scores`].
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InpaintingScores {
    /// The number of images.
    pub images: usize,
    /// The index of the generation order of the completions.
    pub order: usize,
    /// The mean CRPS of the true missing values, each given the true values before it in the order of
    /// the completions: known ones, and missing ones that came before.
    pub crps: f64,
    /// The same in raster order.
    pub crps_in_raster_order: f64,
    /// The mean energy score, seam and seam of the originals.
    #[serde(flatten)]
    pub completions: CompletionScores,
}

impl Completions {
    /// Scores the completions against the images that were completed, where those are whole. A
    /// class-conditional model is given the classes that the completions were drawn with.
    ///
    /// # Errors
    ///
    /// [`Error::Score`] where the model predicts what is no number, and [`Error::Cancelled`] where the
    /// progress broke off.
    ///
    /// # Panics
    ///
    /// Panics if these are not the completions of these images by this model, or fewer than two of
    /// each.
    pub fn scores(
        &self,
        model: &Model,
        images: &ImageDataset,
        mask: &Mask,
        progress: &dyn Progress,
    ) -> Result<InpaintingScores, Error> {
        let images = &self.with_classes_of_model(images, model.classes().len());
        let [_, _, width] = images.shape();
        let plane = mask.missing().len();
        let all: Vec<usize> = (0..images.len()).collect();
        let batches = all.chunks(SCORED_TOGETHER);
        let stages = 2 * batches.len();
        let crps = |order: Order, first_stage: usize| -> Result<f64, Error> {
            let options = ForecastOptions::new().with_order(order.index());
            let (mut sum, mut count) = (0.0, 0);
            for (batch, stage) in batches.clone().zip(first_stage..) {
                let (network, device) = (model.network(), model.device());
                let passes = network.passes(&options);
                let progress = PartProgress {
                    progress,
                    before: stage * passes,
                    total: stages * passes,
                };
                let maps = value_maps(network, images, batch, &options, device, &progress)?;
                for (_, crps) in (maps.iter())
                    .flat_map(|map| map.crps.iter().enumerate())
                    .filter(|(value, _)| mask.missing()[value % plane])
                {
                    sum += f64::from(*crps);
                    count += 1;
                }
            }
            Ok(sum / f64::from(count))
        };
        let each = self.images.len() / images.len() * images.shape().iter().product::<usize>();
        let completions = self.images.levels().chunks_exact(each);
        let scores: Vec<CompletionScores> = completions
            .enumerate()
            .map(|(i, each)| CompletionScores::of(each, images.image(i), mask.missing(), width))
            .collect();
        Ok(InpaintingScores {
            images: images.len(),
            order: self.order.index(),
            crps: crps(self.order, 0)?,
            crps_in_raster_order: crps(Order::RASTER, stages / 2)?,
            completions: CompletionScores::mean(&scores),
        })
    }

    /// The images with the classes of the model that they were completed with, in place of their own.
    fn with_classes_of_model(&self, images: &ImageDataset, classes: usize) -> ImageDataset {
        let levels = images.images().to_vec();
        let plain = ImageDataset::new(levels, images.shape()).expect("they were a set before");
        let Some(labels) = &self.labels else {
            return plain;
        };
        // An image without a class has the number of classes for a label: see `LabelEmbedding`.
        let labels = labels.iter().map(|label| label.unwrap_or(classes) as u32);
        let labelled = plain.with_labels(labels.collect(), classes + 1);
        labelled.expect("each image was completed with one class")
    }

    /// Writes the figure as a PNG file.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Images::save_grid`].
    pub fn save_grid(&self, path: impl AsRef<std::path::Path>) -> Result<(), Error> {
        self.figure.save_grid(path)
    }
}

impl Model {
    /// Asks for completions of images: for each, the pixels that are missing in the mask.
    pub fn inpaint<'a>(&'a self, images: &'a ImageDataset, mask: &'a Mask) -> Inpainting<'a> {
        Inpainting::new(self, images, mask)
    }
}

impl<'a> Inpainting<'a> {
    fn new(model: &'a Model, images: &'a ImageDataset, mask: &'a Mask) -> Self {
        Self {
            model,
            images,
            mask,
            completions: 4,
            seed: 0,
            labels: None,
            order: None,
            sweeps: 0,
            batch: 64,
            originals: false,
            progress: &NoProgress,
        }
    }

    /// Sets the completions of each image, 4 without it.
    pub fn completions(self, completions: usize) -> Self {
        Self {
            completions,
            ..self
        }
    }

    /// Sets the seed, 0 without it.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Chooses a class for all images or one for each, as
    /// [`Classes::labels`](crate::Classes::labels) reads them. Without it they are the labels of the
    /// images, by the names of their classes.
    pub fn labels(self, labels: impl Into<String>) -> Self {
        let labels = Some(labels.into());
        Self { labels, ..self }
    }

    /// Sets the order in which missing values are sampled. Without it a model of several orders takes
    /// the one in which most of the known pixels come before the missing ones: see
    /// [`Order::for_region`].
    pub fn order(self, order: Order) -> Self {
        let order = Some(order);
        Self { order, ..self }
    }

    /// Sets how often the completion is gone over, 0 without it. A sweep takes the region in blocks of
    /// 8 x 8 pixels, and samples each block again given everything else, in the order that suits the
    /// block.
    ///
    /// This is a Gibbs sampler over blocks, and approximate: a value is given the values before it in
    /// its order alone, and the conditional distributions of different orders need not be those of one
    /// joint distribution.
    pub fn sweeps(self, sweeps: usize) -> Self {
        Self { sweeps, ..self }
    }

    /// Sets how many images are sampled together, 64 without it: a matter of memory and speed.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Puts the original at the end of each row of the figure, for images of which it is known.
    pub fn originals(self, originals: bool) -> Self {
        Self { originals, ..self }
    }

    /// Reports finished rows of images.
    pub fn progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// Completes the images: missing pixels are sampled one after another in the
    /// [order](Self::order), given the known and the sampled ones before them; known pixels are kept
    /// exactly.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where the images, the mask or the labels do not fit the model, or nothing is
    /// asked for; [`Error::Sample`] for a batch of no image, [`Error::Data`] where the model predicts
    /// what is no number, and [`Error::Cancelled`] where the progress broke off.
    pub fn run(self) -> Result<Completions, Error> {
        let shape @ [channels, height, width] = self.images.shape();
        self.check(shape)?;
        let plane = height * width;
        let size = [height, width];
        let is_missing = |value: usize| self.mask.missing()[value % plane];
        let count = self.images.len().saturating_mul(self.completions);
        let completions = self.completions;
        // Levels and values of all, which are values twice where they are known.
        let values = (count as u64).saturating_mul((channels * plane) as u64);
        pixel_iqn_data::check_memory(values.saturating_mul(10))?;
        let values: Vec<f32> = (0..self.images.len())
            .flat_map(|index| self.images.image(index).repeat(completions))
            .map(|level| f32::from(level) / 255.0)
            .collect();
        let orders = self.model.config().orders;
        let regions = self.regions(size);
        let labels = self.classes_of_images()?;
        let of_completions = match &labels {
            None => Labels::None,
            Some(labels) => Labels::PerImage({
                let each = |&label| core::iter::repeat_n(label, completions);
                labels.iter().flat_map(each).collect()
            }),
        };
        let options = SampleOptions::new(count, size, self.seed)
            .with_labels(of_completions)
            .with_batch(self.batch);
        let first_order = self
            .order
            .unwrap_or_else(|| Order::for_region(self.mask.missing(), size, orders));
        let stages = (regions.iter().enumerate()).map(|(stage, missing)| match stage {
            0 => (missing, first_order),
            _ => (missing, Order::for_region(missing, size, orders)),
        });
        // An order may go along columns, of which there may be more than rows.
        let rows_of = |order: Order| count * order.size(size)[0];
        let total = stages.clone().map(|(_, order)| rows_of(order)).sum();
        let mut finished = 0;
        let mut completed = Vec::new();
        for (stage, (missing, order)) in stages.enumerate() {
            let known = KnownValues {
                mask: (0..values.len()).map(|i| !missing[i % plane]).collect(),
                values: match stage {
                    0 => values.clone(),
                    _ => completed.iter().map(|&l| f32::from(l) / 255.0).collect(),
                },
            };
            // Each stage has noise of its own.
            let options = options
                .clone()
                .with_first(stage * count)
                .with_order(order)
                .with_known(Some(known));
            let progress = PartProgress {
                progress: self.progress,
                before: finished,
                total,
            };
            let sampler = self.model.sampler();
            completed = pixel_iqn_train::sample_levels(sampler, &options, &progress)?;
            finished += rows_of(order);
        }

        let columns = 1 + self.completions + usize::from(self.originals);
        let mut figure = Vec::new();
        let rows = completed.chunks_exact(channels * plane * self.completions);
        for (index, completions) in rows.enumerate() {
            let original = self.images.image(index);
            let input = original.iter().enumerate();
            figure.extend(input.map(|(i, &level)| if is_missing(i) { MISSING } else { level }));
            figure.extend(completions);
            if self.originals {
                figure.extend(original);
            }
        }
        let shape = |images| [images, channels, height, width];
        Ok(Completions {
            images: Images::new(completed, shape(count), self.completions),
            figure: Images::new(figure, shape(self.images.len() * columns), columns),
            order: first_order,
            labels,
        })
    }

    /// What is missing in each stage: the whole region first, then the blocks of each sweep.
    fn regions(&self, [height, width]: [usize; 2]) -> Vec<Vec<bool>> {
        let missing = self.mask.missing();
        let block_of = |pixel: usize| [pixel / width / BLOCK, pixel % width / BLOCK];
        let [rows, columns] = [height.div_ceil(BLOCK), width.div_ceil(BLOCK)];
        let blocks = (0..rows).flat_map(|row| (0..columns).map(move |column| [row, column]));
        let blocks = blocks.map(|block| -> Vec<bool> {
            let pixels = missing.iter().enumerate();
            pixels
                .map(|(pixel, &missing)| missing && block_of(pixel) == block)
                .collect()
        });
        let sweep: Vec<_> = blocks.filter(|block| block.contains(&true)).collect();
        let sweeps = (0..self.sweeps).flat_map(|_| sweep.clone());
        core::iter::once(missing.to_vec()).chain(sweeps).collect()
    }

    fn check(&self, shape @ [channels, height, width]: [usize; 3]) -> Result<(), Error> {
        let request = |text| Err(Error::Request(text));
        if self.completions == 0 {
            return request("at least one completion of each image is needed".into());
        }
        if channels != self.model.config().channels {
            return request(format!(
                "the images have {channels} channel(s), the model has {}",
                self.model.config().channels
            ));
        }
        if let Some(trained) = self.model.size()
            && trained != [height, width]
        {
            return request(format!(
                "the images are {shape:?} (channels, height, width), but the model was trained on \
                 {} x {}: read them at that size",
                trained[0], trained[1]
            ));
        }
        if self.mask.size() != [height, width] {
            let [mask_height, mask_width] = self.mask.size();
            return request(format!(
                "the mask is {mask_height} x {mask_width} (height, width), the images are {height} \
                 x {width}"
            ));
        }
        if !self.mask.missing().contains(&true) {
            return request("the mask leaves nothing to complete: no pixel is missing".into());
        }
        Ok(())
    }

    /// The class of each image, none where the model has no classes.
    fn classes_of_images(&self) -> Result<Option<Vec<Option<usize>>>, Error> {
        let classes = self.model.classes();
        let images = 0..self.images.len();
        let labels = match &self.labels {
            Some(text) => classes.labels(text, images.len())?,
            None if classes.is_empty() => Labels::None,
            None => {
                let own = images.clone().map(|image| self.label_of(image));
                Labels::PerImage(own.collect::<Result<_, Error>>()?)
            }
        };
        Ok(labels.of_images(images, classes.len()))
    }

    /// The class of the model that has the name of an image's class, or its number where either has
    /// no names.
    fn label_of(&self, image: usize) -> Result<Option<usize>, Error> {
        let classes = self.model.classes();
        let Some(label) = self.images.label(image) else {
            return Err(Error::Request(format!(
                "the model is class-conditional and the images have no labels: give a class for \
                 all, or one for each; {classes}"
            )));
        };
        match self.images.class_names() {
            Some(names) if !classes.names().is_empty() => {
                classes.parse(&names[label as usize]).map(Some)
            }
            _ => classes.parse(&format!("#{label}")).map(Some),
        }
    }
}

use std::ops::Range;

use pixel_iqn_core::{Labels, NoProgress, Order, Progress, SampleOptions, TauSource};
use pixel_iqn_data::check_memory;

use crate::{Error, Images, Model};

/// A request for samples of a [`Model`], which [`run`](Self::run) carries out.
///
/// Image `i` of a seed is always the same, in whatever batch and beside whichever images.
#[derive(Clone)]
#[must_use = "a request does nothing until `run`, `save_npz` or `save_folder` is called"]
pub struct Sampling<'a> {
    pub(crate) model: &'a Model,
    count: usize,
    first: usize,
    /// One of how many parts to sample, counted from 1.
    shard: (usize, usize),
    seed: u64,
    size: Option<[usize; 2]>,
    tau: TauSource,
    labels: Option<String>,
    order: Order,
    guidance: f32,
    batch: usize,
    pub(crate) progress: &'a dyn Progress,
}

impl Model {
    /// Asks for `count` samples.
    pub fn sample(&self, count: usize) -> Sampling<'_> {
        Sampling::new(self, count)
    }
}

impl<'a> Sampling<'a> {
    fn new(model: &'a Model, count: usize) -> Self {
        Self {
            model,
            count,
            first: 0,
            shard: (1, 1),
            seed: 0,
            size: None,
            tau: TauSource::Uniform,
            labels: None,
            order: Order::RASTER,
            guidance: 0.0,
            batch: 64,
            progress: &NoProgress,
        }
    }

    /// Sets the seed, 0 without it.
    pub fn seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Begins with another image of the seed's sequence than the first.
    pub fn first(self, first: usize) -> Self {
        Self { first, ..self }
    }

    /// Samples one of `parts` parts of the images alone, counted from 1: together the parts equal the
    /// whole, so that machines can divide a large job.
    ///
    /// ```no_run
    /// # let model = pixel_iqn::Model::open("runs/photos", "cpu")?;
    /// // On the second of four machines:
    /// model.sample(50_000).shard(2, 4).save_folder("samples")?;
    /// # Ok::<(), pixel_iqn::Error>(())
    /// ```
    pub fn shard(self, part: usize, parts: usize) -> Self {
        let shard = (part, parts);
        Self { shard, ..self }
    }

    /// Sets the height and width in pixels; without it they are those of the training images.
    pub fn size(self, height: usize, width: usize) -> Self {
        let size = Some([height, width]);
        Self { size, ..self }
    }

    /// Gives every value the same tau, in (0, 1): 0.5 is the image of medians.
    pub fn tau(self, tau: f32) -> Self {
        let tau = TauSource::Constant(tau);
        Self { tau, ..self }
    }

    /// Draws tau evenly from an interval inside (0, 1), which narrows every distribution.
    pub fn tau_range(self, low: f32, high: f32) -> Self {
        let tau = TauSource::Interval(low, high);
        Self { tau, ..self }
    }

    /// Chooses classes as [`Classes::labels`](crate::Classes::labels) reads them: a name, `#2`, names
    /// between commas, `spread` or `none`. Without it a class-conditional model goes round its
    /// classes.
    pub fn labels(self, labels: impl Into<String>) -> Self {
        let labels = Some(labels.into());
        Self { labels, ..self }
    }

    /// Sets the order in which the values are sampled, for a model of several orders; raster order
    /// without it.
    pub fn order(self, order: Order) -> Self {
        Self { order, ..self }
    }

    /// Guides the images towards their classes with a weight, 0 without it: they are read as their class more
    /// often, and vary less (see [`SampleBatch::with_guidance`](crate::core::SampleBatch::with_guidance)).
    pub fn guidance(self, guidance: f32) -> Self {
        Self { guidance, ..self }
    }

    /// Sets how many images are sampled together, 64 without it: a matter of memory and speed.
    pub fn batch(self, batch: usize) -> Self {
        Self { batch, ..self }
    }

    /// Reports finished rows of images.
    pub fn progress(self, progress: &'a dyn Progress) -> Self {
        Self { progress, ..self }
    }

    /// The request as options of a [`Sampler`](crate::Sampler).
    ///
    /// # Errors
    ///
    /// [`Error::Request`] for labels that the model does not have, where the size of the images is
    /// not known, for a part that has no image, and for no image at all; [`Error::Sample`] for a tau
    /// out of range and an empty batch; [`Error::Data`] where a batch needs more memory than there is.
    pub fn options(&self) -> Result<SampleOptions, Error> {
        let (options, range) = self.request()?;
        Ok(options.part(range))
    }

    /// The options of all parts together, and the images of this part.
    pub(crate) fn request(&self) -> Result<(SampleOptions, Range<usize>), Error> {
        let options = self.all_options()?;
        // Before anything is sampled or written.
        options.validate(self.model.config())?;
        let (part, parts) = self.shard;
        if !(1..=parts).contains(&part) {
            return Err(Error::Request(format!(
                "there is no part {part} of {parts}"
            )));
        }
        self.check_memory(&options)?;
        let end = |part: usize| (self.count as u128 * part as u128 / parts as u128) as usize;
        let range = end(part - 1)..end(part);
        if range.is_empty() {
            return Err(Error::Request(format!(
                "part {part} of {parts} has none of {} images",
                self.count
            )));
        }
        Ok((options, range))
    }

    /// Fails where the images of a batch need more memory than there is.
    fn check_memory(&self, options: &SampleOptions) -> Result<(), Error> {
        let config = self.model.config();
        let [height, width] = options.size;
        let images = self.batch.min(self.count) as u64;
        let images = images.saturating_mul(options.copies() as u64);
        let positions = images
            .saturating_mul(height as u64)
            .saturating_mul(width as u64);
        let values = positions.saturating_mul(config.channels as u64);
        // Of each value its tau, its prediction, what was drawn and its level, and of each layer of a
        // row its features in both stacks, with the halves of a gate: less than is taken.
        let row =
            images.saturating_mul(width as u64) * (config.layers * config.features * 6) as u64;
        let numbers = values.saturating_mul(3).saturating_add(row);
        check_memory(numbers.saturating_mul(4).saturating_add(values))?;
        Ok(())
    }

    fn all_options(&self) -> Result<SampleOptions, Error> {
        if self.count == 0 {
            return Err(Error::Request("at least one image is to be sampled".into()));
        }
        let size = match self.size {
            Some(size) => size,
            None => self.model.size().ok_or_else(|| {
                Error::Request(
                    "the model does not say how large its images are: give their height and width"
                        .into(),
                )
            })?,
        };
        let labels = match &self.labels {
            Some(text) => self.model.classes().labels(text, self.count)?,
            None if self.model.classes().is_empty() => Labels::None,
            None => Labels::Spread,
        };
        Ok(SampleOptions::new(self.count, size, self.seed)
            .with_first(self.first)
            .with_tau(self.tau.clone())
            .with_labels(labels)
            .with_order(self.order)
            .with_guidance(self.guidance)
            .with_batch(self.batch))
    }

    /// Samples the images.
    ///
    /// # Errors
    ///
    /// The errors of [`options`](Self::options), [`Error::Data`] where a value is infinite or not a
    /// number, or where the images do not fit into memory, and [`Error::Cancelled`] where the progress
    /// broke off.
    pub fn run(self) -> Result<Images, Error> {
        let options = self.options()?;
        let [height, width] = options.size;
        let shape = [options.count, self.model.config().channels, height, width];
        let bytes = |bytes: u64, &size: &usize| bytes.saturating_mul(size as u64);
        check_memory(shape.iter().fold(1, bytes))?;
        let sampler = self.model.sampler();
        let levels = pixel_iqn_train::sample_levels(sampler, &options, self.progress)?;
        let classes = self.model.classes().len();
        let columns = pixel_iqn_train::grid_columns(&options.labels, classes, options.count);
        Ok(Images::new(levels, shape, columns))
    }
}

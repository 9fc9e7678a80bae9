use pixel_iqn_core::{Labels, NoProgress, Progress, SampleOptions, TauSource};

use crate::{Error, Images, Model};

/// A request for samples of a [`Model`], which [`run`](Self::run) carries out.
///
/// Image `i` of a seed is always the same, in any batch and in any company.
#[derive(Clone)]
pub struct Sampling<'a> {
    model: &'a Model,
    count: usize,
    first: usize,
    seed: u64,
    size: Option<[usize; 2]>,
    tau: TauSource,
    labels: Option<String>,
    batch: usize,
    progress: &'a dyn Progress,
}

impl<'a> Sampling<'a> {
    pub(crate) fn new(model: &'a Model, count: usize) -> Self {
        Self {
            model,
            count,
            first: 0,
            seed: 0,
            size: None,
            tau: TauSource::Uniform,
            labels: None,
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
    /// not known, and for no image at all.
    pub fn options(&self) -> Result<SampleOptions, Error> {
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
            .with_batch(self.batch))
    }

    /// Samples the images.
    ///
    /// # Errors
    ///
    /// As [`options`](Self::options); also [`Error::Sample`] for a tau out of range, and
    /// [`Error::Cancelled`] where the progress broke off.
    pub fn run(self) -> Result<Images, Error> {
        let options = self.options()?;
        let sampler = self.model.sampler();
        let levels = pixel_iqn_train::sample_levels(sampler, &options, self.progress)?;
        let [height, width] = options.size;
        let columns = match options.labels {
            Labels::Spread => self.model.classes().len().min(self.count),
            _ => self.count.isqrt().max(1),
        };
        let channels = self.model.config().channels;
        Ok(Images::new(
            levels,
            [self.count, channels, height, width],
            columns,
        ))
    }
}

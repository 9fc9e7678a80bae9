use pixel_iqn_core::{KnownValues, Labels, NoProgress, Progress, SampleOptions};
use pixel_iqn_data::{ImageDataset, Mask};

use crate::{Error, Images, Model};

/// Level of what is missing, in the picture of an input: mid grey.
const MISSING: u8 = 128;

/// A request for completions of images with missing pixels, which [`run`](Self::run) carries out.
#[derive(Clone)]
#[must_use = "a request does nothing until `run` is called"]
pub struct Inpainting<'a> {
    model: &'a Model,
    images: &'a ImageDataset,
    mask: &'a Mask,
    completions: usize,
    seed: u64,
    labels: Option<String>,
    batch: usize,
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
}

impl Completions {
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

    /// Completes the images: missing pixels are sampled in raster order, given the known ones before
    /// them and the sampled ones; known pixels are kept exactly.
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
        let is_missing = |value: usize| self.mask.missing()[value % plane];
        let count = self.images.len() * self.completions;
        let repeated = |index: usize| core::iter::repeat_n(index, self.completions);
        let values: Vec<f32> = (0..self.images.len())
            .flat_map(repeated)
            .flat_map(|index| self.images.image(index))
            .map(|&level| f32::from(level) / 255.0)
            .collect();
        let options = SampleOptions::new(count, [height, width], self.seed)
            .with_labels(self.each_label()?)
            .with_batch(self.batch)
            .with_known(Some(KnownValues {
                mask: (0..values.len()).map(|value| !is_missing(value)).collect(),
                values,
            }));
        let sampler = self.model.sampler();
        let completed = pixel_iqn_train::sample_levels(sampler, &options, self.progress)?;

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
        })
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

    /// One label for each completion.
    fn each_label(&self) -> Result<Labels, Error> {
        let classes = self.model.classes();
        let by_image: Vec<Option<usize>> = match &self.labels {
            Some(text) => match classes.labels(text, self.images.len())? {
                Labels::PerImage(labels) => labels,
                Labels::Spread => (0..self.images.len())
                    .map(|image| Some(image % classes.len()))
                    .collect(),
                other => return Ok(other),
            },
            None if classes.is_empty() => return Ok(Labels::None),
            None => (0..self.images.len())
                .map(|image| self.label_of(image))
                .collect::<Result<_, Error>>()?,
        };
        let each = by_image
            .into_iter()
            .flat_map(|label| core::iter::repeat_n(label, self.completions));
        Ok(Labels::PerImage(each.collect()))
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

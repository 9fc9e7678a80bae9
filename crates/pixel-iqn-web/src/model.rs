use pixel_iqn_core::{KnownValues, ModelConfig, Order, SampleOptions};
use pixel_iqn_cpu::CpuSampler;

use crate::{Drawing, Quantiles, Request, WebError};

/// A model in the page: its sampler, and the size of its images.
#[derive(Debug)]
pub struct WebModel {
    sampler: CpuSampler,
    config: ModelConfig,
    /// Height and width.
    size: [usize; 2],
}

impl WebModel {
    /// Opens a model from the JSON of its config, the height and width of its images in pixels, and the bytes
    /// of a safetensors file of its weights.
    ///
    /// # Errors
    ///
    /// [`WebError::Config`] and [`WebError::Weights`] where they are no model, and [`WebError::Invalid`] for
    /// images without a pixel.
    pub fn open(config: &str, size: [usize; 2], weights: &[u8]) -> Result<Self, WebError> {
        let config = ModelConfig::from_json(config)?;
        let [height, width] = size;
        if height == 0 || width == 0 {
            let message = format!("images of {height} x {width} pixels have no pixel");
            return Err(WebError::Invalid(message));
        }
        let sampler = CpuSampler::from_safetensors(&config, weights)?;
        Ok(Self {
            sampler,
            config,
            size,
        })
    }

    /// The number of values of an image.
    fn values(&self) -> usize {
        self.config.channels * self.size[0] * self.size[1]
    }

    /// Begins to draw samples.
    ///
    /// # Errors
    ///
    /// [`WebError::Invalid`] and [`WebError::Sample`] where the request does not fit the model.
    pub fn draw(&self, request: &Request) -> Result<Drawing, WebError> {
        let options = request.options(&self.config, self.size)?;
        self.begin(&options)
    }

    /// Begins to complete a picture: where `missing` is false all images have its values.
    ///
    /// # Shapes
    ///
    /// - `picture`: `[channels, height, width]`, levels from 0 to 255
    /// - `missing`: `[height, width]`
    ///
    /// # Errors
    ///
    /// The errors of [`draw`](Self::draw), and [`WebError::Invalid`] for a picture or mask of another size.
    pub fn complete(
        &self,
        request: &Request,
        picture: &[u8],
        missing: &[bool],
    ) -> Result<Drawing, WebError> {
        self.check_picture(picture)?;
        self.check_mask(missing)?;
        let one: Vec<f32> = picture
            .iter()
            .map(|&level| f32::from(level) / 255.0)
            .collect();
        let known: Vec<bool> = missing.iter().map(|missing| !missing).collect();
        let planes = request.count * self.config.channels;
        let known = KnownValues {
            values: one.repeat(request.count),
            mask: known.repeat(planes),
        };
        let options = request.options(&self.config, self.size)?;
        self.begin(&options.with_known(Some(known)))
    }

    fn begin(&self, options: &SampleOptions) -> Result<Drawing, WebError> {
        let mut batches = options.batches(&self.config)?;
        let Some(batch) = batches.next() else {
            return Err(WebError::Invalid(
                "at least one image is to be drawn".into(),
            ));
        };
        Ok(Drawing::new(self.sampler.begin(&batch)?, &batch))
    }

    /// The index of the generation order that suits a region: see [`Order::for_region`].
    ///
    /// # Errors
    ///
    /// [`WebError::Invalid`] for a mask of another size.
    pub fn order_for(&self, missing: &[bool]) -> Result<usize, WebError> {
        self.check_mask(missing)?;
        Ok(Order::for_region(missing, self.size, self.config.orders).index())
    }

    /// Begins to compute the quantile functions of all values of a picture, each given the values before it.
    ///
    /// # Errors
    ///
    /// The errors of [`complete`](Self::complete), and [`WebError::Invalid`] for a model with the output
    /// `gates`, in which a value depends on the tau of others too.
    pub fn quantiles(
        &self,
        picture: &[u8],
        label: Option<usize>,
        order: usize,
    ) -> Result<Quantiles, WebError> {
        self.check_picture(picture)?;
        let order = Order::new(order)
            .ok_or_else(|| WebError::Invalid(format!("there is no generation order {order}")))?;
        Quantiles::begin(
            &self.sampler,
            &self.config,
            self.size,
            (picture, label, order),
        )
    }

    fn check_picture(&self, picture: &[u8]) -> Result<(), WebError> {
        let expected = self.values();
        if picture.len() == expected {
            return Ok(());
        }
        let found = picture.len();
        Err(WebError::Invalid(format!(
            "the picture has {found} values, and those of the model have {expected}"
        )))
    }

    fn check_mask(&self, missing: &[bool]) -> Result<(), WebError> {
        let (expected, found) = (self.size[0] * self.size[1], missing.len());
        if found == expected {
            return Ok(());
        }
        Err(WebError::Invalid(format!(
            "the region has {found} pixels, and the images of the model have {expected}"
        )))
    }
}

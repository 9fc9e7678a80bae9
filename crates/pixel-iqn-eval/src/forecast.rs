use core::ops::ControlFlow;

use burn::tensor::activation::softmax;
use pixel_iqn_core::{
    Conditions, GatedPixelCnn, Noise, PixelIqn, PixelModel, QuantileOutput, TauPlacement,
};
use pixel_iqn_data::{ImageBatch, ImageDataset};

use crate::error::EvalError;

const PLACEMENT: u64 = u64::from_be_bytes(*b"placing ");

/// The predicted distributions of all values of a batch, each given those before it.
#[derive(Debug, Clone, PartialEq)]
pub enum Forecasts {
    /// By quantiles.
    Quantiles {
        /// How many of each value, at the middles of as many equal bins of [0, 1].
        taus: usize,
        /// In units of the full range of intensity, by value in the order of the images
        /// (`[batch, channels, height, width]`), then by tau; not sorted.
        quantiles: Vec<f32>,
    },
    /// By the probabilities of intensity levels.
    Levels {
        /// How many levels there are; level `l` is the intensity `l / (levels - 1)`.
        levels: usize,
        /// By value, then by level; each value's add up to 1 but for rounding.
        probabilities: Vec<f32>,
    },
}

/// How a model is asked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ForecastOptions {
    /// Quantiles of each value, at least 2.
    pub taus: usize,
    /// Seed of the placement of tau.
    pub seed: u64,
}

/// What predicts the distribution of each value of an image given those before it.
pub trait Forecaster {
    /// The passes that [`forecast`](Self::forecast) takes over a batch, for progress.
    /// One, unless a model says otherwise.
    fn passes(&self, _options: &ForecastOptions) -> usize {
        1
    }

    /// The distributions of all values of a batch. `on_pass` is called after each pass;
    /// [`ControlFlow::Break`] from it ends the work with `None`.
    ///
    /// # Errors
    ///
    /// [`EvalError::Device`] where the device failed.
    ///
    /// # Panics
    ///
    /// Panics if the images or labels do not fit the model.
    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        on_pass: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Forecasts>, EvalError>;
}

/// By one pass for each tau; with tau in the head they share one pass of the trunk.
///
/// Tau is placed by [`TauPlacement`]. For a model whose values also depend on the tau of earlier
/// values, the quantiles of a value carry the noise of those other tau, and cross more.
impl Forecaster for PixelIqn {
    fn passes(&self, options: &ForecastOptions) -> usize {
        options.taus
    }

    fn forecast(
        &self,
        batch: &ImageBatch,
        options: &ForecastOptions,
        on_pass: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Forecasts>, EvalError> {
        let &ForecastOptions { taus, seed } = options;
        let images = &batch.images;
        let shape = images.dims();
        let device = images.device();
        let labels = batch.labels_of(self.config().classes);
        let shared = match &self.output {
            QuantileOutput::Head(output) => {
                let context = self.trunk.forward(images.clone(), Conditions::new(labels));
                Some((output, context))
            }
            QuantileOutput::Gates(_) => None,
        };
        let [_, image @ ..] = shape;
        let noise = Noise::new(seed ^ PLACEMENT);
        let placement = TauPlacement::new(&noise, &batch.indices, image.iter().product(), taus);
        let mut quantiles = vec![0.0; placement.values() * taus];
        for pass in 0..taus {
            let tau = placement.tau(pass, shape, &device);
            let values = match &shared {
                Some((output, context)) => output.quantiles(context.clone(), tau),
                None => self.forward(images.clone(), tau, labels),
            };
            let values = values.clamp(0.0, 1.0).try_into_data();
            let values = values.map_err(|error| EvalError::Device(error.to_string()))?;
            placement.store(pass, values.iter::<f32>(), &mut quantiles);
            if on_pass().is_break() {
                return Ok(None);
            }
        }
        Ok(Some(Forecasts::Quantiles { taus, quantiles }))
    }
}

/// By one pass.
impl Forecaster for GatedPixelCnn {
    fn forecast(
        &self,
        batch: &ImageBatch,
        _: &ForecastOptions,
        on_pass: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Forecasts>, EvalError> {
        let labels = batch.labels_of(self.config().classes);
        let logits = self.forward(batch.images.clone(), labels);
        let probabilities = softmax(logits.permute([0, 1, 3, 4, 2]), 4).try_into_data();
        let probabilities = probabilities.map_err(|error| EvalError::Device(error.to_string()))?;
        let forecasts = Forecasts::Levels {
            levels: self.levels(),
            probabilities: probabilities.iter().collect(),
        };
        Ok(on_pass().is_continue().then_some(forecasts))
    }
}

/// The distribution of each channel over all positions and images of a set: the forecast that
/// knows nothing of an image, and the reference of skill.
#[derive(Debug, Clone, PartialEq)]
pub struct MarginalForecaster {
    /// Of 256 levels, by channel.
    probabilities: Vec<Vec<f32>>,
}

impl MarginalForecaster {
    /// The frequencies of the levels in a set, usually the one that a model was trained on; each
    /// level counts once more, so that none is impossible.
    pub fn of(set: &ImageDataset) -> Self {
        let probabilities = set.level_counts(0..set.len()).into_iter().map(|counts| {
            let total = counts.iter().sum::<u64>() + 256;
            counts
                .map(|n| ((n + 1) as f64 / total as f64) as f32)
                .to_vec()
        });
        Self {
            probabilities: probabilities.collect(),
        }
    }
}

impl Forecaster for MarginalForecaster {
    fn forecast(
        &self,
        batch: &ImageBatch,
        _: &ForecastOptions,
        on_pass: &mut dyn FnMut() -> ControlFlow<()>,
    ) -> Result<Option<Forecasts>, EvalError> {
        let [count, channels, height, width] = batch.images.dims();
        assert_eq!(channels, self.probabilities.len(), "other channels");
        let image = self.probabilities.iter();
        let image = image.flat_map(|levels| levels.repeat(height * width));
        let forecasts = Forecasts::Levels {
            levels: 256,
            probabilities: image.collect::<Vec<f32>>().repeat(count),
        };
        Ok(on_pass().is_continue().then_some(forecasts))
    }
}

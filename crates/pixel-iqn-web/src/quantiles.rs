use pixel_iqn_core::{KnownValues, ModelConfig, Order, Output, SampleBatch};
use pixel_iqn_cpu::{CpuSampler, CpuSampling};

use crate::WebError;

/// The number of quantile levels where the output of the model has no knots of its own.
const LEVELS: usize = 32;

/// The quantile functions of all values of a picture, which are being computed pixel by pixel.
///
/// A batch has the picture once for each quantile level, with all its values given: what the model predicts at
/// a pixel of the copies is the quantile function there.
#[derive(Debug)]
pub struct Quantiles {
    steps: CpuSampling,
    done: usize,
    levels: Vec<f32>,
}

impl Quantiles {
    pub(crate) fn begin(
        sampler: &CpuSampler,
        config: &ModelConfig,
        [height, width]: [usize; 2],
        (picture, label, order): (&[u8], Option<usize>, Order),
    ) -> Result<Self, WebError> {
        let levels: Vec<f32> = match &config.output {
            Output::Gates { .. } => {
                return Err(WebError::Invalid(
                    "in a model with the output `gates` the distribution of a value depends on how the \
                     values before it were drawn: look inside one with another output"
                        .into(),
                ));
            }
            // A quantile function is straight between the knots.
            Output::Monotone { knots } => knots.iter().map(|&knot| knot as f32).collect(),
            _ => (0..LEVELS)
                .map(|level| (level as f32 + 0.5) / LEVELS as f32)
                .collect(),
        };
        // A knot may be at an end of [0, 1], where no tau is.
        let levels: Vec<f32> = levels
            .into_iter()
            .map(|level| level.clamp(f32::EPSILON, 1.0 - f32::EPSILON))
            .collect();
        let tau = levels.iter().flat_map(|&tau| vec![tau; picture.len()]);
        let dims = [levels.len(), config.channels, height, width];
        let values: Vec<f32> = picture
            .iter()
            .map(|&level| f32::from(level) / 255.0)
            .collect();
        let batch = SampleBatch::new(dims, tau.collect())
            .with_labels((config.classes > 0).then(|| vec![label; levels.len()]))
            .with_known(Some(KnownValues {
                values: values.repeat(levels.len()),
                mask: vec![true; picture.len() * levels.len()],
            }))
            .with_order(order);
        Ok(Self {
            steps: sampler.begin(&batch)?,
            done: 0,
            levels,
        })
    }

    /// Computes up to `pixels` more pixels, and returns whether there are others to compute.
    pub fn advance(&mut self, pixels: usize) -> bool {
        self.done = self.steps.advance(pixels).end.max(self.done);
        self.done < self.steps.pixels()
    }

    /// The number of pixels that are computed.
    pub fn done(&self) -> usize {
        self.done
    }

    /// The quantile levels, in (0, 1).
    pub fn levels(&self) -> &[f32] {
        &self.levels
    }

    /// The quantiles so far, `[levels, channels, height, width]`; near [0, 1], not clamped.
    pub fn quantiles(&self) -> Vec<f32> {
        self.steps.predictions()
    }
}

use pixel_iqn_core::NoProgress;
use pixel_iqn_data::ImageDataset;
use pixel_iqn_score::{
    ConditionalOptions, ConditionalScores, MarginalForecaster, ScoreError, conditional_scores,
};

use crate::error::RunError;
use crate::metrics::{HeldOutScores, QUANTILE_LEVELS};
use crate::objective::TrainModel;
use crate::run_config::RunConfig;
use crate::trainer::Trainer;

/// Measures the averaged weights on held-out images, always on the same ones.
pub(super) struct Measurement<'a> {
    held_out: &'a ImageDataset,
    marginal: MarginalForecaster,
    images: usize,
    options: ConditionalOptions,
    batch: usize,
}

impl<'a> Measurement<'a> {
    pub fn new(config: &RunConfig, train: &ImageDataset, held_out: &'a ImageDataset) -> Self {
        let images = config.report.held_out_images.min(held_out.len());
        Self {
            held_out,
            marginal: MarginalForecaster::of(train),
            images,
            options: ConditionalOptions::new(images)
                .with_batch(config.train.batch)
                .with_quantile_levels(QUANTILE_LEVELS)
                .with_seed(config.train.seed),
            batch: config.train.batch,
        }
    }

    /// An interrupt waits for it: the rest of the run depends on what it finds.
    pub fn scores<M: TrainModel>(&self, trainer: &Trainer<M>) -> Result<HeldOutScores, RunError> {
        let (set, marginal, options) = (self.held_out, &self.marginal, &self.options);
        let (model, device) = (trainer.averaged(), trainer.device());
        let scores = conditional_scores(model, set, marginal, options, &device, &NoProgress);
        let ([mean_pinball, crps, crossing_rate], skill) = match scores {
            Ok(ConditionalScores { mean, skill, .. }) => {
                ([mean.pinball, mean.crps, mean.crossing_rate], skill)
            }
            // The run goes on, and its log says that there is no number.
            Err(ScoreError::NotFinite) => ([f64::NAN; 3], None),
            Err(error) => return Err(error.into()),
        };
        Ok(HeldOutScores {
            loss: self.loss(trainer)?,
            mean_pinball,
            crps,
            skill,
            crossing_rate,
        })
    }

    /// The mean loss of all images.
    fn loss<M: TrainModel>(&self, trainer: &Trainer<M>) -> Result<f32, RunError> {
        let device = trainer.device();
        let indices: Vec<usize> = (0..self.images).collect();
        let mut sum = 0.0;
        for indices in indices.chunks(self.batch) {
            let mean = trainer.held_out_loss(&self.held_out.batch(indices, None, &device))?;
            sum += f64::from(mean) * indices.len() as f64;
        }
        Ok((sum / indices.len() as f64) as f32)
    }
}

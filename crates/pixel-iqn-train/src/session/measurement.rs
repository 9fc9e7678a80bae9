use core::ops::ControlFlow;

use pixel_iqn_data::ImageDataset;

use crate::error::RunError;
use crate::marginal::MarginalQuantiles;
use crate::metrics::HeldOutScores;
use crate::objective::TrainModel;
use crate::run_config::RunConfig;
use crate::score::{ScoreOptions, score};
use crate::trainer::Trainer;

/// Measures the averaged weights on held-out images, always on the same ones.
pub(super) struct Measurement<'a> {
    held_out: &'a ImageDataset,
    marginal: MarginalQuantiles,
    options: ScoreOptions,
}

impl<'a> Measurement<'a> {
    pub fn new(config: &RunConfig, train: &ImageDataset, held_out: &'a ImageDataset) -> Self {
        Self {
            held_out,
            marginal: MarginalQuantiles::of(train),
            options: ScoreOptions {
                images: config.report.held_out_images.min(held_out.len()),
                batch: config.train.batch,
                seed: config.train.seed,
            },
        }
    }

    /// An interrupt waits for it: the rest of the run depends on what it finds.
    pub fn scores<M: TrainModel>(&self, trainer: &Trainer<M>) -> Result<HeldOutScores, RunError> {
        let (set, marginal, options) = (self.held_out, &self.marginal, &self.options);
        let (model, device) = (trainer.averaged(), trainer.device());
        let go_on = |_, _| ControlFlow::Continue(());
        let scores = score(model, set, marginal, options, &device, go_on)?;
        let scores = scores.expect("nothing cancels it");
        Ok(HeldOutScores {
            loss: self.loss(trainer)?,
            mean_pinball: scores.mean_pinball,
            skill: scores.skill,
            crossing_rate: scores.crossing_rate,
        })
    }

    /// The mean loss of all images.
    fn loss<M: TrainModel>(&self, trainer: &Trainer<M>) -> Result<f32, RunError> {
        let device = trainer.device();
        let indices: Vec<usize> = (0..self.options.images).collect();
        let mut sum = 0.0;
        for indices in indices.chunks(self.options.batch) {
            let mean = trainer.held_out_loss(&self.held_out.batch(indices, None, &device))?;
            sum += f64::from(mean) * indices.len() as f64;
        }
        Ok((sum / indices.len() as f64) as f32)
    }
}

use pixel_iqn_core::NoProgress;
use pixel_iqn_score::{ConditionalOptions, MarginalForecaster, ScoreError, conditional_scores};

use super::Session;
use crate::error::RunError;
use crate::metrics::{HeldOut, QUANTILE_LEVELS};
use crate::objective::TrainModel;

/// Measures on held-out images, always the same ones.
pub(super) struct Measure {
    marginal: MarginalForecaster,
    indices: Vec<usize>,
}

impl Measure {
    pub fn new<M: TrainModel>(session: &Session<M>) -> Self {
        let images = session.config.report.held_out_images;
        Self {
            marginal: MarginalForecaster::of(&session.train),
            indices: (0..images.min(session.held_out.len())).collect(),
        }
    }

    /// An interrupt waits for it: the rest of the run depends on what it finds.
    pub fn held_out<M: TrainModel>(&self, session: &Session<M>) -> Result<HeldOut, RunError> {
        let (trainer, set) = (&session.trainer, &session.held_out);
        let device = trainer.device();
        let batch = session.config.train.batch;
        let options = ConditionalOptions::new(self.indices.len())
            .with_batch(batch)
            .with_quantile_levels(QUANTILE_LEVELS)
            .with_seed(session.config.train.seed);
        let (model, marginal) = (trainer.averaged(), &self.marginal);
        let scores = conditional_scores(model, set, marginal, &options, &device, &NoProgress);
        let [mean_pinball, skill, crossing_rate] = match scores {
            Ok(scores) => [scores.mean.pinball, scores.skill, scores.mean.crossing_rate],
            // The run goes on, and its log says that there is no number.
            Err(ScoreError::NotFinite) => [f64::NAN; 3],
            Err(error) => return Err(error.into()),
        };
        let mut loss = 0.0;
        for indices in self.indices.chunks(batch) {
            let mean = trainer.held_out_loss(&set.batch(indices, None, &device))?;
            loss += f64::from(mean) * indices.len() as f64;
        }
        Ok(HeldOut {
            loss: (loss / self.indices.len() as f64) as f32,
            mean_pinball,
            skill,
            crossing_rate,
        })
    }
}

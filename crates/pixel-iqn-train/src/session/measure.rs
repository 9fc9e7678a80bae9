use core::ops::ControlFlow;

use super::Session;
use crate::error::RunError;
use crate::marginal::MarginalQuantiles;
use crate::metrics::HeldOut;
use crate::objective::TrainModel;
use crate::score::{ScoreOptions, score};

/// Measures on held-out images, always the same ones.
pub(super) struct Measure {
    marginal: MarginalQuantiles,
    indices: Vec<usize>,
}

impl Measure {
    pub fn new<M: TrainModel>(session: &Session<M>) -> Self {
        let images = session.config.report.held_out_images;
        Self {
            marginal: MarginalQuantiles::of(&session.train),
            indices: (0..images.min(session.held_out.len())).collect(),
        }
    }

    /// An interrupt waits for it: the rest of the run depends on what it finds.
    pub fn held_out<M: TrainModel>(&self, session: &Session<M>) -> Result<HeldOut, RunError> {
        let (trainer, set) = (&session.trainer, &session.held_out);
        let device = trainer.device();
        let batch = session.config.train.batch;
        let options = ScoreOptions {
            images: self.indices.len(),
            batch,
            seed: session.config.train.seed,
        };
        let go_on = |_, _| ControlFlow::Continue(());
        let model = trainer.averaged();
        let scores = score(model, set, &self.marginal, &options, &device, go_on)?
            .expect("nothing breaks it off");
        let mut loss = 0.0;
        for indices in self.indices.chunks(batch) {
            let mean = trainer.held_out_loss(&set.batch(indices, None, &device))?;
            loss += f64::from(mean) * indices.len() as f64;
        }
        Ok(HeldOut {
            loss: (loss / self.indices.len() as f64) as f32,
            mean_pinball: scores.mean_pinball,
            skill: scores.skill,
            crossing_rate: scores.crossing_rate,
        })
    }
}

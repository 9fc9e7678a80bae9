use crate::metrics::{HeldOutScores, Metrics};

/// The losses of a run so far, from which its curve is drawn.
#[derive(Debug, Clone, Default, PartialEq)]
#[non_exhaustive]
pub struct History {
    /// The loss of each step; not a number where a step was bad, or where its line was lost.
    pub losses: Vec<f32>,
    /// The steps that were followed by a measurement on held-out images, counted from 0, each with
    /// its scores.
    pub held_out: Vec<(usize, HeldOutScores)>,
}

impl History {
    pub(crate) fn push(&mut self, metrics: &Metrics) {
        self.losses.push(metrics.report.loss);
        if let Some(held_out) = metrics.held_out {
            self.held_out.push((metrics.report.step, held_out));
        }
    }

    /// The losses on held-out images, each with its step, counted from 0.
    pub fn held_out_losses(&self) -> Vec<(usize, f32)> {
        let losses = self.held_out.iter();
        losses
            .map(|(step, held_out)| (*step, held_out.loss))
            .collect()
    }

    /// The scores measured after `steps` steps, if there was a measurement then.
    pub(crate) fn held_out_after(&self, steps: usize) -> Option<HeldOutScores> {
        let (step, scores) = self.held_out.last()?;
        (step + 1 == steps).then_some(*scores)
    }
}

use std::fs;

use anyhow::Context;
use pixel_iqn::Run;
use pixel_iqn::data::{say, write_atomically};
use pixel_iqn::train::End;

use super::TrainCommand;
use crate::outcome::Outcome;

impl TrainCommand {
    /// Says what came of the training.
    pub(super) fn report(&self, run: &Run) -> anyhow::Result<Outcome> {
        let folder = run.path().display();
        let resume = format!("pixel-iqn train --resume {folder}");
        let steps = run.config().train.steps;
        let done = run.steps_done().unwrap_or(steps);
        let interrupted = run.end() == Some(End::Interrupted);
        if interrupted && done < steps {
            return Ok(Outcome::Interrupted(format!(
                "interrupted after {done} of {steps} steps; go on with `{resume}`"
            )));
        }
        say!("wrote  weights.safetensors, averaged.safetensors and curve.png after {done} steps");
        if let Some(scores) = run.scores() {
            say!("wrote  scores.json");
            say!(
                "scores of {} held-out images: mean pinball {:.5}, skill {}, crossing rate {:.1}%",
                scores.images,
                scores.mean.pinball,
                scores.skill_text(3),
                100.0 * scores.mean.crossing_rate
            );
        }
        if interrupted {
            return Ok(Outcome::Interrupted(format!(
                "interrupted: the rest of its scores and pictures come with `{resume}`"
            )));
        }
        if let Some(out) = &self.out {
            let samples = run.dir().file("samples.png");
            let picture =
                fs::read(&samples).with_context(|| format!("cannot read {}", samples.display()))?;
            write_atomically(out, &picture)?;
        }
        say!("wrote  samples.png and inpainting.png");
        say!(
            "draw more with `pixel-iqn sample --run {folder}`, or from a shipped model with `pixel-iqn sample \
             --model shapes`"
        );
        match (&self.resume, &self.run) {
            (Some(_), _) => say!(
                "the run is complete: `pixel-iqn train --init {folder} --steps STEPS` begins a longer one"
            ),
            // The folder has a run now.
            (None, Some(_)) => say!(
                "train for longer with --steps {} and another --run, or begin from this one with --init \
                 {folder}",
                10 * steps
            ),
            (None, None) => say!("train for longer with --steps {}", 10 * steps),
        }
        Ok(Outcome::Complete)
    }
}

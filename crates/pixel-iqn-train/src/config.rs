use burn::config::Config;
use pixel_iqn_core::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// How a model is trained. Everything random about it follows from [`seed`](Self::seed).
#[derive(Config, Debug, PartialEq)]
pub struct TrainConfig {
    /// Steps of the optimizer, at least 1.
    pub steps: usize,
    /// Images in a step, at least 1.
    pub batch: usize,
    /// The highest learning rate, which [`learning_rate`](crate::learning_rate) reaches after
    /// the warm-up.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// Part of the steps, in [0, 1], over which the learning rate rises.
    #[config(default = 0.05)]
    pub warmup: f64,
    /// The largest norm of all gradients together; longer ones are scaled down to it.
    #[config(default = 1.0)]
    pub clip_norm: f64,
    /// Decay per step of the average of the weights, in [0, 1): see [`Ema`](crate::Ema).
    #[config(default = 0.999)]
    pub ema_decay: f64,
    /// Residual, in units of the full range of intensity, at which the quantile Huber loss turns
    /// from quadratic to linear; 0 is the pinball loss.
    #[config(default = 0.002)]
    pub kappa: f64,
    /// Whether training images are mirrored left to right with probability one half.
    #[config(default = true)]
    pub flip: bool,
    /// Seed of the weights, of the order and flips of the images and of tau.
    #[config(default = 0)]
    pub seed: u64,
}

impl TrainConfig {
    /// Checks what training needs.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        for (ok, name, range) in [
            (self.steps > 0, "steps", "at least 1"),
            (self.batch > 0, "batch", "at least 1"),
            (positive(self.learning_rate), "learning_rate", "above 0"),
            ((0.0..=1.0).contains(&self.warmup), "warmup", "in [0, 1]"),
            (positive(self.clip_norm), "clip_norm", "above 0"),
            (
                (0.0..1.0).contains(&self.ema_decay),
                "ema_decay",
                "in [0, 1)",
            ),
            (
                self.kappa == 0.0 || positive(self.kappa),
                "kappa",
                "at least 0",
            ),
        ] {
            if !ok {
                return Err(TrainError::Config { name, range });
            }
        }
        Ok(())
    }
}

/// Also finite.
fn positive(x: f64) -> bool {
    x > 0.0 && x.is_finite()
}

/// What `config.json` of a run folder holds: enough to load the model and to repeat the run.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
pub struct RunConfig {
    /// Version of this format.
    pub version: u32,
    /// The name of the data set.
    pub dataset: String,
    /// The data set in a line: its sizes, and what was held out.
    pub description: String,
    /// Height and width of the images, in pixels.
    pub size: [usize; 2],
    /// The name of each class, where the data set has names.
    pub class_names: Option<Vec<String>>,
    /// The architecture.
    pub model: ModelConfig,
    /// How it was trained.
    pub train: TrainConfig,
}

impl RunConfig {
    /// The version that this crate writes, and the only one it reads.
    pub const VERSION: u32 = 1;
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_out_of_range_is_named() {
        let good = TrainConfig::new(1, 1);
        good.validate().unwrap();
        for (config, name) in [
            (TrainConfig::new(0, 1), "steps"),
            (TrainConfig::new(1, 0), "batch"),
            (good.clone().with_learning_rate(0.0), "learning_rate"),
            (good.clone().with_learning_rate(f64::NAN), "learning_rate"),
            (good.clone().with_warmup(1.5), "warmup"),
            (good.clone().with_clip_norm(-1.0), "clip_norm"),
            (good.clone().with_ema_decay(1.0), "ema_decay"),
            (good.clone().with_kappa(f64::INFINITY), "kappa"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}

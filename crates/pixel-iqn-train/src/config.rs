use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::error::TrainError;

/// The rule by which an optimizer makes a step.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum OptimizerKind {
    /// Adam (Kingma and Ba 2015); `weight_decay` is added to the gradient.
    Adam,
    /// AdamW (Loshchilov and Hutter 2019); `weight_decay` shrinks the weights directly.
    AdamW,
}

/// How the learning rate goes on after the warm-up: see [`learning_rate`](crate::learning_rate).
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Schedule {
    /// The rate stays as it is.
    Constant,
    /// The rate falls along half a cosine down to `final_rate`.
    Cosine,
    /// The rate falls by the same factor in each step, down to `final_rate`.
    Exponential,
}

/// The precision of the products of a training.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "snake_case")]
#[non_exhaustive]
pub enum Precision {
    /// Single precision.
    Float32,
    /// Most operands of convolutions are rounded to bfloat16: see
    /// [`Lowering::Bfloat16`](pixel_iqn_core::Lowering::Bfloat16). The weights that are trained, sums, losses and
    /// samples stay in single precision.
    Bfloat16,
}

/// How a model is trained. Everything random about it follows from its [`seed`](Self::seed).
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct TrainConfig {
    /// Steps of the optimizer, at least 1.
    pub steps: usize,
    /// Images in a step, at least 1, over all devices and parts.
    pub batch: usize,
    /// Parts into which a batch is cut, one after another, to fit the memory: gradient
    /// accumulation. From 1 to `batch`.
    #[config(default = 1)]
    pub accumulation: usize,
    /// The rule of the optimizer. Its epsilon is 1e-8, its betas are 0.9 and 0.999.
    #[config(default = "OptimizerKind::Adam")]
    pub optimizer: OptimizerKind,
    /// Weight decay, at least 0.
    #[config(default = 0.0)]
    pub weight_decay: f64,
    /// The highest learning rate, which [`learning_rate`](crate::learning_rate) reaches after
    /// the warm-up.
    #[config(default = 1e-3)]
    pub learning_rate: f64,
    /// The fraction of the steps, in [0, 1], over which the learning rate rises.
    #[config(default = 0.05)]
    pub warmup: f64,
    /// How the learning rate goes on.
    #[config(default = "Schedule::Cosine")]
    pub schedule: Schedule,
    /// The fraction of the learning rate, in [0, 1], that is left after the last step; above 0 for
    /// the exponential schedule.
    #[config(default = 0.0)]
    pub final_rate: f64,
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
    /// Whether the loss is that of the clamped quantile, which is what is sampled: see
    /// [`Censoring`](pixel_iqn_loss::Censoring). Without it, a quantile below 0 or above 1 is never
    /// right.
    #[config(default = true)]
    pub censored: bool,
    /// The [leak](pixel_iqn_loss::Censoring::leak) of the censored loss, in [0, 1].
    #[config(default = 0.1)]
    pub leak: f64,
    /// Whether a model with the monotone output is trained on its exact CRPS, in place of the
    /// quantile Huber loss at drawn tau. It is not read for other outputs, which have no closed
    /// form; the closed form reads neither `kappa`, `leak` nor `taus`.
    #[config(default = true)]
    pub closed_form: bool,
    /// Tau per value of an image and step, at least 1. Several are stratified: each lies in another
    /// of as many equal bins of [0, 1]. With tau in the head and with the monotone output they share
    /// one pass of the trunk.
    #[config(default = 1)]
    pub taus: usize,
    /// Whether the values to predict are spread evenly over their intensity level (uniform
    /// dequantisation). What the model reads stays as it is, as in sampling. Not for the
    /// categorical head, which predicts levels.
    #[config(default = false)]
    pub dequantize: bool,
    /// Whether training images are mirrored left to right with probability one half.
    #[config(default = true)]
    pub flip: bool,
    /// The fraction of the images, in [0, 1), that a class-conditional model sees without their
    /// class, so that it can also sample without one.
    #[config(default = 0.0)]
    pub label_dropout: f64,
    /// Whether a step whose loss or gradient is infinite or not a number is left out; without it
    /// such a step ends the training.
    #[config(default = false)]
    pub skip_bad_steps: bool,
    /// The precision of products: `bfloat16` is for the CPU, where it has AVX-512 BF16, and saves time there.
    #[config(default = "Precision::Float32")]
    pub precision: Precision,
    /// Seed of the weights, of the order and flips of the images, of generation orders and of tau;
    /// below 2^63.
    #[config(default = 0)]
    pub seed: u64,
    /// The safetensors file whose weights a new run begins from, in place of random ones: see
    /// [`Trainer::begin_from`](crate::Trainer::begin_from).
    pub init: Option<String>,
}

impl TrainConfig {
    /// Checks what training needs.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        let unit = 0.0..=1.0;
        for (ok, name, range) in [
            (self.steps > 0, "steps", "at least 1"),
            (self.batch > 0, "batch", "at least 1"),
            (
                (1..=self.batch).contains(&self.accumulation),
                "accumulation",
                "from 1 to `batch`",
            ),
            (
                not_negative(self.weight_decay),
                "weight_decay",
                "at least 0",
            ),
            (positive(self.learning_rate), "learning_rate", "above 0"),
            (unit.contains(&self.warmup), "warmup", "in [0, 1]"),
            (unit.contains(&self.final_rate), "final_rate", "in [0, 1]"),
            (
                self.schedule != Schedule::Exponential || self.final_rate > 0.0,
                "final_rate",
                "above 0 with the exponential schedule",
            ),
            (positive(self.clip_norm), "clip_norm", "above 0"),
            (
                (0.0..1.0).contains(&self.ema_decay),
                "ema_decay",
                "in [0, 1)",
            ),
            (not_negative(self.kappa), "kappa", "at least 0"),
            ((0.0..=1.0).contains(&self.leak), "leak", "in [0, 1]"),
            (self.taus > 0, "taus", "at least 1"),
            (
                (0.0..1.0).contains(&self.label_dropout),
                "label_dropout",
                "in [0, 1)",
            ),
            (i64::try_from(self.seed).is_ok(), "seed", "below 2^63"),
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

/// Also finite.
fn not_negative(x: f64) -> bool {
    x == 0.0 || positive(x)
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
            (good.clone().with_accumulation(0), "accumulation"),
            (good.clone().with_accumulation(2), "accumulation"),
            (good.clone().with_weight_decay(-0.1), "weight_decay"),
            (good.clone().with_learning_rate(0.0), "learning_rate"),
            (good.clone().with_learning_rate(f64::NAN), "learning_rate"),
            (good.clone().with_warmup(1.5), "warmup"),
            (good.clone().with_final_rate(-0.5), "final_rate"),
            (
                good.clone().with_schedule(Schedule::Exponential),
                "final_rate",
            ),
            (good.clone().with_clip_norm(-1.0), "clip_norm"),
            (good.clone().with_ema_decay(1.0), "ema_decay"),
            (good.clone().with_kappa(f64::INFINITY), "kappa"),
            (good.clone().with_leak(1.5), "leak"),
            (good.clone().with_taus(0), "taus"),
            (good.clone().with_label_dropout(1.0), "label_dropout"),
            (good.clone().with_seed(1 << 63), "seed"),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(&format!("`{name}`")), "{error}");
        }
    }
}

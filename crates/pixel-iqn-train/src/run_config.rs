use pixel_iqn_core::ModelConfig;
use serde::{Deserialize, Serialize};

use crate::checkpoint_config::CheckpointConfig;
use crate::config::TrainConfig;
use crate::data_config::DataConfig;
use crate::error::TrainError;
use crate::report_config::ReportConfig;

/// The config of a run, as `config.toml` of its folder holds it: enough to load the model, to resume
/// the run and to repeat it.
///
/// Its fields may be changed directly; [`resolve`](Self::resolve) merges what a program was given.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct RunConfig {
    /// The version of this format.
    pub version: u32,
    /// Where the images come from.
    pub data: DataConfig,
    /// The architecture.
    pub model: ModelConfig,
    /// How the model is trained.
    pub train: TrainConfig,
    /// When checkpoints are written.
    pub checkpoint: CheckpointConfig,
    /// What the run shows of itself, and how often.
    pub report: ReportConfig,
}

impl RunConfig {
    /// The version that this crate writes. It also reads version 4, as a run in single precision, and version 3,
    /// as one that has the plain loss, too.
    pub const VERSION: u32 = 5;

    /// Describes a run with checkpoints every ten minutes, and with the report of
    /// [`ReportConfig::for_steps`].
    pub fn new(data: DataConfig, model: ModelConfig, train: TrainConfig) -> Self {
        Self {
            version: Self::VERSION,
            data,
            model,
            checkpoint: CheckpointConfig::new(),
            report: ReportConfig::for_steps(train.steps),
            train,
        }
    }

    /// Sets when checkpoints are written.
    pub fn with_checkpoint(self, checkpoint: CheckpointConfig) -> Self {
        Self { checkpoint, ..self }
    }

    /// Sets what the run shows of itself.
    pub fn with_report(self, report: ReportConfig) -> Self {
        Self { report, ..self }
    }

    /// Checks what training needs.
    ///
    /// # Errors
    ///
    /// [`TrainError::Config`] or [`TrainError::Model`] naming the first field out of range.
    pub fn validate(&self) -> Result<(), TrainError> {
        self.model.validate()?;
        self.train.validate()?;
        // Other versions are told apart before they are read.
        let version = self.version == Self::VERSION;
        let minutes = |minutes: f64| minutes >= 0.0 && minutes.is_finite();
        for (ok, name, range) in [
            (version, "version", "what this program writes"),
            (
                self.data.path.as_ref().is_none_or(|p| p.to_str().is_some()),
                "data.path",
                "valid UTF-8",
            ),
            (
                self.model.classes == 0
                    || (self.data.class_names.as_ref())
                        .is_none_or(|names| names.len() == self.model.classes),
                "data.class_names",
                "as many as `model.classes`, where that is not 0",
            ),
            (
                self.train.label_dropout == 0.0 || self.model.classes > 0,
                "train.label_dropout",
                "0 for a model without classes",
            ),
            (
                minutes(self.checkpoint.every_minutes),
                "checkpoint.every_minutes",
                "at least 0",
            ),
            (self.checkpoint.keep > 0, "checkpoint.keep", "at least 1"),
            (
                self.report.held_out_images > 0,
                "report.held_out_images",
                "at least 1",
            ),
            (
                minutes(self.report.grid_minutes),
                "report.grid_minutes",
                "at least 0",
            ),
            (
                self.report.grid_samples > 0,
                "report.grid_samples",
                "at least 1",
            ),
            (
                self.report.eval_images > 0,
                "report.eval_images",
                "at least 1",
            ),
            (self.report.samples > 0, "report.samples", "at least 1"),
        ] {
            if !ok {
                return Err(TrainError::Config { name, range });
            }
        }
        Ok(())
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn config() -> RunConfig {
        let set = |range| pixel_iqn_data::builtin::generate(0, range, 8, 3).unwrap();
        let data = DataConfig::new("builtin", &set(0..2), &set(2..3));
        let train = TrainConfig::new(5, 2).with_seed(i64::MAX as u64);
        RunConfig::new(data, ModelConfig::tiny(), train)
    }

    #[test]
    fn what_is_out_of_range_is_named() {
        config().validate().unwrap();
        type Change = fn(&mut RunConfig);
        let changes: [(Change, &str); 11] = [
            (|c| c.version = 1, "version"),
            (|c| c.model.layers = 0, "layers"),
            (|c| c.train.label_dropout = 0.5, "label_dropout"),
            (|c| c.report.eval_images = 0, "eval_images"),
            (|c| c.report.samples = 0, "samples"),
            (|c| c.train.batch = 0, "batch"),
            (|c| c.checkpoint.every_minutes = -1.0, "every_minutes"),
            (|c| c.checkpoint.keep = 0, "keep"),
            (|c| c.report.held_out_images = 0, "held_out_images"),
            (|c| c.report.grid_minutes = f64::NAN, "grid_minutes"),
            (|c| c.report.grid_samples = 0, "grid_samples"),
        ];
        for (change, name) in changes {
            let mut config = config();
            change(&mut config);
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(name), "{error}");
        }
    }
}

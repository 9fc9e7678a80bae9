use std::path::PathBuf;

use burn::config::Config;
use pixel_iqn_core::ModelConfig;
use pixel_iqn_data::{ImageDataset, md5};
use serde::{Deserialize, Serialize};

use crate::config::TrainConfig;
use crate::error::TrainError;

/// What `config.toml` of a run folder holds: enough to load the model, to resume the run and to
/// repeat it.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct RunConfig {
    /// Version of this format.
    pub version: u32,
    /// Where the images come from.
    pub data: DataConfig,
    /// The architecture.
    pub model: ModelConfig,
    /// How it is trained.
    pub train: TrainConfig,
    /// When checkpoints are written.
    pub checkpoint: CheckpointConfig,
    /// What a run shows of itself.
    pub report: ReportConfig,
}

/// Where the images of a run come from.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct DataConfig {
    /// The name of the data set.
    pub dataset: String,
    /// The folder it was read from; none for the built-in pictures.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// The data set in a line: its sizes, and what was held out.
    pub description: String,
    /// Height and width of the images, in pixels.
    pub size: [usize; 2],
    /// The MD5 of the MD5s of the training images, of their labels and of the held-out images, by
    /// which a resumed run knows them.
    pub digest: String,
    /// The name of each class, where the data set has names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_names: Option<Vec<String>>,
}

/// When a run writes checkpoints. There is always one at its end, on an interrupt, and where the
/// held-out loss is the lowest so far.
#[derive(Config, Debug, PartialEq)]
pub struct CheckpointConfig {
    /// Steps from one to the next; 0 for no rule by steps.
    #[config(default = 0)]
    pub every_steps: usize,
    /// Minutes from one to the next; 0 for no rule by time.
    #[config(default = 10.0)]
    pub every_minutes: f64,
    /// How many of the last ones are kept, at least 1. The best one is kept besides.
    #[config(default = 3)]
    pub keep: usize,
}

/// What a run shows of itself.
#[derive(Config, Debug, PartialEq)]
pub struct ReportConfig {
    /// Steps from one measurement on held-out images to the next; 0 for one at the end alone.
    pub held_out_every: usize,
    /// Held-out images to measure on, the first ones of the set; at most all are used.
    #[config(default = 32)]
    pub held_out_images: usize,
    /// Measurements without a new lowest held-out loss after which training ends early; 0 for
    /// never.
    #[config(default = 0)]
    pub patience: usize,
    /// Minutes from one sheet of samples to the next; 0 for none.
    #[config(default = 10.0)]
    pub grid_minutes: f64,
    /// Samples on a sheet, at least 1, always at the same tau.
    #[config(default = 16)]
    pub grid_samples: usize,
    /// Held-out images that a program scores when the run is complete.
    #[config(default = 256)]
    pub eval_images: usize,
    /// Samples that it draws then.
    #[config(default = 64)]
    pub samples: usize,
    /// Whether event files for TensorBoard are written.
    #[config(default = true)]
    pub tensorboard: bool,
}

impl DataConfig {
    /// That of images in memory.
    pub fn of(dataset: &str, train: &ImageDataset, held_out: &ImageDataset) -> Self {
        let [_, height, width] = train.shape();
        let (images, others) = (train.len(), held_out.len());
        Self {
            dataset: dataset.to_owned(),
            path: None,
            description: format!("{dataset}: {images} training and {others} held-out images"),
            size: [height, width],
            digest: digest(train, held_out),
            class_names: train.class_names().map(<[String]>::to_vec),
        }
    }
}

/// See [`DataConfig::digest`].
pub(crate) fn digest(train: &ImageDataset, held_out: &ImageDataset) -> String {
    let labels = train.labels().unwrap_or_default().iter();
    let labels: Vec<u8> = labels.flat_map(|label| label.to_le_bytes()).collect();
    let parts = [md5(train.images()), md5(&labels), md5(held_out.images())];
    md5(parts.concat().as_bytes())
}

impl ReportConfig {
    /// Measures about twenty times in a run, at least every 1,000 and at most every 50 steps.
    pub fn for_steps(steps: usize) -> Self {
        Self::new(steps.div_ceil(20).clamp(50, 1000))
    }
}

impl RunConfig {
    /// The version that this crate writes, and the only one it reads.
    pub const VERSION: u32 = 2;

    /// A run with checkpoints every ten minutes, and [`ReportConfig::for_steps`].
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
        let data = DataConfig::of("builtin", &set(0..2), &set(2..3));
        let train = TrainConfig::new(5, 2).with_seed(i64::MAX as u64);
        RunConfig::new(data, ModelConfig::tiny(), train)
    }

    #[test]
    fn the_digest_tells_images_and_labels_apart() {
        let set = |range| pixel_iqn_data::builtin::generate(0, range, 4, 3).unwrap();
        let expected = digest(&set(0..2), &set(2..3));
        assert_eq!(digest(&set(0..2), &set(2..3)), expected);
        assert_ne!(digest(&set(0..2), &set(3..4)), expected);
        assert_ne!(digest(&set(0..3), &set(2..3)), expected);
        let relabelled = set(0..2).with_labels(vec![9, 9], 10).unwrap();
        assert_ne!(digest(&relabelled, &set(2..3)), expected);
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

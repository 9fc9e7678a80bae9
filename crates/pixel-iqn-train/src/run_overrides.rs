use burn::config::Config;

use crate::error::TrainError;
use crate::run_config::RunConfig;

/// Typed changes of a [`RunConfig`], to which a program maps its flags: a field that is `None`
/// changes nothing.
///
/// [`RunConfig::resolve`] applies them, and says which of several changes wins.
///
/// ```
/// use pixel_iqn_train::RunOverrides;
///
/// let steps_flag = Some(5_000);
/// let overrides = RunOverrides::new()
///     .with_preset(Some("quick".into()))
///     .with_steps(steps_flag);
/// assert_eq!(overrides.batch, None);
/// ```
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct RunOverrides {
    /// The name of the [preset](pixel_iqn_core::ModelConfig::preset) that the architecture is based
    /// on.
    pub preset: Option<String>,
    /// The [kind](pixel_iqn_core::Output::KINDS) of the model's output. The sizes that the kind
    /// before and this one have in common stay.
    pub output: Option<String>,
    /// [`ModelConfig::orders`](pixel_iqn_core::ModelConfig::orders).
    pub orders: Option<usize>,
    /// [`TrainConfig::steps`](crate::TrainConfig::steps).
    pub steps: Option<usize>,
    /// [`TrainConfig::batch`](crate::TrainConfig::batch).
    pub batch: Option<usize>,
    /// [`TrainConfig::accumulation`](crate::TrainConfig::accumulation).
    pub accumulation: Option<usize>,
    /// [`TrainConfig::learning_rate`](crate::TrainConfig::learning_rate).
    pub learning_rate: Option<f64>,
    /// [`TrainConfig::seed`](crate::TrainConfig::seed).
    pub seed: Option<u64>,
    /// [`TrainConfig::init`](crate::TrainConfig::init).
    pub init: Option<String>,
    /// [`TrainConfig::skip_bad_steps`](crate::TrainConfig::skip_bad_steps).
    pub skip_bad_steps: Option<bool>,
    /// [`CheckpointConfig::every_steps`](crate::CheckpointConfig::every_steps).
    pub checkpoint_steps: Option<usize>,
    /// [`CheckpointConfig::every_minutes`](crate::CheckpointConfig::every_minutes).
    pub checkpoint_minutes: Option<f64>,
    /// [`ReportConfig::held_out_every`](crate::ReportConfig::held_out_every).
    pub held_out_every: Option<usize>,
    /// [`ReportConfig::held_out_images`](crate::ReportConfig::held_out_images).
    pub held_out_images: Option<usize>,
    /// [`ReportConfig::patience`](crate::ReportConfig::patience).
    pub patience: Option<usize>,
    /// [`ReportConfig::grid_minutes`](crate::ReportConfig::grid_minutes).
    pub grid_minutes: Option<f64>,
    /// [`ReportConfig::eval_images`](crate::ReportConfig::eval_images).
    pub eval_images: Option<usize>,
    /// [`ReportConfig::samples`](crate::ReportConfig::samples).
    pub samples: Option<usize>,
}

impl Default for RunOverrides {
    fn default() -> Self {
        Self::new()
    }
}

impl RunOverrides {
    /// Returns the config with all changes but the preset, which comes before a config file.
    pub(crate) fn apply(&self, mut config: RunConfig) -> Result<RunConfig, TrainError> {
        if let Some(kind) = &self.output {
            config = config.with_output_kind(kind)?;
        }
        set(&mut config.model.orders, self.orders);
        let (train, checkpoint) = (&mut config.train, &mut config.checkpoint);
        let report = &mut config.report;
        set(&mut train.steps, self.steps);
        set(&mut train.batch, self.batch);
        set(&mut train.accumulation, self.accumulation);
        set(&mut train.learning_rate, self.learning_rate);
        set(&mut train.seed, self.seed);
        if let Some(init) = &self.init {
            train.init = Some(init.clone());
        }
        set(&mut train.skip_bad_steps, self.skip_bad_steps);
        set(&mut checkpoint.every_steps, self.checkpoint_steps);
        set(&mut checkpoint.every_minutes, self.checkpoint_minutes);
        set(&mut report.held_out_every, self.held_out_every);
        set(&mut report.held_out_images, self.held_out_images);
        set(&mut report.patience, self.patience);
        set(&mut report.grid_minutes, self.grid_minutes);
        set(&mut report.eval_images, self.eval_images);
        set(&mut report.samples, self.samples);
        Ok(config)
    }
}

fn set<T>(field: &mut T, value: Option<T>) {
    if let Some(value) = value {
        *field = value;
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_config::tests::config;

    #[test]
    fn none_changes_nothing_and_each_field_changes_its_own() {
        assert_eq!(RunOverrides::new().apply(config()).unwrap(), config());
        // As many distinct numbers as fields.
        let overrides = RunOverrides::new()
            .with_output(Some("head".into()))
            .with_orders(Some(8))
            .with_steps(Some(11))
            .with_batch(Some(12))
            .with_accumulation(Some(13))
            .with_learning_rate(Some(14.0))
            .with_seed(Some(15))
            .with_init(Some("weights".into()))
            .with_skip_bad_steps(Some(true))
            .with_checkpoint_steps(Some(16))
            .with_checkpoint_minutes(Some(17.0))
            .with_held_out_every(Some(18))
            .with_patience(Some(19))
            .with_grid_minutes(Some(20.0))
            .with_eval_images(Some(21))
            .with_samples(Some(22))
            .with_held_out_images(Some(23));
        let mut expected = config();
        expected.model.output = expected.model.output.to_kind("head").unwrap();
        expected.model.orders = 8;
        expected.train = expected
            .train
            .with_accumulation(13)
            .with_learning_rate(14.0)
            .with_seed(15)
            .with_init(Some("weights".into()))
            .with_skip_bad_steps(true);
        (expected.train.steps, expected.train.batch) = (11, 12);
        expected.checkpoint.every_steps = 16;
        expected.checkpoint.every_minutes = 17.0;
        expected.report.held_out_every = 18;
        expected.report.patience = 19;
        expected.report.grid_minutes = 20.0;
        expected.report.eval_images = 21;
        expected.report.samples = 22;
        expected.report.held_out_images = 23;
        assert_eq!(overrides.apply(config()).unwrap(), expected);
        let unknown = RunOverrides::new().with_output(Some("hat".into()));
        assert!(unknown.apply(config()).is_err());
    }
}

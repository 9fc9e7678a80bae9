use pixel_iqn_core::ModelConfig;

use crate::config::TrainConfig;
use crate::config_file::ConfigFile;
use crate::data_config::DataConfig;
use crate::error::{RunError, SettingsError};
use crate::report_config::ReportConfig;
use crate::run_config::RunConfig;
use crate::run_overrides::RunOverrides;

impl RunConfig {
    /// Merges all that a program was given into this config, and checks the result.
    ///
    /// The precedence, from the weakest to the strongest:
    ///
    /// 1. this config, the defaults of the program;
    /// 2. the preset of `overrides`;
    /// 3. the file, whose own preset counts only where `overrides` has none, and whose section
    ///    `data` is not read: the images are given;
    /// 4. the other fields of `overrides`;
    /// 5. `settings`, texts such as `train.clip_norm=0.5`, in their order; a preset among them
    ///    replaces the whole architecture but its channels, classes and orders.
    ///
    /// Where this config measures as often as [`ReportConfig::for_steps`] says for its steps, the
    /// result does so for its own steps, unless one of the others says how often.
    ///
    /// ```
    /// # use pixel_iqn_core::ModelConfig;
    /// # use pixel_iqn_data::builtin;
    /// # use pixel_iqn_train::{ConfigFile, DataConfig, RunConfig, RunOverrides, TrainConfig};
    /// # let (train, held_out) = (builtin::generate(0, 0..9, 8, 3)?, builtin::generate(0, 9..12, 8, 3)?);
    /// # let data = DataConfig::new("builtin", &train, &held_out);
    /// let defaults = RunConfig::new(data, ModelConfig::tiny(), TrainConfig::new(100, 8));
    /// let file = ConfigFile::parse("[train]\nsteps = 200\nbatch = 4\n")?;
    /// let overrides = RunOverrides::new().with_steps(Some(300));
    /// let config = defaults.resolve(&file, &overrides, &["train.seed=7"])?;
    /// let train = config.train;
    /// assert_eq!((train.steps, train.batch, train.seed), (300, 4, 7));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`RunError::Config`] for a key of the file, [`RunError::Setting`] for one of the settings,
    /// and [`RunError::Train`] for a preset or kind that does not exist, and for a result out of
    /// range.
    pub fn resolve<S: AsRef<str>>(
        &self,
        file: &ConfigFile,
        overrides: &RunOverrides,
        settings: &[S],
    ) -> Result<Self, RunError> {
        let mut config = self.merge(file, overrides, settings)?;
        if self.report.held_out_every == default_interval(self.train.steps) {
            let mut base = self.clone();
            base.report.held_out_every = default_interval(config.train.steps);
            config = base.merge(file, overrides, settings)?;
        }
        config.validate()?;
        Ok(config)
    }

    /// Checks the numbers of changes, as [`resolve`](Self::resolve) does, before there are images: a
    /// program that knows no learning rate need not look for any.
    ///
    /// # Errors
    ///
    /// Those of [`resolve`](Self::resolve) for a value out of its range, whatever the images are.
    pub fn check_changes<S: AsRef<str>>(
        file: &ConfigFile,
        overrides: &RunOverrides,
        settings: &[S],
    ) -> Result<(), RunError> {
        let set = |range| pixel_iqn_data::builtin::generate(0, range, 8, 3);
        let mut data = DataConfig::new("builtin", &set(0..2)?, &set(2..3)?);
        data.class_names = None;
        let train = TrainConfig::new(1, 1);
        let base = Self::new(data, ModelConfig::tiny(), train);
        match base.merge(file, overrides, settings)?.train.validate() {
            Err(error) => Err(error.into()),
            Ok(()) => Ok(()),
        }
    }

    fn merge<S: AsRef<str>>(
        &self,
        file: &ConfigFile,
        overrides: &RunOverrides,
        settings: &[S],
    ) -> Result<Self, RunError> {
        let (base, file) = match &overrides.preset {
            Some(preset) => (self.with_preset(preset)?, file.clone().without_preset()),
            None => (self.clone(), file.clone()),
        };
        let config = base.with_table(file.changes());
        let mut config = overrides.apply(config.map_err(|error| file.error(error))?)?;
        for setting in settings {
            let setting = setting.as_ref();
            let changed = config.with_setting(setting).and_then(|changed| {
                if changed.data == self.data {
                    Ok(changed)
                } else {
                    Err(SettingsError::Data(setting.to_owned()))
                }
            });
            config = changed.map_err(|source| RunError::Setting {
                setting: setting.to_owned(),
                source,
            })?;
        }
        Ok(config)
    }
}

fn default_interval(steps: usize) -> usize {
    ReportConfig::for_steps(steps).held_out_every
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_config::tests::config;

    fn file(text: &str) -> ConfigFile {
        ConfigFile::parse(text).unwrap()
    }

    const NOTHING: [&str; 0] = [];

    #[test]
    fn numbers_are_checked_before_there_are_images() {
        let check = |file_text: &str, settings: &[&str]| {
            RunConfig::check_changes(&file(file_text), &RunOverrides::new(), settings)
        };
        check("[train]\nsteps = 20\n", &["train.label_dropout=0.5"]).unwrap();
        for (text, settings) in [
            ("", &["train.learning_rate=nan"][..]),
            ("[train]\nlearning_rate = nan\n", &[]),
            ("", &["train.batch=0"]),
        ] {
            assert!(check(text, settings).is_err(), "{text}{settings:?}");
        }
    }

    #[test]
    fn the_stronger_one_wins() {
        let none = (ConfigFile::default(), RunOverrides::new());
        assert_eq!(
            config().resolve(&none.0, &none.1, &NOTHING).unwrap(),
            config()
        );

        let file = file("[train]\nsteps = 20\nbatch = 1\nkappa = 0.5\n");
        let overrides = RunOverrides::new().with_steps(Some(30)).with_batch(Some(3));
        let settings = ["steps=40", "train.steps=50"];
        let steps = |file, overrides, settings: &[&str]| {
            let config = config().resolve(file, overrides, settings).unwrap();
            (config.train.steps, config.train.batch, config.train.kappa)
        };
        let kappa = config().train.kappa;
        assert_eq!(steps(&none.0, &none.1, &[]), (5, 2, kappa));
        assert_eq!(steps(&file, &none.1, &[]), (20, 1, 0.5));
        assert_eq!(steps(&file, &overrides, &[]), (30, 3, 0.5));
        assert_eq!(steps(&file, &overrides, &settings), (50, 3, 0.5));
    }

    #[test]
    fn a_file_changes_the_preset_of_the_overrides_further() {
        let file = file("[model]\npreset = \"paper_small\"\nlayers = 4\n");
        let model = |overrides: &RunOverrides, settings: &[&str]| {
            let model = config().resolve(&file, overrides, settings).unwrap().model;
            (model.features, model.layers, model.output.kind())
        };
        let none = RunOverrides::new();
        assert_eq!(model(&none, &[]), (120, 4, "gates"));
        let quick = none.with_preset(Some("quick".into()));
        assert_eq!(model(&quick, &[]), (48, 4, "monotone"));
        let head = quick.clone().with_output(Some("head".into()));
        assert_eq!(model(&head, &[]), (48, 4, "head"));
        assert_eq!(model(&head, &["model.preset=tiny"]), (12, 3, "gates"));
        let both = ["model.preset=tiny", "model.output=head"];
        assert_eq!(model(&quick, &both), (12, 3, "head"));
    }

    #[test]
    fn measurements_follow_the_steps_unless_something_says_how_often() {
        let none = ConfigFile::default();
        let longer = RunOverrides::new().with_steps(Some(4_000));
        let every = |base: RunConfig, file, overrides, settings: &[&str]| {
            let config = base.resolve(file, overrides, settings).unwrap();
            config.report.held_out_every
        };
        assert_eq!(every(config(), &none, &longer, &[]), 200);
        assert_eq!(every(config(), &none, &longer, &["held_out_every=7"]), 7);
        let said = file("[report]\nheld_out_every = 8\n");
        assert_eq!(every(config(), &said, &longer, &[]), 8);
        let mut base = config();
        base.report.held_out_every = 9;
        assert_eq!(every(base, &none, &longer, &[]), 9);
    }

    #[test]
    fn errors_name_where_the_value_came_from() {
        let error = |text: &str, overrides: &RunOverrides, settings: &[&str]| {
            let resolved = config().resolve(&file(text), overrides, settings);
            resolved.unwrap_err()
        };
        let none = RunOverrides::new();
        let of_file = error("[train]\nstebs = 1\n", &none, &[]);
        assert!(matches!(of_file, RunError::Config { .. }), "{of_file}");
        for setting in ["stebs=1", "data.dataset=mnist", "data.path=/tmp"] {
            let error = error("", &none, &[setting]);
            assert!(
                matches!(&error, RunError::Setting { setting: s, .. } if s == setting),
                "{error}"
            );
        }
        let preset = none.with_preset(Some("huge".into()));
        assert!(matches!(error("", &preset, &[]), RunError::Train(_)));
        assert!(matches!(
            error("", &RunOverrides::new().with_steps(Some(0)), &[]),
            RunError::Train(_)
        ));
        // The images are given, whatever run the file is from.
        let file = file("[data]\ndataset = \"mnist\"\nnothing = 1\n");
        let resolved = config().resolve(&file, &RunOverrides::new(), &NOTHING);
        assert_eq!(resolved.unwrap(), config());
    }
}

//! Writes a [`RunConfig`] as TOML, and reads one in full or in part.

use pixel_iqn_core::ModelConfig;
use serde::Deserialize;
use toml::{Table, Value};

use crate::error::{SettingsError, TrainError};
use crate::run_config::RunConfig;

/// The keys that a config may leave out.
const OPTIONAL: [(&str, &str); 5] = [
    ("data", "path"),
    ("data", "class_names"),
    ("data", "drawn"),
    ("model", "preset"),
    ("train", "init"),
];

/// The keys that may differ between a checkpoint and the config it goes on under: no loss depends on
/// them.
const FREE: [&str; 5] = [
    "data.path",
    "data.description",
    "checkpoint.",
    "report.",
    // A step that was bad ended the run without it.
    "train.skip_bad_steps",
];

impl RunConfig {
    /// Writes the whole config, as [`from_toml`](Self::from_toml) reads it.
    ///
    /// # Panics
    ///
    /// Panics for what TOML cannot hold: a number above `i64::MAX`, a path that is not UTF-8.
    pub fn to_toml(&self) -> String {
        toml::to_string(self).expect("numbers, names and lists are valid TOML")
    }

    /// Reads a whole config, and checks it.
    ///
    /// # Errors
    ///
    /// [`SettingsError`]; a key that is not known comes with the nearest one that is.
    pub fn from_toml(text: &str) -> Result<Self, SettingsError> {
        let mut table = parse(text)?;
        upgrade(&mut table);
        let version = table.get("version").and_then(Value::as_integer);
        if version != Some(i64::from(Self::VERSION)) {
            return Err(SettingsError::Version {
                found: version,
                expected: Self::VERSION,
            });
        }
        let config: Self = table
            .clone()
            .try_into()
            .map_err(|error| SettingsError::toml(&error))?;
        // Serde passes over keys that it does not know.
        merge(&mut config.to_table(), table, "")?;
        config.validate()?;
        Ok(config)
    }

    /// Returns this config with some keys changed. The result is to be
    /// [validated](Self::validate).
    ///
    /// A `kind` in `model.output`, or a name in its place, changes the output to that kind and keeps
    /// the sizes that both have. `preset` in the section `model` stands for the preset, as in
    /// [`with_preset`](Self::with_preset); other keys of the section change it further.
    pub(crate) fn with_table(&self, mut changes: Table) -> Result<Self, SettingsError> {
        let mut base = self.clone();
        if let Some(Value::Table(model)) = changes.get_mut("model") {
            if let Some(preset) = model.remove("preset") {
                base = base.with_preset(preset.as_str().unwrap_or_default())?;
            }
            if let Some(output) = model.get_mut("output") {
                if let Value::String(kind) = output {
                    let kind = Value::from(kind.as_str());
                    *output = Table::from_iter([("kind".to_owned(), kind)]).into();
                }
                if let Some(kind) = output.get("kind").and_then(Value::as_str) {
                    base = base.with_output_kind(kind)?;
                }
            }
        }
        let mut table = base.to_table();
        merge(&mut table, changes, "")?;
        table
            .try_into()
            .map_err(|error| SettingsError::toml(&error))
    }

    /// Returns this config with the architecture of a [preset](ModelConfig::preset), except for the
    /// channels, the classes and the orders.
    pub(crate) fn with_preset(&self, name: &str) -> Result<Self, TrainError> {
        let preset = ModelConfig::preset(name)?
            .with_channels(self.model.channels)
            .with_classes(self.model.classes)
            .with_orders(self.model.orders);
        Ok(Self {
            model: preset,
            ..self.clone()
        })
    }

    /// Returns this config with another [kind](pixel_iqn_core::Output::KINDS) of output.
    pub(crate) fn with_output_kind(mut self, kind: &str) -> Result<Self, TrainError> {
        self.model.output = self.model.output.to_kind(kind)?;
        Ok(self)
    }

    /// Returns this config with one key changed, given as text on a command line:
    /// `train.learning_rate=3e-4`. The section may be left out where only one has such a key, and
    /// text needs no quotes. The result is to be [validated](Self::validate).
    ///
    /// `model.preset` stands for a [preset](ModelConfig::preset), except for its channels, classes and
    /// orders; `model.output` may be the name of a [kind](pixel_iqn_core::Output::KINDS).
    ///
    /// # Errors
    ///
    /// [`SettingsError`]; a key that is not known comes with the nearest one that is.
    pub fn with_setting(&self, setting: &str) -> Result<Self, SettingsError> {
        let Some((key, value)) = setting.split_once('=') else {
            return Err(SettingsError::NoValue(setting.to_owned()));
        };
        let (key, value) = (key.trim(), value.trim());
        let key = self.with_section(key)?;
        let parse = |value: &str| format!("{key} = {value}\n").parse::<Table>();
        let quoted = || parse(&Value::from(value).to_string());
        let table = parse(value).or_else(|_| quoted());
        self.with_table(table.map_err(|error| SettingsError::toml(&error))?)
    }

    /// Puts its section before a key that stands alone.
    fn with_section(&self, key: &str) -> Result<String, SettingsError> {
        if key.contains('.') {
            return Ok(key.to_owned());
        }
        let known = self.keys();
        let whole = |path: &&String| path.rsplit('.').next() == Some(key);
        let mut found = known.iter().filter(whole);
        match (found.next(), found.next()) {
            (Some(path), None) => Ok(path.clone()),
            (Some(first), Some(second)) => Err(SettingsError::Ambiguous {
                key: key.to_owned(),
                first: first.clone(),
                second: second.clone(),
            }),
            (None, _) => Err(unknown(key, &known)),
        }
    }

    /// Lists all keys, as `section.key`.
    fn keys(&self) -> Vec<String> {
        let mut keys = Vec::new();
        for (section, value) in self.to_table() {
            match value {
                Value::Table(table) => {
                    keys.extend(table.keys().map(|key| format!("{section}.{key}")));
                }
                _ => keys.push(section),
            }
        }
        let optional = OPTIONAL.map(|(section, key)| format!("{section}.{key}"));
        keys.extend(optional);
        keys.sort();
        keys.dedup();
        keys
    }

    /// Finds the keys on which the losses of a run depend and in which another config differs, with
    /// both values.
    pub(crate) fn conflicts(&self, other: &Self) -> Vec<(String, String, String)> {
        let (ours, theirs) = (self.to_table(), other.to_table());
        let value = |table: &Table, path: &str| {
            let mut parts = path.split('.');
            let mut value = table.get(parts.next()?)?;
            for part in parts {
                value = value.get(part)?;
            }
            Some(value.to_string())
        };
        let free = |key: &String| {
            let whole = |free: &&str| key == free || free.ends_with('.') && key.starts_with(*free);
            FREE.iter().any(whole)
        };
        let mut conflicts = Vec::new();
        for key in self.keys().into_iter().filter(|key| !free(key)) {
            let text = |table| value(table, &key).unwrap_or_else(|| "nothing".to_owned());
            let (ours, theirs) = (text(&ours), text(&theirs));
            if ours != theirs {
                conflicts.push((key, ours, theirs));
            }
        }
        conflicts
    }

    fn to_table(&self) -> Table {
        Table::try_from(self).expect("numbers, names and lists are valid TOML")
    }
}

/// Turns a config of version 3, which knew the plain loss alone, or 4, which knew single precision alone, into
/// one of this version.
pub(crate) fn upgrade(config: &mut Table) {
    let Some(version @ (3 | 4)) = config.get("version").and_then(Value::as_integer) else {
        return;
    };
    config.insert("version".into(), i64::from(RunConfig::VERSION).into());
    let Some(Value::Table(train)) = config.get_mut("train") else {
        return;
    };
    let of_3 = [
        ("censored", Value::from(false)),
        ("leak", Value::from(0.1)),
        ("closed_form", Value::from(true)),
    ];
    let since = of_3.into_iter().filter(|_| version == 3);
    for (key, value) in since.chain([("precision", Value::from("float32"))]) {
        train.entry(key).or_insert(value);
    }
}

/// Reads the JSON of a config, as a checkpoint holds it.
pub(crate) fn config_of_json<'de, D: serde::Deserializer<'de>>(
    json: D,
) -> Result<RunConfig, D::Error> {
    let mut config = serde_json::Value::deserialize(json)?;
    without_nulls(&mut config);
    let config = Table::try_from(config);
    let mut config = config.map_err(serde::de::Error::custom)?;
    upgrade(&mut config);
    config.try_into().map_err(serde::de::Error::custom)
}

/// Leaves out the keys that are `null`, which TOML does not have.
fn without_nulls(value: &mut serde_json::Value) {
    if let serde_json::Value::Object(fields) = value {
        fields.retain(|_, value| !value.is_null());
        fields.values_mut().for_each(without_nulls);
    }
}

/// Reads TOML.
pub(crate) fn parse(text: &str) -> Result<Table, SettingsError> {
    text.parse().map_err(|error| SettingsError::toml(&error))
}

/// Changes the values of `base`, all of whose keys must be there.
fn merge(base: &mut Table, changes: Table, prefix: &str) -> Result<(), SettingsError> {
    for (key, value) in changes {
        let path = format!("{prefix}{key}");
        match (base.get_mut(&key), value) {
            (Some(Value::Table(section)), Value::Table(changes)) => {
                merge(section, changes, &format!("{path}."))?;
            }
            (Some(Value::Table(_)), _) => return Err(SettingsError::Section(path)),
            (Some(old), value) => *old = value,
            (None, value) => {
                let optional = OPTIONAL.map(|(section, key)| format!("{section}.{key}"));
                if optional.contains(&path) {
                    base.insert(key, value);
                    continue;
                }
                let known: Vec<String> = base.keys().map(|key| format!("{prefix}{key}")).collect();
                return Err(unknown(&path, &known));
            }
        }
    }
    Ok(())
}

fn unknown(key: &str, known: &[String]) -> SettingsError {
    let last = |path: &str| path.rsplit('.').next().unwrap_or_default().to_owned();
    let near = |path: &String| {
        let whole = strsim::jaro_winkler(path, key);
        whole.max(strsim::jaro_winkler(&last(path), &last(key)))
    };
    let nearest = known.iter().max_by(|a, b| near(a).total_cmp(&near(b)));
    SettingsError::UnknownKey {
        key: key.to_owned(),
        nearest: nearest.cloned().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::Schedule;
    use crate::run_config::tests::config;

    #[test]
    fn a_config_of_version_3_means_the_plain_loss() {
        let new = config();
        let text = new.to_toml().replace("version = 5", "version = 3");
        let lines = text.lines().filter(|line| {
            ["censored", "leak", "closed_form"]
                .iter()
                .all(|key| !line.starts_with(key))
        });
        let text: String = lines.map(|line| format!("{line}\n")).collect();
        let old = RunConfig::from_toml(&text).unwrap();
        assert!(new.train.censored && !old.train.censored);
        assert_eq!(old.train.clone().with_censored(true), new.train);
    }

    #[test]
    fn a_config_survives_toml() {
        let mut config = config();
        config.data.class_names = Some(vec!["a cat".into(), "b".into()]);
        config.data.path = Some("data".into());
        let text = config.to_toml();
        assert!(text.contains("[train]\n"), "{text}");
        assert_eq!(RunConfig::from_toml(&text).unwrap(), config);
        assert_eq!(
            super::tests::config()
                .with_table(parse(&text).unwrap())
                .unwrap(),
            config
        );

        let more = text.replace("[train]\n", "[train]\nlearningrate = 5.0\n");
        let error = RunConfig::from_toml(&more).unwrap_err().to_string();
        assert!(error.contains("`train.learning_rate`"), "{error}");
        let old = text.replace("version = 5", "version = 1");
        let error = RunConfig::from_toml(&old).unwrap_err().to_string();
        assert!(error.contains("version 1"), "{error}");
    }

    #[test]
    fn a_file_changes_what_it_names() {
        let text = "[train]\nlearning_rate = 1\nschedule = \"constant\"\n\
                    [model]\npreset = \"quick\"\nlayers = 4\n";
        let changed = config().with_table(parse(text).unwrap()).unwrap();
        assert_eq!(changed.train.learning_rate, 1.0);
        assert_eq!(changed.train.schedule, Schedule::Constant);
        assert_eq!((changed.model.layers, changed.model.features), (4, 48));
        assert_eq!(changed.train.batch, config().train.batch);
    }

    #[test]
    fn an_unknown_key_suggests_the_nearest() {
        for (text, nearest) in [
            ("[train]\nlearningrate = 1", "train.learning_rate"),
            ("[train]\nwarmpu = 1", "train.warmup"),
            ("[trian]\nsteps = 1", "train"),
            ("[report]\ngrid_minute = 1", "report.grid_minutes"),
        ] {
            let error = config().with_table(parse(text).unwrap()).unwrap_err();
            assert!(
                matches!(&error, SettingsError::UnknownKey { nearest: n, .. } if n == nearest),
                "{text}: {error}"
            );
        }
        let error = config().with_setting("stebs=3").unwrap_err().to_string();
        assert!(error.contains("`train.steps`"), "{error}");
        let error = config()
            .with_table(parse("train = 3").unwrap())
            .unwrap_err()
            .to_string();
        assert!(error.contains("`train`"), "{error}");
        let error = config()
            .with_table(parse("[train]\nsteps = \"x\"").unwrap())
            .unwrap_err();
        assert!(error.to_string().contains("steps"), "{error}");
    }

    #[test]
    fn settings_are_read_as_on_a_command_line() {
        let changed = config().with_setting("train.learning_rate = 3e-4").unwrap();
        assert_eq!(changed.train.learning_rate, 3e-4);
        let changed = config().with_setting("steps=7").unwrap();
        assert_eq!(changed.train.steps, 7);
        let changed = config().with_setting("schedule=constant").unwrap();
        assert_eq!(changed.train.schedule, Schedule::Constant);
        let changed = config().with_setting("model.preset=quick").unwrap();
        assert_eq!(changed.model.features, 48);
        assert!(matches!(
            config().with_setting("steps"),
            Err(SettingsError::NoValue(_))
        ));
        // Two that are only right together.
        let changed = config().with_setting("schedule=exponential").unwrap();
        assert!(changed.validate().is_err());
        let changed = changed.with_setting("final_rate=0.1").unwrap();
        changed.validate().unwrap();
    }

    #[test]
    fn conflicts_name_the_fields_that_losses_depend_on() {
        let mut other = config();
        other.train.learning_rate = 0.5;
        other.report.grid_minutes = 1.0;
        other.checkpoint.keep = 9;
        other.data.path = Some("elsewhere".into());
        let conflicts = config().conflicts(&other);
        assert_eq!(conflicts.len(), 1, "{conflicts:?}");
        let (key, ours, theirs) = &conflicts[0];
        assert_eq!(
            (key.as_str(), ours.as_str(), theirs.as_str()),
            ("train.learning_rate", "0.001", "0.5")
        );
        other.data.digest = "1".into();
        assert_eq!(config().conflicts(&other).len(), 2);
    }
}

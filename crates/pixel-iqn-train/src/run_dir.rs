use std::fs::{self, File};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pixel_iqn_core::{PixelModel, weights};
use serde::{Serialize, de::DeserializeOwned};

use crate::config::RunConfig;
use crate::error::{RunError, at};
use crate::trainer::StepReport;

/// The folder of one training run.
///
/// | file | content |
/// |---|---|
/// | `config.json` | the [`RunConfig`] |
/// | `metrics.jsonl` | one [`Metrics`] per line and step |
/// | `weights.safetensors` | the weights after the last step |
/// | `averaged.safetensors` | the average of the weights: use this one |
/// | `scores.json` | the [`Scores`](crate::Scores) on held-out images |
/// | `curve.png`, `samples.png`, `inpainting.png` | pictures |
///
/// All but the metrics, which grow line by line, are there whole or not at all.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RunDir {
    path: PathBuf,
}

/// Which weights of a run.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Weights {
    /// Those after the last step.
    Raw,
    /// Their exponential moving average.
    Averaged,
}

impl Weights {
    fn file_name(self) -> &'static str {
        match self {
            Self::Raw => "weights.safetensors",
            Self::Averaged => "averaged.safetensors",
        }
    }
}

/// A line of `metrics.jsonl`.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// What the step did.
    #[serde(flatten)]
    pub report: StepReport,
    /// Images trained on per second, in this step.
    pub images_per_second: f64,
    /// Seconds since training began.
    pub seconds: f64,
    /// The loss on held-out images after the step, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out_loss: Option<f32>,
}

impl RunDir {
    /// Creates the folder of a new run, with its parents.
    ///
    /// # Errors
    ///
    /// [`RunError::NotEmpty`] where the folder has files in it, and [`RunError::Io`].
    pub fn create(path: impl Into<PathBuf>) -> Result<Self, RunError> {
        let path = path.into();
        fs::create_dir_all(&path).map_err(at(&path))?;
        let mut entries = fs::read_dir(&path).map_err(at(&path))?;
        match entries.next() {
            None => Ok(Self { path }),
            Some(_) => Err(RunError::NotEmpty(path)),
        }
    }

    /// Creates the first folder `name-1`, `name-2`, ... of `parent` that is not there yet.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn create_next(parent: impl AsRef<Path>, name: &str) -> Result<Self, RunError> {
        let parent = parent.as_ref();
        fs::create_dir_all(parent).map_err(at(parent))?;
        let mut number = 1;
        loop {
            let path = parent.join(format!("{name}-{number}"));
            match fs::create_dir(&path) {
                Ok(()) => return Ok(Self { path }),
                Err(error) if error.kind() == io::ErrorKind::AlreadyExists => number += 1,
                Err(error) => return Err(at(&path)(error)),
            }
        }
    }

    /// Opens the folder of a run and reads its config.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] where there is no config, [`RunError::Json`], [`RunError::Version`]
    /// or [`RunError::Config`] where it cannot be used, and [`RunError::Io`].
    pub fn open(path: impl Into<PathBuf>) -> Result<(Self, RunConfig), RunError> {
        #[derive(serde::Deserialize)]
        struct Version {
            version: u32,
        }
        let run = Self { path: path.into() };
        // The version first: a config of another version may be no config of this one.
        let Version { version: found } = run.read_json("config.json")?;
        let expected = RunConfig::VERSION;
        let path = run.file("config.json");
        if found != expected {
            return Err(RunError::Version {
                path,
                found,
                expected,
            });
        }
        let config: RunConfig = run.read_json("config.json")?;
        let model = config.model.validate().map_err(Into::into);
        match model.and_then(|()| config.train.validate()) {
            Ok(()) => Ok((run, config)),
            Err(source) => Err(RunError::Config { path, source }),
        }
    }

    /// The folder.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The path of a file of the run.
    pub fn file(&self, name: &str) -> PathBuf {
        self.path.join(name)
    }

    /// Writes a value as indented JSON.
    ///
    /// # Errors
    ///
    /// [`RunError::Json`] for a value that JSON cannot hold, and [`RunError::Io`].
    pub fn save_json(&self, name: &str, value: &impl Serialize) -> Result<(), RunError> {
        let path = self.file(name);
        match serde_json::to_string_pretty(value) {
            Ok(json) => write_atomically(&path, format!("{json}\n").as_bytes()),
            Err(source) => Err(RunError::Json { path, source }),
        }
    }

    fn read_json<T: DeserializeOwned>(&self, name: &str) -> Result<T, RunError> {
        let path = self.file(name);
        let json = read(&path)?;
        serde_json::from_slice(&json).map_err(|source| RunError::Json { path, source })
    }

    /// Starts `metrics.jsonl`.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn metrics(&self) -> Result<MetricsWriter, RunError> {
        let path = self.file("metrics.jsonl");
        let file = File::create(&path).map_err(at(&path))?;
        Ok(MetricsWriter { path, file })
    }

    /// Writes the weights of a model.
    ///
    /// # Errors
    ///
    /// [`RunError::Weights`] where they cannot be read from the device, and [`RunError::Io`].
    pub fn save_weights<M: PixelModel>(&self, which: Weights, model: &M) -> Result<(), RunError> {
        let path = self.file(which.file_name());
        match weights::to_safetensors(model) {
            Ok(bytes) => write_atomically(&path, &bytes),
            Err(source) => Err(RunError::Weights { path, source }),
        }
    }

    /// Creates the model of the run's config and loads weights into it.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] where the run saved no weights, [`RunError::Weights`] where they are
    /// not of this model, and [`RunError::Io`].
    ///
    /// # Panics
    ///
    /// Panics if the config has the head of another kind of model.
    pub fn load_weights<M: PixelModel>(
        &self,
        which: Weights,
        config: &RunConfig,
        device: &Device,
    ) -> Result<M, RunError> {
        let path = self.file(which.file_name());
        let bytes = read(&path)?;
        let mut model = M::init(&config.model, device);
        match weights::load_safetensors(&mut model, bytes) {
            Ok(()) => Ok(model),
            Err(source) => Err(RunError::Weights { path, source }),
        }
    }

    /// Tells the weights of a run from all others: the MD5 of their file.
    ///
    /// # Errors
    ///
    /// [`RunError::Missing`] where the run saved no weights, and [`RunError::Io`].
    pub fn fingerprint(&self, which: Weights) -> Result<String, RunError> {
        Ok(pixel_iqn_data::md5(&read(&self.file(which.file_name()))?))
    }
}

/// Writes `metrics.jsonl`, a line at a time, so that a run can be watched and an end by force
/// loses nothing.
#[derive(Debug)]
pub struct MetricsWriter {
    path: PathBuf,
    file: File,
}

impl MetricsWriter {
    /// Adds a line.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn write(&mut self, metrics: &Metrics) -> Result<(), RunError> {
        let line = serde_json::to_string(metrics).expect("a struct of numbers is valid JSON");
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(at(&self.path))
    }
}

fn read(path: &Path) -> Result<Vec<u8>, RunError> {
    fs::read(path).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => RunError::Missing { path: path.into() },
        _ => at(path)(error),
    })
}

/// Writes beside the target and renames, so that no reader ever sees half a file.
fn write_atomically(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let part = path.with_added_extension("part");
    fs::write(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .map_err(at(path))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TrainConfig;
    use pixel_iqn_core::{ModelConfig, PixelIqn};

    fn config() -> RunConfig {
        RunConfig {
            version: RunConfig::VERSION,
            dataset: "builtin".into(),
            description: "test".into(),
            size: [8, 8],
            class_names: None,
            model: ModelConfig::tiny(),
            train: TrainConfig::new(5, 2).with_seed(u64::MAX),
        }
    }

    #[test]
    fn a_saved_run_opens_with_the_same_config_and_weights() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path().join("a/b")).unwrap();
        let device = Device::flex();
        let config = config();
        let model = config.model.init_pixel_iqn(&device);
        run.save_json("config.json", &config).unwrap();
        run.save_weights(Weights::Averaged, &model).unwrap();

        let (opened, read) = RunDir::open(run.path()).unwrap();
        assert_eq!((&opened, &read), (&run, &config));
        let loaded: PixelIqn = run
            .load_weights(Weights::Averaged, &config, &device)
            .unwrap();
        assert_eq!(
            weights::to_safetensors(&loaded).unwrap(),
            weights::to_safetensors(&model).unwrap()
        );

        let error = run.load_weights::<PixelIqn>(Weights::Raw, &config, &device);
        assert!(matches!(error, Err(RunError::Missing { .. })), "{error:?}");
        let mut deeper = config;
        deeper.model.layers += 1;
        let error = run.load_weights::<PixelIqn>(Weights::Averaged, &deeper, &device);
        assert!(matches!(error, Err(RunError::Weights { .. })), "{error:?}");
    }

    #[test]
    fn configs_that_cannot_be_used_are_errors() {
        let folder = tempfile::tempdir().unwrap();
        let open = || RunDir::open(folder.path()).unwrap_err();
        let write = |text: &str| fs::write(folder.path().join("config.json"), text).unwrap();
        let good = serde_json::to_string(&config()).unwrap();

        let error = open();
        assert!(matches!(error, RunError::Missing { .. }), "{error}");
        write(&good[..good.len() / 2]);
        assert!(matches!(open(), RunError::Json { .. }));
        write(r#"{"version": 2, "all": "new"}"#);
        assert!(matches!(open(), RunError::Version { found: 2, .. }));
        write(&good.replace(r#""layers":3"#, r#""layers":0"#));
        assert!(matches!(open(), RunError::Config { .. }));
        write(&good.replace(r#""batch":2"#, r#""batch":0"#));
        assert!(matches!(open(), RunError::Config { .. }));
        write(&good);
        assert_eq!(RunDir::open(folder.path()).unwrap().1, config());
    }

    #[test]
    fn a_run_never_overwrites_another() {
        let folder = tempfile::tempdir().unwrap();
        let first = RunDir::create_next(folder.path(), "mnist").unwrap();
        let second = RunDir::create_next(folder.path(), "mnist").unwrap();
        assert!(first.path().ends_with("mnist-1") && second.path().ends_with("mnist-2"));

        RunDir::create(first.path()).unwrap();
        first.save_json("config.json", &config()).unwrap();
        let error = RunDir::create(first.path()).unwrap_err();
        assert!(matches!(error, RunError::NotEmpty(_)), "{error}");
    }

    #[test]
    fn metrics_are_one_object_per_line_at_full_precision() {
        let folder = tempfile::tempdir().unwrap();
        let run = RunDir::create(folder.path()).unwrap();
        let mut writer = run.metrics().unwrap();
        let loss = 0.1f32 + f32::EPSILON;
        for step in 0..2 {
            let report = StepReport {
                step,
                loss,
                grad_norm: 1.0,
                learning_rate: 1.0 / 3.0,
            };
            let metrics = Metrics {
                report,
                images_per_second: 2.0,
                seconds: 0.5,
                held_out_loss: None,
            };
            writer.write(&metrics).unwrap();
        }
        let text = fs::read_to_string(run.file("metrics.jsonl")).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[1]["step"], 1);
        assert_eq!(lines[1]["loss"].as_f64().unwrap() as f32, loss);
        assert_eq!(lines[1]["learning_rate"], 1.0 / 3.0);
        assert_eq!(lines[1].get("held_out_loss"), None);
    }
}

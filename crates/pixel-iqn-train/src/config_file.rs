use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use toml::{Table, Value};

use crate::error::{RunError, SettingsError, at};
use crate::settings::{parse, upgrade};

/// A config file that a program was given: TOML with the keys of a [`RunConfig`](crate::RunConfig),
/// or some of them.
///
/// ```
/// use pixel_iqn_train::ConfigFile;
///
/// let file = ConfigFile::parse("[data]\ndataset = \"mnist\"\n[train]\nsteps = 500\n")?;
/// assert_eq!(file.dataset(), Some("mnist"));
/// assert_eq!((file.data_path(), file.size()), (None, None));
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
#[derive(Debug, Clone, Default, PartialEq)]
pub struct ConfigFile {
    path: PathBuf,
    keys: Table,
}

impl ConfigFile {
    /// Reads a file. Its keys are checked by [`RunConfig::resolve`](crate::RunConfig::resolve).
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where it cannot be read, and [`RunError::Config`] where it is not TOML.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, RunError> {
        let path = path.into();
        let text = match fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::InvalidData => {
                let source = SettingsError::Toml("it is not UTF-8 text".into());
                return Err(RunError::Config { path, source });
            }
            Err(error) => return Err(at(&path)(error)),
        };
        match Self::parse(&text) {
            Ok(file) => Ok(Self { path, ..file }),
            Err(source) => Err(RunError::Config { path, source }),
        }
    }

    /// Reads the text of a config file.
    ///
    /// # Errors
    ///
    /// [`SettingsError::Toml`] where it is not TOML.
    pub fn parse(text: &str) -> Result<Self, SettingsError> {
        let mut keys = parse(text)?;
        upgrade(&mut keys);
        Ok(Self {
            path: "the config".into(),
            keys,
        })
    }

    /// The name of the data set, `data.dataset`.
    pub fn dataset(&self) -> Option<&str> {
        self.data("dataset")
    }

    /// The folder of the images, `data.path`.
    pub fn data_path(&self) -> Option<&Path> {
        self.data("path").map(Path::new)
    }

    /// The height and width of the images, `data.size`.
    pub fn size(&self) -> Option<[usize; 2]> {
        let sides = self.keys.get("data")?.get("size")?.as_array()?;
        let sides: Vec<usize> = (sides.iter())
            .map(|side| usize::try_from(side.as_integer()?).ok())
            .collect::<Option<_>>()?;
        sides.try_into().ok()
    }

    fn data(&self, key: &str) -> Option<&str> {
        self.keys.get("data")?.get(key)?.as_str()
    }

    /// The keys that change a config whose images are given: all but the section `data`, which
    /// describes the images of the run that the file is from.
    pub(crate) fn changes(&self) -> Table {
        let mut keys = self.keys.clone();
        keys.remove("data");
        keys
    }

    /// The keys without `model.preset`.
    pub(crate) fn without_preset(mut self) -> Self {
        if let Some(Value::Table(model)) = self.keys.get_mut("model") {
            model.remove("preset");
        }
        self
    }

    /// Names the file in an error about its keys.
    pub(crate) fn error(&self, source: SettingsError) -> RunError {
        RunError::Config {
            path: self.path.clone(),
            source,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_config::tests::config;
    use crate::run_overrides::RunOverrides;

    #[test]
    fn files_of_versions_before_mean_what_they_meant() {
        let whole = config().to_toml();
        let own = |text: &str| {
            let file = ConfigFile::parse(text).unwrap();
            config()
                .resolve::<&str>(&file, &RunOverrides::new(), &[])
                .unwrap()
        };
        assert!(own(&whole).train.censored);
        let old = whole.replace("precision = \"float32\"\n", "");
        let of_version = |version| old.replace("version = 5", &format!("version = {version}"));
        assert_eq!(own(&of_version(4)), own(&whole));
        let old = of_version(3).replace("censored = true\n", "");
        assert!(!own(&old).train.censored);
        // A part of a config has no version, and is one of today's.
        assert!(own("[train]\nsteps = 9\n").train.censored);
    }

    #[test]
    fn the_size_of_the_images_is_read() {
        let size = |text: &str| ConfigFile::parse(text).unwrap().size();
        assert_eq!(size("[data]\nsize = [8, 9]\n"), Some([8, 9]));
        for other in ["[8]", "[8, -1]", "8", "[8.0, 8]"] {
            assert_eq!(size(&format!("[data]\nsize = {other}\n")), None, "{other}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("a.toml");
        let error = ConfigFile::open(&path).unwrap_err();
        assert!(matches!(error, RunError::Io { .. }), "{error}");
        for bytes in [&b"[train"[..], &[0xff]] {
            fs::write(&path, bytes).unwrap();
            let error = ConfigFile::open(&path).unwrap_err();
            assert!(matches!(error, RunError::Config { .. }), "{error}");
            assert!(error.to_string().contains("a.toml"), "{error}");
        }
    }
}

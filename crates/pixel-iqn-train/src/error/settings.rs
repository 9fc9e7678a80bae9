use super::TrainError;

/// Why a config cannot be read.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum SettingsError {
    /// The text is not TOML, or a value has another type; the message says where.
    #[error("{0}")]
    Toml(String),
    /// No config has this key.
    #[error("unknown key `{key}`: did you mean `{nearest}`?")]
    UnknownKey {
        /// The key.
        key: String,
        /// The most similar key of a config.
        nearest: String,
    },
    /// The key stands in several sections.
    #[error("`{key}` may be `{first}` or `{second}`: write the section too")]
    Ambiguous {
        /// The key.
        key: String,
        /// One key that it may be, with its section.
        first: String,
        /// Another one.
        second: String,
    },
    /// The key is a section, and was given a value.
    #[error("`{0}` is a section: its keys have values, it has none")]
    Section(String),
    /// The setting has no `=`.
    #[error("`{0}` has no value: write KEY=VALUE")]
    NoValue(String),
    /// The setting changes where the images come from, which the images themselves decide.
    #[error("`{0}` cannot be set: it describes the images that the run is given")]
    Data(String),
    /// The config is of a version that this crate does not read.
    #[error("the config has {}, but this program reads version {expected}", found.map_or("no version".into(), |v| format!("version {v}")))]
    Version {
        /// The version of the config; `None` where it names none.
        found: Option<i64>,
        /// The version that can be read.
        expected: u32,
    },
    /// A field is out of range.
    #[error(transparent)]
    Invalid(#[from] TrainError),
}

impl SettingsError {
    pub(crate) fn toml(error: &toml::de::Error) -> Self {
        Self::Toml(error.to_string().trim_end().replace('\n', " "))
    }
}

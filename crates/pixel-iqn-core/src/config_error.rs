/// The error of a [`ModelConfig`](crate::ModelConfig) that cannot be read or used.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ConfigError {
    /// The text is not the JSON of a config; the message says what is wrong, and where.
    #[error("not a model config: {0}")]
    Json(String),
    /// A field is out of range; the message names it.
    #[error("invalid model config: {0}")]
    Invalid(String),
    /// No preset has this name.
    #[error(
        "unknown preset `{0}`: the presets are `tiny`, `quick`, `small`, `paper_small` and \
         `paper_large`"
    )]
    UnknownPreset(String),
    /// No kind of [`Output`](crate::Output) has this name.
    #[error("unknown output `{0}`: the outputs are `gates`, `head`, `monotone` and `categorical`")]
    UnknownOutput(String),
}

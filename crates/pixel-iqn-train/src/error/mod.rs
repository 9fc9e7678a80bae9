mod run;
mod settings;
mod train;

pub use run::RunError;
pub(crate) use run::at;
pub use settings::SettingsError;
pub use train::TrainError;

/// An error of another crate whose type is not part of this crate's interface.
type Source = Box<dyn std::error::Error + Send + Sync>;

/// Writes an error with all its causes in one line, for a notice: their messages do not repeat each
/// other.
#[doc(hidden)]
pub fn with_causes(error: &dyn std::error::Error) -> String {
    let mut text = error.to_string();
    let mut cause = error.source();
    while let Some(error) = cause {
        text.push_str(": ");
        text.push_str(&error.to_string());
        cause = error.source();
    }
    text
}

mod run;
mod settings;
mod train;

pub use run::RunError;
pub(crate) use run::at;
pub use settings::SettingsError;
pub use train::TrainError;

/// An error of another crate whose type is not part of this crate's interface.
type Source = Box<dyn std::error::Error + Send + Sync>;

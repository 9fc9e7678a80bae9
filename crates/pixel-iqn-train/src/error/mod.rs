mod run;
mod settings;
mod train;

pub(crate) use run::at;
pub use run::RunError;
pub use settings::SettingsError;
pub use train::TrainError;

/// An error of another crate whose type is not part of this crate's interface.
type Source = Box<dyn std::error::Error + Send + Sync>;

use crate::history::History;
use crate::objective::TrainModel;
use crate::trainer::Trainer;

/// How a [`Session`](crate::Session) ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[non_exhaustive]
pub enum End {
    /// The last step was done.
    Complete,
    /// The held-out loss did not get better for as long as the config says.
    Early,
    /// A signal came, or the user stopped it at the dashboard. The run can be resumed.
    Interrupted,
}

/// The result of a [`Session`](crate::Session).
#[non_exhaustive]
pub struct Finished<M: TrainModel> {
    /// The trainer after its last step.
    pub trainer: Trainer<M>,
    /// All losses of the run.
    pub history: History,
    /// How the run ended.
    pub end: End,
    /// Seconds of wall-clock time that all processes together worked on the run.
    pub seconds: f64,
}

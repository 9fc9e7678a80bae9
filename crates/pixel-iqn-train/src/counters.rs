use serde::{Deserialize, Serialize};

/// The numbers that the rest of a training depends on besides its tensors: see
/// [`Trainer::state`](crate::Trainer::state).
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Counters {
    /// The number of steps done.
    pub step: usize,
    /// The number of steps of the optimizer: those that were not skipped.
    pub optimizer_steps: usize,
    /// The number of updates of the average.
    pub average_updates: usize,
    /// The number of skipped steps since the last one that was not.
    pub bad_in_a_row: usize,
}

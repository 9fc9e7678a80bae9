use burn::config::Config;

/// When a run writes checkpoints. It always writes one at its end, on an interrupt, and where the
/// held-out loss is the lowest so far.
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct CheckpointConfig {
    /// Steps from one checkpoint to the next; 0 for no rule by steps.
    #[config(default = 0)]
    pub every_steps: usize,
    /// Minutes from one checkpoint to the next; 0 for no rule by time.
    #[config(default = 10.0)]
    pub every_minutes: f64,
    /// The number of last checkpoints that are kept, at least 1. The best one is kept besides.
    #[config(default = 3)]
    pub keep: usize,
}

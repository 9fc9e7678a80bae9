use burn::config::Config;

/// What a run measures and shows of itself, and how often.
#[derive(Config, Debug, PartialEq)]
#[non_exhaustive]
pub struct ReportConfig {
    /// Steps from one measurement on held-out images to the next; 0 for one at the end alone.
    pub held_out_every: usize,
    /// Held-out images to measure on, the first ones of the set; at most all are used.
    #[config(default = 32)]
    pub held_out_images: usize,
    /// Measurements without a new lowest held-out loss after which training ends early; 0 for
    /// never.
    #[config(default = 0)]
    pub patience: usize,
    /// Minutes from one image grid of samples to the next; 0 for none.
    #[config(default = 10.0)]
    pub grid_minutes: f64,
    /// Samples in an image grid, at least 1, always at the same tau.
    #[config(default = 16)]
    pub grid_samples: usize,
    /// Held-out images on which a program evaluates the model when the run is complete.
    #[config(default = 256)]
    pub eval_images: usize,
    /// Samples that a program draws when the run is complete.
    #[config(default = 64)]
    pub samples: usize,
    /// Whether event files for TensorBoard are written.
    #[config(default = true)]
    pub tensorboard: bool,
}

impl ReportConfig {
    /// Describes a report that measures about twenty times in a run, at least every 1,000 and at most every 50 steps.
    pub fn for_steps(steps: usize) -> Self {
        Self::new(steps.div_ceil(20).clamp(50, 1000))
    }
}

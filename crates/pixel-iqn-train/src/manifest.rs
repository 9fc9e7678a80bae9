use std::time::{SystemTime, UNIX_EPOCH};

use serde::{Deserialize, Serialize};

use crate::best::Best;
use crate::counters::Counters;
use crate::metrics::HeldOutScores;
use crate::run_config::RunConfig;
use crate::settings::config_of_json;

/// The description of a checkpoint, in `manifest.json`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The name of the format, always [`Self::FORMAT`].
    pub format: String,
    /// The version of this format.
    pub version: u32,
    /// The version of the crate that wrote it.
    pub crate_version: String,
    /// The commit of the sources of that crate, or `unknown`.
    pub git_revision: String,
    /// When it was written, in seconds since 1970.
    pub written: u64,
    /// The numbers of steps and updates done.
    pub counters: Counters,
    /// The held-out scores at this step, where they were measured then.
    pub held_out: Option<HeldOutScores>,
    /// The lowest held-out loss so far.
    pub best: Option<Best>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The config of the run.
    #[serde(deserialize_with = "config_of_json")]
    pub config: RunConfig,
}

impl Manifest {
    /// The name of the format, which every manifest has.
    pub const FORMAT: &str = "pixel-iqn checkpoint";
    /// The version that this crate writes, and the only one it reads.
    pub const VERSION: u32 = 2;

    pub(crate) fn new(config: &RunConfig, counters: Counters) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            crate_version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: env!("PIXEL_IQN_GIT_REVISION").to_owned(),
            written: now.map_or(0, |now| now.as_secs()),
            counters,
            held_out: None,
            best: None,
            seconds: 0.0,
            config: config.clone(),
        }
    }
}

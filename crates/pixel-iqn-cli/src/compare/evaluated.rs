use pixel_iqn::score::ConditionalScores;
use pixel_iqn::train::History;
use pixel_iqn::{Images, RunConfig};
use pixel_iqn_eval::{ImageSetEvaluation, LevelDistance};

use crate::output_kind::OutputKind;

/// A model that was trained and evaluated.
pub struct Evaluated {
    pub kind: &'static OutputKind,
    pub seed: u64,
    pub config: RunConfig,
    /// Seconds of training, by the clock.
    pub train_seconds: f64,
    pub history: History,
    pub conditional: ConditionalScores,
    pub samples: Images,
    pub sliced_wasserstein: Vec<LevelDistance>,
    /// Where there are weights of Inception v3.
    pub image_sets: Option<ImageSetEvaluation>,
}

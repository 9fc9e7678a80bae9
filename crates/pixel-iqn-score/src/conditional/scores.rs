use serde::{Deserialize, Serialize};

use crate::estimate::Estimate;
use crate::scores::Scores;

/// Bins of the PIT histogram.
pub const PIT_BINS: usize = 20;

/// How well a model predicts the values of images, each given the values before it.
///
/// Computed by [`conditional_scores`](crate::conditional_scores). In JSON the fields of `mean` stand
/// beside the others.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ConditionalScores {
    /// The number of images evaluated on.
    pub images: usize,
    /// The number of quantile levels of the pinball loss.
    pub quantile_levels: usize,
    /// The index of the generation order, 0 for raster order.
    #[serde(default)]
    pub order: usize,
    /// The means over all images.
    #[serde(flatten)]
    pub mean: Scores,
    /// The CRPS of the marginal distribution on the same images.
    pub reference_crps: f64,
    /// `1 - crps / reference_crps`: 0 for a model that knows nothing of an image, 1 for one that
    /// knows everything. It is `None` where each channel of the training images has one level alone,
    /// so that there is nothing to learn.
    pub skill: Option<f64>,
    /// Why there is no skill, where there is none.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub no_skill_because: Option<String>,
    /// The mean distance of the cumulative PIT histogram from the diagonal, at the inner edges of
    /// its bins; 0 for a calibrated model.
    pub calibration_error: f64,
    /// The fractions of the values whose probability integral transform (PIT) lies in each of
    /// [`PIT_BINS`] equal bins of [0, 1]. The transform is drawn evenly from the probability of the
    /// value's level (Czado, Gneiting and Held 2009). Flat for a calibrated model.
    pub pit_histogram: Vec<f64>,
    /// The mean pinball loss at each quantile level.
    pub pinball_by_level: Vec<f64>,
    /// What the values of each of the 256 intensity levels contribute to `bits_per_dim`: they add up
    /// to it. Empty in scores of before it was there.
    #[serde(default)]
    pub bits_by_intensity: Vec<f64>,
    /// The scores of each image, in the order of the set.
    pub by_image: Vec<Scores>,
}

/// Writes a skill score with so many digits, or that it is `not defined`.
pub fn skill_text(skill: Option<f64>, digits: usize) -> String {
    skill.map_or_else(
        || "not defined".to_owned(),
        |skill| format!("{skill:.digits$}"),
    )
}

impl ConditionalScores {
    /// The skill with so many digits, or `not defined`.
    pub fn skill_text(&self, digits: usize) -> String {
        skill_text(self.skill, digits)
    }

    /// One score as a mean over images with its interval; `seed` is that of the resampling.
    ///
    /// Intervals are computed here and not before, so that they cost nothing unless they are asked
    /// for.
    pub fn estimate(&self, score: impl Fn(&Scores) -> f64, seed: u64) -> Estimate {
        Estimate::of(&self.score_by_image(&score), seed)
    }

    /// All scores as means over images with their intervals, as by [`estimate`](Self::estimate).
    pub fn estimates(&self, seed: u64) -> Scores<Estimate> {
        Scores::each(|score| self.estimate(score, seed))
    }

    /// The mean difference of one score, this model's less that of `base` on the same images, as by
    /// [`Estimate::of_differences`].
    ///
    /// # Panics
    ///
    /// Panics if the two were evaluated on different numbers of images.
    pub fn difference(&self, base: &Self, score: impl Fn(&Scores) -> f64, seed: u64) -> Estimate {
        let [a, b] = [self, base].map(|scores| scores.score_by_image(&score));
        Estimate::of_differences(&a, &b, seed)
    }

    fn score_by_image(&self, score: &impl Fn(&Scores) -> f64) -> Vec<f64> {
        self.by_image.iter().map(score).collect()
    }
}

use burn::config::Config;
use pixel_iqn_core::{Progress, report};
use pixel_iqn_data::ImageDataset;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::features::Features;
use crate::frechet::{GaussianStatistics, frechet_distance};
use crate::inception::InceptionV3;
use crate::inception_score::{InceptionScoreOptions, inception_score};
use crate::kid::{KidOptions, kernel_inception_distance};
use crate::precision_recall::precision_recall;

/// Which scores to compute, and how. The defaults are torch-fidelity's.
#[derive(Config, Copy, Debug, PartialEq)]
#[non_exhaustive]
pub struct ImageSetOptions {
    /// Whether to compute FID.
    #[config(default = true)]
    pub fid: bool,
    /// Options of the Inception score, which is of the generated images alone; `None` leaves it out.
    #[config(default = "Some(InceptionScoreOptions::new())")]
    pub isc: Option<InceptionScoreOptions>,
    /// Options of KID; `None` leaves it out.
    #[config(default = "Some(KidOptions::new())")]
    pub kid: Option<KidOptions>,
    /// The number of neighbours of precision and recall; `None` leaves them out.
    #[config(default = "Some(3)")]
    pub prc: Option<usize>,
}

impl Default for ImageSetOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// Which features of a set to keep image by image, besides their statistics.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct KeptFeatures {
    /// Whether to keep the features of the last pool, 8 KiB an image: for KID, precision and recall.
    pub pool: bool,
    /// Whether to keep the logits, 4 KiB an image: for the Inception score.
    pub logits: bool,
}

/// The features that were extracted from a set of images.
#[derive(Debug, Clone, PartialEq)]
pub struct FeatureSet {
    /// Mean and covariance of the features: 34 MB, whatever the number of images.
    pub statistics: GaussianStatistics,
    /// The features, where they were to be kept.
    pub pool: Option<Features>,
    /// The logits, where they were to be kept.
    pub logits: Option<Features>,
}

/// Scores of generated images against real ones, under the names of torch-fidelity's output. Those
/// not asked for are `None` and not serialised.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[serde(default)]
#[non_exhaustive]
pub struct ImageSetScores {
    /// The mean Inception score over the splits. Higher is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_mean: Option<f64>,
    /// The standard deviation of the Inception score over the splits.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub inception_score_std: Option<f64>,
    /// FID. Lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub frechet_inception_distance: Option<f64>,
    /// The mean KID over the subsets. Lower is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_inception_distance_mean: Option<f64>,
    /// The standard deviation of KID over the subsets.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub kernel_inception_distance_std: Option<f64>,
    /// The [precision](crate::PrecisionRecall::precision). Higher is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub precision: Option<f64>,
    /// The [recall](crate::PrecisionRecall::recall). Higher is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub recall: Option<f64>,
    /// The harmonic mean of precision and recall. Higher is better.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub f_score: Option<f64>,
}

/// Extracts the features of a set in batches, so that no more than a batch of images is in work.
///
/// `progress` is told after each batch how many of how many images are done.
///
/// # Errors
///
/// [`EvalError::Option`] for an empty batch, [`EvalError::Cancelled`], and the errors of
/// [`InceptionV3::features`].
pub fn extract(
    network: &InceptionV3,
    set: &ImageDataset,
    keep: KeptFeatures,
    batch: usize,
    progress: &dyn Progress,
) -> Result<FeatureSet, EvalError> {
    if batch == 0 {
        return Err(EvalError::Option {
            name: "batch",
            range: "at least 1",
        });
    }
    let length: usize = set.shape().iter().product();
    let mut extracted: Option<FeatureSet> = None;
    for start in (0..set.len()).step_by(batch) {
        let end = set.len().min(start + batch);
        let images = &set.images()[start * length..end * length];
        let features = network.features(images, set.shape())?;
        match &mut extracted {
            None => {
                extracted = Some(FeatureSet {
                    statistics: GaussianStatistics::of(&features.pool)?,
                    pool: keep.pool.then_some(features.pool),
                    logits: keep.logits.then_some(features.logits),
                });
            }
            Some(extracted) => {
                extracted.statistics.push(&features.pool)?;
                if let Some(pool) = &mut extracted.pool {
                    pool.extend(&features.pool)?;
                }
                if let Some(logits) = &mut extracted.logits {
                    logits.extend(&features.logits)?;
                }
            }
        }
        report(progress, end, set.len())?;
    }
    Ok(extracted.expect("a set is never empty"))
}

/// A score that is left out, and why.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct LeftOut {
    /// The score, as users call it.
    pub score: String,
    /// The reason, and what to do about it.
    pub because: String,
}

impl LeftOut {
    /// Leaves a score out for a reason.
    pub fn new(score: impl Into<String>, because: impl Into<String>) -> Self {
        Self {
            score: score.into(),
            because: because.into(),
        }
    }
}

impl ImageSetOptions {
    /// Leaves out what cannot be computed of so many images, and says why, so that a program can tell
    /// before it extracts features.
    ///
    /// `real` is the number of real images, `None` where there are only their statistics.
    pub fn fitting(mut self, generated: usize, real: Option<usize>) -> (Self, Vec<LeftOut>) {
        let mut left_out = Vec::new();
        let mut leave_out =
            |score: &str, because: String| left_out.push(LeftOut::new(score, because));
        if let Some(InceptionScoreOptions { splits, .. }) = self.isc
            && generated < splits
        {
            self.isc = None;
            leave_out(
                "Inception score",
                format!("its {splits} splits need as many images, and {generated} were generated"),
            );
        }
        let fewest = real.map_or(generated, |real| real.min(generated));
        if self.fid && fewest < 2 {
            self.fid = false;
            leave_out(
                "FID",
                "a covariance needs two images of each set".to_owned(),
            );
        }
        if let (Some(KidOptions { subset_size, .. }), Some(_)) = (self.kid, real)
            && fewest < subset_size
        {
            self.kid = None;
            leave_out(
                "KID",
                format!("its subsets of {subset_size} are larger than a set of {fewest} images"),
            );
        }
        if let (Some(neighbours), Some(_)) = (self.prc, real)
            && fewest <= neighbours
        {
            self.prc = None;
            leave_out(
                "precision and recall",
                format!("{neighbours} neighbours of an image need more than {fewest} images"),
            );
        }
        (self, left_out)
    }

    /// The features of the generated images that these scores need.
    pub fn of_generated(&self) -> KeptFeatures {
        KeptFeatures {
            logits: self.isc.is_some(),
            ..self.of_real()
        }
    }

    /// The features of the real images that these scores need.
    pub fn of_real(&self) -> KeptFeatures {
        KeptFeatures {
            pool: self.kid.is_some() || self.prc.is_some(),
            logits: false,
        }
    }
}

/// Computes the scores of generated images against real ones. Scores that need features of a set of
/// which there are only statistics are left out, and the Inception score stands alone where there are no
/// real images.
///
/// # Errors
///
/// The errors of the scores themselves.
pub fn image_set_scores(
    generated: &FeatureSet,
    real: Option<&FeatureSet>,
    options: &ImageSetOptions,
) -> Result<ImageSetScores, EvalError> {
    let mut scores = ImageSetScores::default();
    if let (Some(options), Some(logits)) = (options.isc, &generated.logits) {
        let isc = inception_score(logits, options)?;
        scores.inception_score_mean = Some(isc.mean);
        scores.inception_score_std = Some(isc.std);
    }
    let Some(real) = real else {
        return Ok(scores);
    };
    if options.fid {
        let distance = frechet_distance(&generated.statistics, &real.statistics)?;
        scores.frechet_inception_distance = Some(distance);
    }
    if let (Some(a), Some(b)) = (&generated.pool, &real.pool) {
        if let Some(options) = options.kid {
            let kid = kernel_inception_distance(a, b, options)?;
            scores.kernel_inception_distance_mean = Some(kid.mean);
            scores.kernel_inception_distance_std = Some(kid.std);
        }
        if let Some(neighbours) = options.prc {
            let found = precision_recall(a, b, neighbours)?;
            scores.precision = Some(found.precision);
            scores.recall = Some(found.recall);
            scores.f_score = Some(found.f_score);
        }
    }
    Ok(scores)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn few_images_leave_scores_out_and_say_why() {
        let kid = KidOptions::new().with_subset_size(50);
        let options = || ImageSetOptions::new().with_kid(Some(kid));
        let left_out = |generated, real| {
            let (options, left_out) = options().fitting(generated, real);
            let kept = [
                options.isc.is_some(),
                options.fid,
                options.kid.is_some(),
                options.prc.is_some(),
            ];
            let names: Vec<String> = left_out.into_iter().map(|left| left.score).collect();
            (kept, names.join(", "))
        };
        assert_eq!(left_out(50, Some(50)), ([true; 4], String::new()));
        assert_eq!(left_out(50, None), ([true; 4], String::new()));
        let expected = ([true, true, false, true], "KID".to_owned());
        assert_eq!(left_out(50, Some(49)), expected);
        let all = "Inception score, FID, KID, precision and recall".to_owned();
        assert_eq!(left_out(1, Some(60)), ([false; 4], all));
        let few = "Inception score, KID, precision and recall".to_owned();
        assert_eq!(left_out(3, Some(3)), ([false, true, false, false], few));
    }
}

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

impl ImageSetOptions {
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

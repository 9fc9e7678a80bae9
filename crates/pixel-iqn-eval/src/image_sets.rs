use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::error::{EvalError, with_causes};
use crate::feature_set::{FeatureSet, KeptFeatures};
use crate::frechet::frechet_distance;
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
                format!(
                    "its {splits} splits need as many images, and {generated} were generated: choose \
                     fewer splits"
                ),
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
                format!(
                    "its subsets of {subset_size} are larger than a set of {fewest} images: choose smaller \
                     ones"
                ),
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

/// A score that is there and says less than it seems to, and why.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScoreWarning {
    /// The score, as users call it.
    pub score: String,
    /// What is to be known of it.
    pub because: String,
}

impl ScoreWarning {
    /// Warns of a score for a reason.
    pub fn new(score: impl Into<String>, because: impl Into<String>) -> Self {
        Self {
            score: score.into(),
            because: because.into(),
        }
    }
}

/// Scores of sets of images, with what is to be known of them.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq, Default)]
#[non_exhaustive]
pub struct ImageSetEvaluation {
    /// The scores.
    #[serde(flatten)]
    pub scores: ImageSetScores,
    /// The scores that could not be computed.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub left_out: Vec<LeftOut>,
    /// What is to be known of those that could.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub warnings: Vec<ScoreWarning>,
}

/// Fewer images than these are few for a score that compares image by image; our choice.
const FEW_IMAGES: usize = 1000;

/// Computes the scores of generated images against real ones. Scores that need features of a set of
/// which there are only statistics are left out, and the Inception score stands alone where there are no
/// real images.
///
/// A score that fails is left out with its reason, and the others are computed.
///
/// # Errors
///
/// [`EvalError::OtherFeatures`] where the features of the two sets were computed in different ways, and
/// the first error of a score where no score could be computed.
pub fn image_set_scores(
    generated: &FeatureSet,
    real: Option<&FeatureSet>,
    options: &ImageSetOptions,
) -> Result<ImageSetEvaluation, EvalError> {
    if let (Some(ours), Some(Some(theirs))) =
        (&generated.origin, real.map(|real| real.origin.as_ref()))
        && !ours.is_comparable_with(theirs)
    {
        return Err(EvalError::OtherFeatures {
            generated: ours.clone(),
            real: theirs.clone(),
        });
    }
    let mut found = ImageSetEvaluation::default();
    let mut failed = None;
    let mut leave_out = |found: &mut ImageSetEvaluation, score: &str, error: EvalError| {
        found
            .left_out
            .push(LeftOut::new(score, with_causes(&error)));
        failed.get_or_insert(error);
    };
    if let (Some(options), Some(logits)) = (options.isc, &generated.logits) {
        match inception_score(logits, options) {
            Ok(isc) => {
                found.scores.inception_score_mean = Some(isc.mean);
                found.scores.inception_score_std = Some(isc.std);
                let of_split = logits.len() / options.splits;
                if logits.len() < FEW_IMAGES {
                    let because = format!(
                        "a split has {of_split} images, and the score of so many is at most {of_split}"
                    );
                    found
                        .warnings
                        .push(ScoreWarning::new("Inception score", because));
                }
            }
            Err(error) => leave_out(&mut found, "Inception score", error),
        }
    }
    if let Some(real) = real {
        if options.fid {
            match frechet_distance(&generated.statistics, &real.statistics) {
                Ok(distance) => {
                    found.scores.frechet_inception_distance = Some(distance);
                    found.warnings.extend(of_fid(generated, real));
                }
                Err(error) => leave_out(&mut found, "FID", error),
            }
        }
        let sizes = of_sizes(generated, real);
        if let (Some(a), Some(b)) = (&generated.pool, &real.pool) {
            let count = a.len().min(b.len());
            let few = (count < FEW_IMAGES).then(|| {
                format!("of {count} images: it changes much from one such set to the next")
            });
            let warn = |score| {
                let because = few.iter().chain(&sizes);
                because.map(move |because| ScoreWarning::new(score, because))
            };
            if let Some(options) = options.kid {
                match kernel_inception_distance(a, b, options) {
                    Ok(kid) => {
                        found.scores.kernel_inception_distance_mean = Some(kid.mean);
                        found.scores.kernel_inception_distance_std = Some(kid.std);
                        found.warnings.extend(warn("KID"));
                    }
                    Err(error) => leave_out(&mut found, "KID", error),
                }
            }
            if let Some(neighbours) = options.prc {
                match precision_recall(a, b, neighbours) {
                    Ok(of) => {
                        found.scores.precision = Some(of.precision);
                        found.scores.recall = Some(of.recall);
                        found.scores.f_score = Some(of.f_score);
                        found.warnings.extend(warn("precision and recall"));
                    }
                    Err(error) => leave_out(&mut found, "precision and recall", error),
                }
            }
        }
    }
    match failed {
        Some(error) if found.scores == ImageSetScores::default() => Err(error),
        _ => Ok(found),
    }
}

/// What is to be known of features of images of two sizes.
fn of_sizes(generated: &FeatureSet, real: &FeatureSet) -> Option<String> {
    let size = |set: &FeatureSet| set.origin.as_ref().and_then(|origin| origin.size);
    let ([h, w], [real_h, real_w]) = (size(generated)?, size(real)?);
    ([h, w] != [real_h, real_w]).then(|| {
        format!(
            "the generated images are of {h} x {w} and the real ones of {real_h} x {real_w}: it compares their \
             sizes too, as smaller images become blurred ones"
        )
    })
}

/// What is to be known of an FID.
fn of_fid(generated: &FeatureSet, real: &FeatureSet) -> Vec<ScoreWarning> {
    let warning = |because: String| ScoreWarning::new("FID", because);
    let mut warnings: Vec<ScoreWarning> =
        of_sizes(generated, real).map(warning).into_iter().collect();
    let dims = generated.statistics.mean().len();
    let sets = [("generated", generated), ("real", real)];
    for (name, set) in sets {
        if let Some(count) = set.statistics.count()
            && count < dims
        {
            warnings.push(warning(format!(
                "of {count} {name} images, fewer than the {dims} features: it depends on their number, and \
                 can be compared with that of as many images alone"
            )));
        }
        if set.statistics.count().is_none() {
            warnings.push(warning(format!(
                "the statistics of the {name} images do not say of how many they are"
            )));
        }
        if set.origin.is_none() {
            warnings.push(warning(format!(
                "the statistics of the {name} images do not say by which resizing and network they were \
                 made: they must be the same for both sets"
            )));
        }
    }
    warnings
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::feature_origin::FeatureOrigin;
    use crate::features::Features;
    use crate::frechet::GaussianStatistics;
    use crate::inception::Preprocessing;

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

    /// Features of images, of which the statistics and the rest were extracted.
    fn set(count: usize, dims: usize, preprocessing: Preprocessing) -> FeatureSet {
        let noise = pixel_iqn_core::Noise::new(count as u64);
        let pool = Features::new(noise.uniform(0, count * dims), dims).unwrap();
        FeatureSet {
            statistics: GaussianStatistics::of(&pool).unwrap(),
            pool: Some(pool.clone()),
            logits: Some(pool),
            origin: Some(FeatureOrigin::new(preprocessing, "abc")),
        }
    }

    #[test]
    fn features_of_two_origins_are_not_compared() {
        let [a, b] = [Preprocessing::TorchFidelity, Preprocessing::PytorchFid]
            .map(|preprocessing| set(20, 4, preprocessing));
        let options = ImageSetOptions::new().with_kid(None);
        assert!(image_set_scores(&a, Some(&a), &options).is_ok());
        let error = image_set_scores(&a, Some(&b), &options).unwrap_err();
        let text = error.to_string();
        assert!(
            text.contains("torch-fidelity") && text.contains("pytorch-fid"),
            "{text}"
        );
        // Where a file does not say, neither can the figure.
        let foreign = FeatureSet { origin: None, ..b };
        let found = image_set_scores(&a, Some(&foreign), &options).unwrap();
        let warned = found
            .warnings
            .iter()
            .any(|warning| warning.score == "FID" && warning.because.contains("by which resizing"));
        assert!(warned, "{found:?}");
    }

    #[test]
    fn scores_of_images_of_two_sizes_have_a_warning() {
        let of_size = |size| {
            let mut set = set(FEW_IMAGES, 4, Preprocessing::TorchFidelity);
            set.origin = set.origin.map(|origin| origin.with_size(size));
            set
        };
        let kid = KidOptions::new().with_subset_size(5).with_subsets(2);
        let options = ImageSetOptions::new().with_kid(Some(kid));
        let warned = |real: &FeatureSet| {
            let generated = of_size(Some([16, 16]));
            let found = image_set_scores(&generated, Some(real), &options).unwrap();
            let warnings = found.warnings.into_iter();
            let of_sizes = warnings.filter(|warning| warning.because.contains("32 x 32"));
            of_sizes.map(|warning| warning.score).collect::<Vec<_>>()
        };
        let all = ["FID", "KID", "precision and recall"];
        assert_eq!(warned(&of_size(Some([32, 32]))), all);
        for same in [Some([16, 16]), None] {
            assert!(warned(&of_size(same)).is_empty());
        }
    }

    #[test]
    fn scores_of_few_images_have_a_warning() {
        let kid = KidOptions::new().with_subset_size(5).with_subsets(2);
        let options = ImageSetOptions::new().with_kid(Some(kid));
        let warned = |count: usize, dims: usize| {
            let set = set(count, dims, Preprocessing::TorchFidelity);
            let found = image_set_scores(&set, Some(&set), &options).unwrap();
            let names: Vec<String> = found.warnings.into_iter().map(|w| w.score).collect();
            names.join(", ")
        };
        let all = "Inception score, FID, FID, KID, precision and recall";
        assert_eq!(warned(20, 24), all);
        assert_eq!(warned(FEW_IMAGES, 24), "");
    }

    #[test]
    fn one_score_that_fails_takes_no_other_with_it() {
        let mut generated = set(20, 4, Preprocessing::TorchFidelity);
        let real = generated.clone();
        generated.logits = Some(Features::new(vec![f32::NAN; 20], 1).unwrap());
        // Larger than the set.
        let kid = KidOptions::new().with_subset_size(50);
        let options = ImageSetOptions::new().with_kid(Some(kid));
        let found = image_set_scores(&generated, Some(&real), &options).unwrap();
        let left_out: Vec<&str> = found.left_out.iter().map(|left| &*left.score).collect();
        assert_eq!(left_out, ["Inception score", "KID"]);
        let scores = found.scores;
        assert!(scores.frechet_inception_distance.unwrap() < 1e-9);
        assert_eq!(scores.precision, Some(1.0));
        let alone = ImageSetOptions::new()
            .with_fid(false)
            .with_kid(None)
            .with_prc(None);
        assert!(image_set_scores(&generated, Some(&real), &alone).is_err());
    }
}

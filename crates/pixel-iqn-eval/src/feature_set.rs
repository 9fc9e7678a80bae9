use std::path::Path;

use pixel_iqn_core::{Progress, report};
use pixel_iqn_data::{ImageDataset, npz_comment};

use crate::error::EvalError;
use crate::feature_origin::FeatureOrigin;
use crate::features::Features;
use crate::frechet::GaussianStatistics;
use crate::inception::InceptionV3;

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
    /// How the features were computed; `None` where a file of statistics does not say.
    pub origin: Option<FeatureOrigin>,
}

impl FeatureSet {
    /// Writes the statistics as [`GaussianStatistics::save`] does, with how the features were computed
    /// in the comment of the archive, which other tools pass over.
    ///
    /// # Errors
    ///
    /// Fails where [`GaussianStatistics::save`] does.
    pub fn save_statistics(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        let comment = self.origin.as_ref().map(ToString::to_string);
        self.statistics
            .save_with(path.as_ref(), &comment.unwrap_or_default())
    }

    /// Reads statistics that [`save_statistics`](Self::save_statistics), or pytorch-fid, wrote.
    ///
    /// # Errors
    ///
    /// Fails where [`GaussianStatistics::load`] does.
    pub fn load_statistics(path: impl AsRef<Path>) -> Result<Self, EvalError> {
        let path = path.as_ref();
        Ok(Self {
            statistics: GaussianStatistics::load(path)?,
            pool: None,
            logits: None,
            origin: npz_comment(path)?.parse().ok(),
        })
    }
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
    let [_, size @ ..] = set.shape();
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
                    origin: Some(network.origin().with_size(Some(size))),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::inception::Preprocessing;

    #[test]
    fn statistics_keep_how_they_were_made() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("statistics.npz");
        let features = Features::new(vec![0.0, 1.0, 2.0, 0.0, 1.0, 5.0], 2).unwrap();
        for origin in [
            None,
            Some(FeatureOrigin::new(Preprocessing::PytorchFid, "abc")),
            Some(FeatureOrigin::new(Preprocessing::TorchFidelity, "abc").with_size(Some([8, 9]))),
        ] {
            let set = FeatureSet {
                statistics: GaussianStatistics::of(&features).unwrap(),
                pool: None,
                logits: None,
                origin,
            };
            set.save_statistics(&path).unwrap();
            let loaded = FeatureSet::load_statistics(&path).unwrap();
            assert_eq!(loaded.origin, set.origin);
            assert_eq!(loaded.statistics.count(), Some(3));
        }
    }
}

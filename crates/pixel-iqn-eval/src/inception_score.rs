use burn::config::Config;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::features::Features;
use crate::shuffle::Permutations;

/// How an [`inception_score`] is computed. The defaults are torch-fidelity's.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct InceptionScoreOptions {
    /// The number of splits of the set whose scores are averaged, at least 1.
    #[config(default = 10)]
    pub splits: usize,
    /// Whether the images are shuffled before they are split.
    #[config(default = true)]
    pub shuffle: bool,
    /// Seed of the shuffling, which is NumPy's.
    #[config(default = 2020)]
    pub seed: u32,
}

impl Default for InceptionScoreOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The mean and standard deviation of a score over splits of a set or over subsets.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct MeanAndStd {
    /// The mean.
    pub mean: f64,
    /// The standard deviation, without Bessel's correction.
    pub std: f64,
}

impl MeanAndStd {
    /// Computes the mean and standard deviation of `values`.
    ///
    /// # Panics
    ///
    /// Panics if there is none.
    pub fn of(values: &[f64]) -> Self {
        assert!(!values.is_empty(), "no values have no mean");
        let count = values.len() as f64;
        let mean = values.iter().sum::<f64>() / count;
        let variance = values.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / count;
        Self {
            mean,
            std: variance.sqrt(),
        }
    }
}

/// The Inception score (Salimans et al. 2016, <https://arxiv.org/abs/1606.03498>): the exponential
/// of the mean divergence from the classes of an image to those of all images. From 1 to the
/// number of classes; larger is better.
///
/// # Shapes
///
/// - `logits`: `[images, classes]`, those [without bias](crate::InceptionFeatures::logits) for
///   figures as torch-fidelity's
///
/// # Errors
///
/// [`EvalError::Option`] for no splits, [`EvalError::TooFew`] with fewer images than splits,
/// [`EvalError::NotFinite`].
pub fn inception_score(
    logits: &Features,
    options: InceptionScoreOptions,
) -> Result<MeanAndStd, EvalError> {
    let InceptionScoreOptions {
        splits,
        shuffle,
        seed,
    } = options;
    let count = logits.len();
    logits.finite()?;
    if splits == 0 {
        return Err(EvalError::Option {
            name: "splits",
            range: "at least 1",
        });
    }
    if count < splits {
        return Err(EvalError::TooFew {
            score: "the Inception score",
            least: splits,
            given: count,
            hint: ": choose fewer splits",
        });
    }
    let order = if shuffle {
        Permutations::new(seed).next(count)
    } else {
        (0..count).collect()
    };
    let scores: Vec<f64> = (0..splits)
        .map(|i| score(logits, &order[i * count / splits..(i + 1) * count / splits]))
        .collect();
    Ok(MeanAndStd::of(&scores))
}

/// The Inception score of the images at `indices`.
fn score(logits: &Features, indices: &[usize]) -> f64 {
    // Σ p (log p - log q) over classes, then the mean over images; the part with q is linear in p,
    // so that one pass over the images does.
    let mut marginal = vec![0.0; logits.dims()];
    let mut negative_entropy = 0.0;
    for &index in indices {
        let row = logits.row(index);
        let largest = row.iter().fold(f32::NEG_INFINITY, |max, x| max.max(*x));
        let shifted = row.iter().map(|x| f64::from(*x) - f64::from(largest));
        let sum: f64 = shifted.clone().map(f64::exp).sum();
        let log_sum = sum.ln();
        for (marginal, shifted) in marginal.iter_mut().zip(shifted) {
            let p = shifted.exp() / sum;
            negative_entropy += p * (shifted - log_sum);
            *marginal += p;
        }
    }
    let count = indices.len() as f64;
    let marginal_entropy: f64 = marginal
        .iter()
        .map(|sum| sum / count)
        .filter(|q| *q > 0.0)
        .map(|q| q * q.ln())
        .sum();
    (negative_entropy / count - marginal_entropy).exp()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn certain_and_varied_images_score_the_number_of_classes() {
        let sure = |class: usize| (0..4).map(move |c| if c == class { 1000.0 } else { 0.0 });
        let data: Vec<f32> = (0..40).flat_map(|i| sure(i % 4)).collect();
        let logits = Features::new(data, 4).unwrap();
        let options = InceptionScoreOptions {
            splits: 1,
            ..Default::default()
        };
        let score = inception_score(&logits, options).unwrap();
        assert!((score.mean - 4.0).abs() < 1e-12, "{score:?}");
        // In order, each split of four images has each class once.
        let options = InceptionScoreOptions {
            shuffle: false,
            ..Default::default()
        };
        let score = inception_score(&logits, options).unwrap();
        assert!((score.mean - 4.0).abs() < 1e-12 && score.std < 1e-12);
    }

    #[test]
    fn images_of_one_class_score_one() {
        let logits = Features::new([0.3, -1.0, 2.0].repeat(20), 3).unwrap();
        let score = inception_score(&logits, InceptionScoreOptions::default()).unwrap();
        assert!(
            (score.mean - 1.0).abs() < 1e-12 && score.std < 1e-12,
            "{score:?}"
        );
    }

    #[test]
    fn too_few_images_are_refused() {
        let logits = Features::new(vec![0.0; 9], 1).unwrap();
        let error = inception_score(&logits, InceptionScoreOptions::default()).unwrap_err();
        assert_eq!(
            error.to_string(),
            "the Inception score needs at least 10 images in each set, not 9: choose fewer splits"
        );
    }
}

//! Scores of generative models from the sets of images that they generate, as published.
//!
//! [FID](frechet_distance), [Inception score](inception_score()),
//! [KID](kernel_inception_distance), [precision and recall](precision_recall()) are computed over
//! features of [Inception v3](InceptionV3), by the conventions of torch-fidelity and pytorch-fid. The
//! [sliced Wasserstein distance](sliced_wasserstein()) needs no network, and the [Fréchet
//! distance](frechet_distance) takes any features. The [classification accuracy
//! score](classification_accuracy()) trains a network of its own. The scores of predicted distributions, which need
//! no samples, are in `pixel-iqn-score`.
//!
//! # Example
//!
//! The Fréchet distance over features of one's own:
//!
//! ```
//! use pixel_iqn_eval::{Features, GaussianStatistics, frechet_distance};
//!
//! let real = Features::new(vec![0.0, 1.0, 2.0, 0.0, 1.0, 5.0], 2)?;
//! let generated = Features::new(vec![1.0, 1.0, 3.0, 0.0, 2.0, 5.0], 2)?;
//! let distance = frechet_distance(
//!     &GaussianStatistics::of(&real)?,
//!     &GaussianStatistics::of(&generated)?,
//! )?;
//! assert!((distance - 1.0).abs() < 1e-12); // the same shape, one to the right
//! # Ok::<(), pixel_iqn_eval::EvalError>(())
//! ```
//!
//! # Conventions
//!
//! `generated` is torch-fidelity's `input1`, `real` its `input2`. Statistics are in double
//! precision.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod classifier;
mod error;
mod feature_origin;
mod feature_set;
mod features;
mod frechet;
mod image_sets;
mod inception;
mod inception_score;
mod kid;
mod precision_recall;
mod shuffle;
mod sliced_wasserstein;

pub use classifier::{
    Accuracy, ClassificationAccuracy, Classifier, ClassifierConfig, classification_accuracy,
};
pub use error::EvalError;
pub use feature_origin::{FeatureOrigin, UnknownOrigin};
pub use feature_set::{FeatureSet, KeptFeatures, extract};
pub use features::Features;
pub use frechet::{GaussianStatistics, frechet_distance};
pub use image_sets::{
    ImageSetEvaluation, ImageSetOptions, ImageSetScores, LeftOut, ScoreWarning, image_set_scores,
};
pub use inception::{InceptionFeatures, InceptionV3, InceptionWeights, Preprocessing};
pub use inception_score::{InceptionScoreOptions, MeanAndStd, inception_score};
pub use kid::{KidOptions, kernel_inception_distance};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use sliced_wasserstein::{LevelDistance, SlicedWassersteinOptions, sliced_wasserstein};

//! Scores of generative models of images, and of any quantile model.
//!
//! * Over sets of images, as published: [FID](frechet_distance), [Inception
//!   score](inception_score()), [KID](kernel_inception_distance), [precision and
//!   recall](precision_recall()) over [Inception v3](InceptionV3) features, by the conventions of
//!   torch-fidelity and pytorch-fid; and the [sliced Wasserstein distance](sliced_wasserstein()),
//!   which needs no network. The [Fréchet distance](frechet_distance) takes any features.
//! * Of conditional distributions, for models by quantiles and by levels on the same footing:
//!   [`conditional_scores`] has CRPS, pinball loss, skill, bits per dimension, coverage, PIT
//!   histogram, sharpness and crossings, with bootstrap intervals.
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
//! The pinball loss goes without a factor 2, the CRPS with it. `generated` is torch-fidelity's
//! `input1`, `real` its `input2`. Statistics are in double precision.

mod error;
mod features;
mod frechet;
mod image_sets;
mod inception;
mod inception_score;
mod kid;
mod precision_recall;
mod shuffle;
mod sliced_wasserstein;

pub use error::EvalError;
pub use features::Features;
pub use frechet::{GaussianStatistics, frechet_distance};
pub use image_sets::{
    FeatureSet, ImageSetOptions, ImageSetScores, Wanted, extract, image_set_scores,
};
pub use inception::{InceptionFeatures, InceptionV3, InceptionWeights, Preprocessing};
pub use inception_score::{InceptionScoreOptions, MeanAndStd, inception_score};
pub use kid::{KidOptions, kernel_inception_distance};
pub use precision_recall::{PrecisionRecall, precision_recall};
pub use sliced_wasserstein::{LevelDistance, SlicedWassersteinOptions, sliced_wasserstein};

//! This crate computes proper scores, calibration and sharpness of the distributions that a model
//! predicts for the values of images, each given the values before it.
//!
//! An autoregressive model of images is a sequence of forecasts: it predicts a distribution for a
//! value, is shown the value, and goes on to the next. This crate evaluates these forecasts as
//! weather forecasts are evaluated, with scores that are best for the true distribution, and so
//! needs neither samples nor a network that looks at them. A model by quantiles, such as
//! [`PixelIqn`](pixel_iqn_core::PixelIqn), and one by the probabilities of levels, such as
//! [`GatedPixelCnn`](pixel_iqn_core::GatedPixelCnn), are scored on the same footing. Training
//! measures its progress by this crate too, so that there is one rule for each score.
//!
//! # Example
//!
//! An untrained model on four held-out images, relative to the marginal distribution of the
//! training set:
//!
//! ```
//! use burn::tensor::Device;
//! use pixel_iqn_core::{ModelConfig, NoProgress};
//! use pixel_iqn_data::builtin;
//! use pixel_iqn_score::{ConditionalOptions, MarginalForecaster, conditional_scores};
//!
//! let device = Device::flex();
//! let train = builtin::generate(0, 0..32, 8, 3)?;
//! let held_out = builtin::generate(0, 32..36, 8, 3)?;
//! let model = ModelConfig::tiny().init_pixel_iqn(&device);
//!
//! let marginal = MarginalForecaster::of(&train);
//! let options = ConditionalOptions::new(held_out.len()).with_quantile_levels(10);
//! let scores =
//!     conditional_scores(&model, &held_out, &marginal, &options, &device, &NoProgress)?;
//!
//! println!("CRPS {:.4}, skill {}", scores.mean.crps, scores.skill_text(2));
//! assert!((scores.mean.crps - 2.0 * scores.mean.pinball).abs() < 1e-12);
//! assert!(scores.skill.unwrap() < 0.5); // it has learned nothing
//!
//! // How much would the mean differ on other images?
//! let crps = scores.estimate(|image| image.crps, 0);
//! assert!(crps.low <= crps.mean && crps.mean <= crps.high);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! Any other model takes part by implementing [`Forecaster`]. [`value_maps`] has the interval and
//! the probability integral transform of each single value, for pictures.
//!
//! # The scores
//!
//! `y` is the outcome, `F` the predicted distribution function and `Q` its quantile function. All
//! intensities are in units of their full range, `level / 255`. [`Scores`] has the means over all
//! values, [`ConditionalScores`] the rest.
//!
//! | score | definition | best |
//! |---|---|---|
//! | [pinball loss](Scores::pinball) | mean over `τ` of `(τ - 1{y < Q(τ)}) (y - Q(τ))` | low |
//! | [CRPS](Scores::crps) | `∫ (F(x) - 1{x >= y})² dx`, twice the integral of the pinball loss over `τ` | low |
//! | [skill](ConditionalScores::skill) | `1 - CRPS / CRPS of the marginal distribution` | 1 |
//! | [bits per dimension](Scores::bits_per_dim) | `-log₂` of the probability of the level, of 256 | low |
//! | [coverage](Scores::coverage_90) | fraction of `y` inside the central interval | its probability |
//! | [width](Scores::width_90) | width of the central interval: sharpness | low, if calibrated |
//! | [PIT histogram](ConditionalScores::pit_histogram) | fractions of `F(y)` in equal bins | flat |
//! | [calibration error](ConditionalScores::calibration_error) | mean distance of its cumulative sum from the diagonal | 0 |
//! | [crossing rate](Scores::crossing_rate) | fraction of neighbouring quantiles in the wrong order | 0 |
//!
//! The quantile levels `τ` are the [midpoints](pixel_iqn_loss::tau_midpoints) of equal bins of
//! [0, 1]. The pinball loss goes without a factor 2, the CRPS with it. The CRPS of a model by levels,
//! and of one by quantile functions, is exact; that of a model by quantiles is twice its mean pinball
//! loss, and approaches the integral as the quantile levels become more.
//!
//! The reference of skill is the [marginal distribution](MarginalForecaster) of each channel over
//! the training set, over 256 levels, with its exact CRPS.
//!
//! # Between the quantiles
//!
//! Pinball loss, CRPS and crossing rate are those of the quantiles as the model predicts them. Bits
//! per dimension, intervals and PIT need a whole distribution. For these the quantiles are sorted
//! and joined by straight lines, which go on to the edges of the range of intensity: half a level
//! below 0, and half a level above 1. So no level is impossible, and the probabilities of all 256
//! add up to 1. Intervals end at whole levels. A quantile function of straight lines between knots
//! has its own probabilities between the outer knots; outside of them it goes on in the same way, in
//! place of the two outer values that its samples have there. These are our choices; the first and last line cost
//! a model that is certain a little in bits, less with more quantile levels.
//!
//! # Uncertainty
//!
//! An [`Estimate`] is a mean over images with its 95% bootstrap interval, and costs nothing until
//! it is [asked for](ConditionalScores::estimate). Two models are compared by their
//! [difference](ConditionalScores::difference) on the same images, whose interval is narrower than
//! those of the two.
//!
//! # Sources
//!
//! * T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA
//!   102, 2007: the CRPS and skill scores.
//! * T. Gneiting, F. Balabdaoui, A. Raftery, "Probabilistic Forecasts, Calibration and Sharpness",
//!   JRSS B 69, 2007: calibration before sharpness, and the PIT histogram.
//! * C. Czado, T. Gneiting, L. Held, "Predictive Model Assessment for Count Data", Biometrics 65,
//!   2009: the PIT of discrete outcomes.
//! * V. Chernozhukov, I. Fernández-Val, A. Galichon, "Quantile and Probability Curves Without
//!   Crossing", Econometrica 78, 2010: sorted quantiles.
//! * B. Efron, "Bootstrap Methods: Another Look at the Jackknife", Annals of Statistics 7, 1979.

mod completion;
mod conditional;
mod distribution;
mod error;
mod estimate;
mod forecast;
mod scores;

pub use completion::CompletionScores;
pub use conditional::{
    ConditionalOptions, ConditionalScores, NO_SKILL, PIT_BINS, ValueMaps, conditional_scores,
    skill_text, value_maps,
};
pub use error::ScoreError;
pub use estimate::Estimate;
pub use forecast::{ForecastOptions, Forecaster, Forecasts, MarginalForecaster};
pub use scores::Scores;

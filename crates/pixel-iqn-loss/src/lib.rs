//! This crate provides quantile losses, the quantile divergence and proper scores, on [Burn](burn)
//! tensors and on plain numbers.
//!
//! A quantile regression model predicts, for a quantile level `tau` in `[0, 1]`, the value that its
//! target stays below with probability `tau`. Trained on the [pinball loss](pinball()) at every
//! level at once, it learns the whole distribution, with no density, no likelihood and no
//! adversary: an implicit quantile network. The same loss evaluates such a model: averaged over the
//! levels it is half the continuous ranked probability score, and in expectation it is the
//! [quantile divergence](quantile_divergence) from the data to the model plus a constant of the
//! data. Nothing in this crate knows about images; any quantile regression can use it.
//!
//! # Fitting a quantile
//!
//! The 0.9 quantile of evenly spread values in `[0, 1]` is 0.9. A "network" of one parameter finds
//! it by plain gradient descent:
//!
//! ```
//! use burn::module::{Module, Param};
//! use burn::nn::loss::Reduction;
//! use burn::optim::{GradientsParams, SgdConfig};
//! use burn::tensor::{Device, Tensor};
//! use pixel_iqn_loss::{PinballLoss, tau_midpoints};
//!
//! #[derive(Module, Debug)]
//! struct Constant {
//!     value: Param<Tensor<1>>,
//! }
//!
//! fn main() {
//!     let device = Device::flex().autodiff();
//!     let data = Tensor::<1>::from_data(tau_midpoints(1000).as_slice(), &device);
//!     let tau = Tensor::<1>::from_floats([0.9], &device);
//!     let mut model = Constant { value: Param::from_tensor(Tensor::zeros([1], &device)) };
//!     let mut optimizer = SgdConfig::new().init();
//!
//!     for _ in 0..50 {
//!         // One prediction and one level, broadcast over the thousand targets.
//!         let prediction = model.value.val();
//!         let (target, tau) = (data.clone(), tau.clone());
//!         let loss = PinballLoss::new().forward(prediction, target, tau, Reduction::Mean);
//!         let gradients = GradientsParams::from_grads(loss.backward(), &model);
//!         model = optimizer.step(0.5, model, gradients);
//!     }
//!
//!     let fitted = model.value.val().into_scalar::<f32>();
//!     assert!((fitted - 0.9).abs() < 1e-2);
//! }
//! ```
//!
//! # Evaluating quantiles
//!
//! A forecast is often a few quantiles, here those at the levels 0.1, 0.5 and 0.9 for two targets.
//! The outer two are the ends of an interval that should cover a target with probability 0.8:
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pixel_iqn_loss::{coverage, crossing_rate, crps, interval_score, pinball};
//!
//! let device = Device::flex();
//! let levels = [0.1, 0.5, 0.9];
//! // [targets, levels] and [targets, 1]
//! let quantiles = Tensor::<2>::from_floats([[0.2, 0.5, 0.9], [0.1, 0.4, 0.3]], &device);
//! let target = Tensor::<2>::from_floats([[0.6], [0.5]], &device);
//! let [lower, upper] = [0, 2].map(|level| quantiles.clone().narrow(1, level, 1));
//!
//! // The loss to train on, of each quantile.
//! let tau = Tensor::<1>::from_floats(levels, &device).unsqueeze::<2>();
//! let loss = pinball(quantiles.clone(), target.clone(), tau);
//! assert_eq!(loss.dims(), [2, 3]);
//!
//! // The second target is above its interval, and the second forecast has a crossing: 0.4 > 0.3.
//! let covered = coverage(lower.clone(), upper.clone(), target.clone());
//! assert_eq!(covered.into_scalar::<f32>(), 0.5);
//! assert_eq!(crossing_rate(quantiles.clone(), 1).into_scalar::<f32>(), 0.25);
//!
//! // Width, and 2 / 0.2 times the distance of a target outside: 0.7 and 0.2 + 10 * 0.2.
//! let score = interval_score(lower, upper, target.clone(), 0.2);
//! assert!((score.mean().into_scalar::<f32>() - 1.45).abs() < 1e-5);
//!
//! // One score for the whole distribution, of each target.
//! let score = crps(quantiles, target, &levels, 1);
//! assert_eq!(score.dims(), [2, 1]);
//! assert!((score.mean().into_scalar::<f32>() - 0.127).abs() < 1e-5);
//! ```
//!
//! # Functions
//!
//! These losses train a model:
//!
//! | loss | |
//! |---|---|
//! | [`pinball()`], [`PinballLoss`] | the quantile regression loss |
//! | [`quantile_huber()`], [`QuantileHuberLoss`] | the pinball loss, rounded off within `kappa` of zero |
//! | [`QuantileFunctions::crps`] | the CRPS of whole quantile functions, exactly: no tau is drawn |
//!
//! [`censor`] makes them losses of a prediction that is clamped to the range of its target, such as
//! demand, which is never below 0.
//!
//! [`MonotoneHead`] turns the features of any network into [`QuantileFunctions`], which never cross
//! and give quantiles, probabilities, scores and samples. [`QuantileFunction`] is one of them on
//! plain numbers.
//!
//! These scores evaluate one:
//!
//! | score | on | what it compares or counts |
//! |---|---|---|
//! | [`quantile_divergence`] | functions | two distributions given by their quantile functions |
//! | [`quantile_divergence_from_samples`] | slices | two sets of samples |
//! | [`crps()`] | tensors | quantiles at fixed levels, outcomes |
//! | [`crps_from_quantiles`] | tensors | quantiles at midpoints or random levels, outcomes |
//! | [`crps_from_samples`], [`crps_from_samples_fair`] | slices | samples of a forecast, an outcome |
//! | [`QuantileFunctions::crps`], [`QuantileFunction::crps`] | tensors, numbers | quantile functions of straight lines, outcomes |
//! | [`energy_score_fair`] | slices | samples of a forecast of a vector, an outcome |
//! | [`crps_categorical`] | tensors | probabilities of numbers, outcomes |
//! | [`interval_score`] | tensors | prediction intervals, outcomes |
//! | [`coverage`] | tensors | outcomes inside their prediction intervals |
//! | [`crossing_rate`] | tensors | neighbouring quantiles in the wrong order |
//! | [`skill_score`] | numbers | a score relative to that of a reference |
//!
//! [`tau_midpoints`] makes the grid of quantile levels that [`crps_from_quantiles`] expects. Scores
//! on tensors have gradients and take large batches; slices of `f64` are for the exact numbers of a
//! report.
//!
//! # Conventions
//!
//! * The residual is `u = target - prediction`; a level `tau` weighs the residuals of predictions
//!   that are too low, so `tau = 0.9` makes the model predict high.
//! * The pinball loss goes *without* a factor 2 and the continuous ranked probability score (CRPS)
//!   *with* it, so that the score of a certain forecast is the absolute error:
//!   `CRPS = 2 ∫₀¹ pinball dτ`.
//! * Losses and scores are negatively oriented, smaller is better, and have the unit of the
//!   target; [`coverage`], [`crossing_rate`] and [`skill_score`] have no unit.
//! * A tensor argument broadcasts along its axes of size 1; ranks must agree.
//! * A mistake of the caller, such as sizes that do not fit, panics with the sizes in the message.
//!   Values on a device are not checked, since reading them back would stall it.
//!
//! The crate reads no file, no clock and starts no thread of its own, so it builds for
//! `wasm32-unknown-unknown`. It needs no particular backend: choose one by a feature of `burn`.
//!
//! # Crate features
//!
//! - `burn` (default): what computes on tensors. Without it the functions of plain numbers and slices remain,
//!   with [`Knots`] and [`QuantileFunction`], and the crate depends on nothing.
//!
//! # Sources
//!
//! * R. Koenker, G. Bassett, "Regression Quantiles", Econometrica 46, 1978: the pinball loss.
//! * W. Dabney, M. Rowland, M. Bellemare, R. Munos, "Distributional Reinforcement Learning with
//!   Quantile Regression", AAAI 2018, [arXiv:1710.10044](https://arxiv.org/abs/1710.10044): the
//!   quantile Huber loss.
//! * W. Dabney, G. Ostrovski, D. Silver, R. Munos, "Implicit Quantile Networks for Distributional
//!   Reinforcement Learning", ICML 2018, [arXiv:1806.06923](https://arxiv.org/abs/1806.06923): its
//!   division by `kappa`, and levels drawn at random.
//! * G. Ostrovski, W. Dabney, R. Munos, "Autoregressive Quantile Networks for Generative Modeling",
//!   ICML 2018, [arXiv:1806.05575](https://arxiv.org/abs/1806.05575): the quantile divergence.
//! * J. Powell, "Censored Regression Quantiles", Journal of Econometrics 32, 1986: the loss of
//!   clamped quantiles.
//! * T. Gneiting, R. Ranjan, "Comparing Density Forecasts Using Threshold- and Quantile-Weighted
//!   Scoring Rules", Journal of Business & Economic Statistics 29, 2011: the threshold-weighted CRPS.
//! * Y. Park, D. Maddix, F.-X. Aubet, K. Kan, J. Gasthaus, Y. Wang, "Learning Quantile Functions
//!   without Quantile Crossing for Distribution-free Time Series Forecasting", AISTATS 2022,
//!   [arXiv:2111.06581](https://arxiv.org/abs/2111.06581): quantile functions by increments.
//! * T. Gneiting, A. Raftery, "Strictly Proper Scoring Rules, Prediction, and Estimation", JASA
//!   102, 2007: the CRPS, the interval score and skill scores.

#[cfg(all(doctest, feature = "burn"))]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "burn")]
mod broadcast;
#[cfg(feature = "burn")]
mod censoring;
#[cfg(feature = "burn")]
mod crossing;
#[cfg(feature = "burn")]
mod crps;
mod crps_of_samples;
mod divergence;
mod energy_score;
#[cfg(feature = "burn")]
mod interval;
mod knots;
#[cfg(feature = "burn")]
mod monotone_head;
#[cfg(feature = "burn")]
mod pinball;
mod quantile_function;
#[cfg(feature = "burn")]
mod quantile_functions;
#[cfg(feature = "burn")]
mod quantile_huber;
#[cfg(feature = "burn")]
mod quantile_network;
#[cfg(feature = "burn")]
mod reduction;
mod skill;
mod tau;

#[cfg(feature = "burn")]
pub use censoring::{Censoring, censor};
#[cfg(feature = "burn")]
pub use crossing::crossing_rate;
#[cfg(feature = "burn")]
pub use crps::{crps, crps_categorical, crps_from_quantiles};
pub use crps_of_samples::{crps_from_samples, crps_from_samples_fair};
pub use divergence::{quantile_divergence, quantile_divergence_from_samples};
pub use energy_score::energy_score_fair;
#[cfg(feature = "burn")]
pub use interval::{coverage, interval_score};
pub use knots::{Knots, KnotsError};
#[cfg(feature = "burn")]
pub use monotone_head::{MonotoneHead, MonotoneHeadConfig, increments_of_uniform};
#[cfg(feature = "burn")]
pub use pinball::{PinballLoss, pinball};
pub use quantile_function::{QuantileFunction, quantile_of_increments, values_of_increments};
#[cfg(feature = "burn")]
pub use quantile_functions::QuantileFunctions;
#[cfg(feature = "burn")]
pub use quantile_huber::{QuantileHuberLoss, QuantileHuberLossConfig, quantile_huber};
#[cfg(feature = "burn")]
pub use quantile_network::QuantileNetwork;
pub use skill::skill_score;
pub use tau::tau_midpoints;

#[cfg(all(test, feature = "burn"))]
mod testing;

//! This crate implements PixelIQN and Gated PixelCNN on [Burn](https://burn.dev), for any of its
//! backends.
//!
//! An autoregressive implicit quantile network (Ostrovski, Dabney and Munos,
//! [ICML 2018](https://arxiv.org/abs/1806.05575)) learns, for every value of an image, the
//! quantile function given the values before it. Feed it uniform noise and it returns a sample.
//!
//! ```
//! use burn::tensor::{Device, Tensor};
//! use pixel_iqn_core::{ModelConfig, NaiveSampler, NoProgress, SampleOptions, Sampler};
//!
//! let device = Device::flex();
//! let model = ModelConfig::tiny().with_channels(1).init_pixel_iqn(&device);
//!
//! // The median of each value given those before it ...
//! let images = Tensor::zeros([2, 1, 4, 4], &device);
//! let medians = model.forward(images, Tensor::full([2, 1, 4, 4], 0.5, &device), None);
//! assert_eq!(medians.dims(), [2, 1, 4, 4]);
//!
//! // ... and two samples.
//! let sampler = NaiveSampler::new(model, &device);
//! let options = SampleOptions::new(2, [4, 4], 0);
//! for batch in options.batches(sampler.config())? {
//!     let images = sampler.sample(&batch, &NoProgress)?;
//!     assert_eq!(images.len(), 2 * 1 * 4 * 4);
//! }
//! # Ok::<(), pixel_iqn_core::SampleError>(())
//! ```
//!
//! # Conventions
//!
//! Images enter and leave as `[batch, channels, height, width]` in [0, 1]. Inside, feature maps are
//! `[batch, height, width, features]`, with the features in contiguous groups, one per image
//! channel: group `c` of a pixel reads the channels before `c` of that pixel, and every channel of
//! the earlier pixels in raster order. A model of several generation [orders](Order) turns the image
//! before and after, and is told which order it is.
//!
//! `tau` is the quantile level of a value, in (0, 1), and `phi` is its embedding.
//!
//! A [`Lowering`] says how convolutions become operations of a backend. The rest of the crate knows
//! no backend, and uses no files, clocks or threads.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod any_model;
mod config;
mod config_error;
mod conv;
mod draw;
mod flops;
mod gated_layer;
mod gated_pixel_cnn;
mod label;
mod lower;
mod mask;
mod model;
mod noise;
mod order;
mod output;
pub mod parity;
mod pixel_iqn;
mod pointwise;
mod progress;
mod sample;
mod tau;
mod tau_head;
mod tau_placement;
mod trunk;
pub mod weights;

pub use any_model::AnyModel;
pub use config::ModelConfig;
pub use config_error::ConfigError;
pub use conv::{HorizontalConv, HorizontalConvConfig, VerticalConv, VerticalConvConfig};
pub use gated_layer::{Conditions, GatedLayer};
pub use gated_pixel_cnn::{CategoricalOutput, GatedPixelCnn};
pub use label::{LabelEmbedding, LabelEmbeddingConfig};
pub use lower::Lowering;
pub use model::PixelModel;
pub use noise::Noise;
pub use order::Order;
pub use output::Output;
pub use pixel_iqn::{GatesOutput, HeadOutput, MonotoneOutput, PixelIqn, QuantileOutput};
pub use pixel_iqn_loss::Knots;
pub use pointwise::{
    GroupedPointwise, GroupedPointwiseConfig, MaskedPointwise, Pointwise, PointwiseConfig,
};
pub use progress::{
    Cancelled, FinishedRow, NoProgress, PartProgress, Progress, RowProgress, report,
};
pub use sample::{
    IncrementalSampler, KnownValues, Labels, NaiveSampler, SampleBatch, SampleError, SampleOptions,
    Sampler, TauSource,
};
pub use tau::{TauEmbedding, TauEmbeddingConfig, TauLinear, TauProjection, TauProjectionConfig};
pub use tau_head::TauHeadBlock;
pub use tau_placement::TauPlacement;
pub use trunk::Trunk;

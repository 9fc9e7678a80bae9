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
//!
//! # Crate features
//!
//! - `burn` (default): the networks. Without it there are [`ModelConfig`], [`Order`], [`Noise`], the options
//!   and batches of sampling and [`weights`] by their names, which is all that a sampler without tensors
//!   needs.
//! - `flex`: operations with hand-written gradients on Burn's Flex backend.
//! - `wgpu`, `cuda`: the same on GPUs, and a kernel for sampling. `cube` is the part that both share.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(all(feature = "cube", not(any(feature = "cuda", feature = "wgpu"))))]
compile_error!(
    "the feature `cube` of pixel-iqn-core comes with `cuda` or `wgpu`: turn on one of them"
);

/// The examples of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

#[cfg(feature = "burn")]
mod any_model;
mod config;
mod config_error;
#[cfg(feature = "burn")]
mod conv;
#[cfg(feature = "burn")]
mod draw;
#[cfg(feature = "burn")]
mod flops;
#[cfg(feature = "burn")]
mod gated_layer;
#[cfg(feature = "burn")]
mod gated_pixel_cnn;
#[cfg(feature = "burn")]
mod label;
#[cfg(feature = "burn")]
mod lower;
#[cfg(feature = "burn")]
mod mask;
#[cfg(feature = "burn")]
mod model;
mod noise;
mod order;
#[cfg(feature = "burn")]
mod order_of_tensors;
mod output;
#[cfg(feature = "burn")]
pub mod parity;
#[cfg(feature = "burn")]
mod pixel_iqn;
#[cfg(feature = "burn")]
mod pointwise;
mod progress;
#[cfg(feature = "burn")]
mod same_convolution;
mod sample;
#[cfg(feature = "burn")]
mod tau;
#[cfg(feature = "burn")]
mod tau_head;
#[cfg(feature = "burn")]
mod tau_placement;
#[cfg(feature = "burn")]
mod trunk;
pub mod weights;

#[cfg(feature = "burn")]
pub use any_model::AnyModel;
pub use config::ModelConfig;
pub use config_error::ConfigError;
#[cfg(feature = "burn")]
pub use conv::{HorizontalConv, HorizontalConvConfig, VerticalConv, VerticalConvConfig};
#[cfg(feature = "burn")]
pub use gated_layer::{Conditions, GatedLayer};
#[cfg(feature = "burn")]
pub use gated_pixel_cnn::{CategoricalOutput, GatedPixelCnn};
#[cfg(feature = "burn")]
pub use label::{LabelEmbedding, LabelEmbeddingConfig};
#[cfg(feature = "burn")]
pub use lower::Lowering;
#[cfg(feature = "burn")]
pub use model::PixelModel;
pub use noise::Noise;
pub use order::Order;
pub use output::Output;
#[cfg(feature = "burn")]
pub use pixel_iqn::{GatesOutput, HeadOutput, MonotoneOutput, PixelIqn, QuantileOutput};
pub use pixel_iqn_loss::Knots;
#[cfg(feature = "burn")]
pub use pointwise::{
    GroupedPointwise, GroupedPointwiseConfig, MaskedPointwise, Pointwise, PointwiseConfig,
};
pub use progress::{
    Cancelled, FinishedRow, NoProgress, PartProgress, Progress, RowProgress, report,
    without_unconditional,
};
#[cfg(feature = "burn")]
pub use same_convolution::same_convolution;
#[cfg(feature = "burn")]
pub use sample::{IncrementalSampler, NaiveSampler};
pub use sample::{
    KnownValues, Labels, SampleBatch, SampleError, SampleOptions, Sampler, TauSource,
};
#[cfg(feature = "burn")]
pub use tau::{TauEmbedding, TauEmbeddingConfig, TauLinear, TauProjection, TauProjectionConfig};
#[cfg(feature = "burn")]
pub use tau_head::TauHeadBlock;
#[cfg(feature = "burn")]
pub use tau_placement::TauPlacement;
#[cfg(feature = "burn")]
pub use trunk::Trunk;

//! Autoregressive implicit quantile networks for images (PixelIQN) and Gated PixelCNN in pure Rust
//! on [Burn](https://burn.dev).
//!
//! A PixelIQN learns, for every value of an image, the quantile function given the values before
//! it, by quantile regression alone. Fed with uniform noise it draws images; fed with the upper
//! half of one it draws the rest (Ostrovski, Dabney and Munos,
//! [ICML 2018](https://arxiv.org/abs/1806.05575)).
//!
//! Train on a folder of images, draw from the result, and complete an image with a hole in it:
//!
//! ```standalone_crate
//! use pixel_iqn::Model;
//! use pixel_iqn::data::{ImageDataset, Mask};
//!
//! # use pixel_iqn::data::{ImageGrid, builtin};
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! # let folder = tempfile::tempdir()?;
//! # std::env::set_current_dir(&folder)?;
//! # let pictures = builtin::generate(0, 0..21, 16, 3)?;
//! # let save = |index, path: &str| {
//! #     ImageGrid::new(pictures.image(index), [1, 3, 16, 16])?.save(path)
//! # };
//! # for class in ["photos/cat", "photos/dog"] {
//! #     std::fs::create_dir_all(class)?;
//! # }
//! # for index in 0..20 {
//! #     save(index, &format!("photos/{}/{index}.png", ["cat", "dog"][index % 2]))?;
//! # }
//! # save(20, "broken.png")?;
//! # ImageGrid::new(&[[0; 128], [255; 128]].concat(), [1, 1, 16, 16])?.save("mask.png")?;
//! let images = ImageDataset::from_folder("photos", 16)?;
//! let run = pixel_iqn::train(images)
//!     .preset("tiny")
//!     .class_conditional(true)
//!     .steps(3)
//!     .device("cpu")
//!     .run_dir("runs/photos")
//!     .start()?;
//! println!("skill {:?}", run.scores().and_then(|scores| scores.skill));
//!
//! let model = Model::open("runs/photos", "cpu")?;
//! model.sample(4).seed(1).labels("cat").run()?.save_grid("samples.png")?;
//!
//! let broken = ImageDataset::from_files(["broken.png"], 16)?;
//! let mask = Mask::from_png("mask.png")?; // white is missing
//! model.inpaint(&broken, &mask).labels("dog").completions(4).run()?.save_grid("filled.png")?;
//! # assert!(["samples.png", "filled.png"].iter().all(|file| std::fs::exists(file).unwrap()));
//! # std::env::set_current_dir("/")?;
//! # Ok(())
//! # }
//! ```
//!
//! # Layers
//!
//! [`Model`], [`Run`] and [`Training`] do what most programs want. They stand on public layers, each
//! a crate that can be used alone:
//!
//! - [`core`]: the networks ([`PixelIqn`], [`GatedPixelCnn`], and [`AnyModel`] for either), their
//!   layers and samplers;
//! - [`train`](mod@train): a step ([`Trainer`]), a whole run ([`Session`]), run folders;
//! - [`score`]: proper scores of predicted distributions (scores over sets of images, FID and others,
//!   are in the crate `pixel-iqn-eval`);
//! - [`loss`]: quantile losses and CRPS; [`data`]: data sets, batches, image grids, masks;
//! - [`burn`], the framework below all of them.
//!
//! A training loop of one's own, of three steps on the built-in pictures:
//!
//! ```
//! use std::sync::Arc;
//!
//! use pixel_iqn::core::NoProgress;
//! use pixel_iqn::data::{Loader, LoaderConfig, builtin};
//! use pixel_iqn::{ModelConfig, PixelIqn, SampleOptions, TrainConfig, Trainer};
//!
//! let device = pixel_iqn::device("cpu")?; // or "cuda", with the feature of that name
//! let images = Arc::new(builtin::generate(0, 0..100, 6, 3)?);
//! let mut trainer =
//!     Trainer::<PixelIqn>::new(&ModelConfig::tiny(), TrainConfig::new(3, 8), &device)?;
//! for batch in Loader::new(images, LoaderConfig::new(8), device.clone(), 0)?.take(3) {
//!     println!("{:?}", trainer.step(&batch)?);
//! }
//!
//! let sampler = pixel_iqn::sampler(trainer.averaged().clone(), &device);
//! let options = SampleOptions::new(2, [6, 6], 0);
//! let levels = pixel_iqn::train::sample_levels(&*sampler, &options, &NoProgress)?;
//! assert_eq!(levels.len(), 2 * 3 * 6 * 6);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Crate features
//!
//! - `cpu` (on by default): the device `cpu`, Burn's Flex backend.
//! - `ndarray`: the device `ndarray`, Burn's older CPU backend.
//! - `wgpu`: the device `wgpu`, any GPU by the graphics API of the system.
//! - `vulkan`: the device `vulkan`.
//! - `cuda`: the device `cuda`, NVIDIA GPUs.
//! - `wgpu-tuned`, `cuda-tuned`: the same devices with fused operations, and with the fastest kernel of
//!   each kind by measuring several.
//! - `remote`: devices of other machines in a training, and serving those of this one.
//! - `download` (on by default): downloads of the official data sets and of shipped models.
//! - `dashboard` (on by default): Burn's dashboard while a session trains on a terminal.
//! - `terminal` (on by default): the module `terminal`, with progress bars, Ctrl-C and images on
//!   terminals.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

pub use burn;
pub use pixel_iqn_core as core;
pub use pixel_iqn_data as data;
pub use pixel_iqn_loss as loss;
pub use pixel_iqn_score as score;
pub use pixel_iqn_train as train;

/// The examples of the repository's README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../../../README.md")]
struct Readme;

/// The example of the page on the registry, as a doctest.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct CrateReadme;

/// The examples of the book, as doctests.
#[cfg(doctest)]
mod book {
    #[doc = include_str!("../../../docs/train-and-sample.md")]
    struct TrainAndSample;

    #[doc = include_str!("../../../docs/training.md")]
    struct LongTraining;

    #[doc = include_str!("../../../docs/compare.md")]
    struct Compare;

    #[doc = include_str!("../../../docs/tables.md")]
    struct Tables;

    #[doc = include_str!("../../../docs/own-code.md")]
    struct OwnCode;

    #[doc = include_str!("../../../docs/devices.md")]
    struct Devices;

    #[doc = include_str!("../../../docs/from-pytorch.md")]
    struct FromPytorch;
}

mod classes;
mod device;
mod error;
mod images;
mod inpainting;
mod model;
mod pretrained;
mod remote;
mod run;
mod sample_files;
mod sampler;
mod sampling;
mod saved;
#[cfg(feature = "terminal")]
pub mod terminal;
mod training;
mod training_checks;
mod training_images;
mod watcher;

pub use classes::Classes;
pub use device::{DEFAULT_DEVICE, DeviceDefaults, DeviceError, device, device_defaults, devices};
pub use error::Error;
pub use images::Images;
pub use inpainting::{Completions, Inpainting, InpaintingScores};
pub use model::{Model, expect_weights};
pub use pixel_iqn_core::{
    AnyModel, GatedPixelCnn, Labels, ModelConfig, NaiveSampler, Order, Output, PixelIqn,
    PixelModel, SampleOptions, Sampler, TauSource,
};
#[cfg(feature = "cpu")]
pub use pixel_iqn_cpu::keep_freed_memory;
pub use pixel_iqn_data::{DatasetKind, ImageBatch, ImageDataset};
pub use pixel_iqn_train::{
    RunConfig, RunDir, RunOverrides, Session, TrainConfig, TrainModel, Trainer,
};
pub use remote::serve_device;
pub use run::Run;
pub use sampler::sampler;
pub use sampling::Sampling;
pub use saved::Saved;
pub use training::{Training, train, train_on};
pub use training_images::TrainingImages;
pub use watcher::Watcher;

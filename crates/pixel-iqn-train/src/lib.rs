//! This crate trains [PixelIQN and Gated PixelCNN](pixel_iqn_core): it has the optimizer's step, the
//! average of the weights, measurements on held-out images, and the folder that holds a run.
//!
//! A [`Trainer`] makes one step at a time:
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::tensor::Device;
//! use pixel_iqn_core::{ModelConfig, PixelIqn};
//! use pixel_iqn_data::{Loader, LoaderConfig, builtin};
//! use pixel_iqn_train::{TrainConfig, Trainer};
//!
//! let device = Device::flex();
//! let images = Arc::new(builtin::generate(0, 0..64, 8, 3)?);
//! let config = TrainConfig::new(3, 8);
//! let loader = Loader::new(images, LoaderConfig::new(config.batch), device.clone(), 0)?;
//! let steps = config.steps;
//! let mut trainer = Trainer::<PixelIqn>::new(&ModelConfig::tiny(), config, &device)?;
//! for batch in loader.take(steps) {
//!     let report = trainer.step(&batch)?;
//!     println!("step {}: loss {}", report.step, report.loss);
//! }
//! let model = trainer.averaged();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! A [`Session`] is a whole run: it measures, writes checkpoints, draws, and resumes exactly. A
//! program merges what it was given into the session's config with [`RunConfig::resolve`].
//!
//! ```
//! # use std::sync::Arc;
//! # use burn::tensor::Device;
//! # use pixel_iqn_core::{ModelConfig, PixelIqn};
//! # use pixel_iqn_data::builtin;
//! use pixel_iqn_train::{DataConfig, ResumeFrom, RunConfig, RunDir, Session, TrainConfig};
//!
//! # let folder = tempfile::tempdir()?;
//! # let folder = folder.path();
//! let devices = [Device::flex()];
//! let train = Arc::new(builtin::generate(0, 0..64, 8, 3)?);
//! let held_out = Arc::new(builtin::generate(0, 64..72, 8, 3)?);
//! let data = DataConfig::new("builtin", &train, &held_out);
//! let config = RunConfig::new(data, ModelConfig::tiny(), TrainConfig::new(4, 8));
//!
//! let run = RunDir::create(folder)?;
//! let session = Session::<PixelIqn>::start(run, config, train.clone(), held_out.clone(), &devices)?;
//! session.train()?;
//!
//! // In another process, after this one was killed:
//! let (run, config) = RunDir::open(folder)?;
//! let from = ResumeFrom::Last;
//! let session = Session::<PixelIqn>::resume(run, config, train, held_out, &devices, from)?;
//! assert_eq!(session.steps_done(), 4);
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # Crate features
//!
//! - `dashboard` (default): Burn's dashboard on a terminal.
//! - `wgpu`, `cuda`: kernels of our own for steps on GPUs. `cube` is the part that both share.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

/// The examples of the README, as doctests.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

mod answer;
mod batcher;
mod best;
mod checkpoint;
mod checkpoint_config;
mod checkpoints;
mod clip;
mod config;
mod config_file;
mod counters;
mod data_config;
mod display;
mod drawing;
mod ema;
mod error;
#[cfg(feature = "cube")]
mod gpu;
mod gradient_check;
mod history;
mod home;
mod manifest;
mod metrics;
mod metrics_log;
mod objective;
mod optimizer;
pub mod plot;
mod product_rate;
mod report_config;
mod resolve;
mod run_config;
mod run_dir;
mod run_overrides;
mod samples;
mod schedule;
mod session;
mod settings;
mod signals;
mod state;
mod step_batches;
mod step_threads;
mod sums;
mod tensorboard;
mod terminal;
mod train_batch;
mod trainer;
mod workers;

pub use answer::within;
pub use batcher::TrainBatcher;
pub use best::Best;
pub use burn::train::Interrupter;
pub use checkpoint::Checkpoint;
pub use checkpoint_config::CheckpointConfig;
pub use checkpoints::Checkpoints;
pub use config::{OptimizerKind, Precision, Schedule, TrainConfig};
pub use config_file::ConfigFile;
pub use counters::Counters;
pub use data_config::{DataConfig, Drawn};
pub use display::Display;
pub use drawing::Drawing;
pub use ema::Ema;
pub use error::{RunError, SettingsError, TrainError, with_causes};
pub use gradient_check::{check_gradients, compare_lowerings};
pub use history::History;
pub use manifest::Manifest;
pub use metrics::{HeldOutScores, Metrics, QUANTILE_LEVELS, StepReport};
pub use objective::{Objective, QuantileLoss, StepOutput, TrainModel};
pub use product_rate::product_rate;
pub use report_config::ReportConfig;
pub use run_config::RunConfig;
pub use run_dir::{RunDir, Weights};
pub use run_overrides::RunOverrides;
pub use samples::{grid_columns, sample_batches, sample_levels, save_samples};
pub use schedule::learning_rate;
pub use session::{End, Finished, ResumeFrom, Session};
pub use signals::{signal_exit_code, stop_on_signals, survive_file_size_limits};
pub use train_batch::TrainBatch;
pub use trainer::Trainer;

//! This crate provides image data for autoregressive models: it reads or draws images, checks them,
//! and gives them to [Burn](burn) in shuffled batches.
//!
//! Every source gives the same type, [`ImageDataset`], which keeps 8-bit levels in memory. Images
//! become a float tensor `[B, C, H, W]` with values in `[0, 1]` only as a batch.
//!
//! # From data to batches
//!
//! The [`builtin`] set is drawn by this crate, so this example runs anywhere.
//! [`ImageDataset::from_folder`] reads images of your own instead.
//!
//! ```
//! use std::sync::Arc;
//!
//! use burn::tensor::Device;
//! use pixel_iqn_data::{DatasetKind, Loader, LoaderConfig, OpenOptions, open};
//!
//! let options = OpenOptions::new().with_size(16).with_count(100);
//! let splits = open(DatasetKind::Builtin, None, &options)?;
//! println!("{}", splits.description);
//!
//! // Endless shuffled batches for training, prepared in a thread; the last argument is the step
//! // to resume from.
//! let config = LoaderConfig::new(8).with_flip(true);
//! let device = Device::flex();
//! let loader = Loader::new(Arc::new(splits.train), config, device.clone(), 0)?;
//! for batch in loader.take(3) {
//!     assert_eq!(batch.images.dims(), [8, 3, 16, 16]);
//! }
//!
//! // Every held-out image once, in order, for evaluation.
//! let visited: usize = splits.held_out.batches(4, &device).map(|b| b.indices.len()).sum();
//! assert_eq!(visited, 10);
//! # Ok::<(), pixel_iqn_data::DataError>(())
//! ```
//!
//! # Looking at images
//!
//! Samples of a model are tensors too; [`to_levels`] and [`ImageGrid`] turn them into a picture:
//!
//! ```
//! use burn::tensor::Device;
//! use pixel_iqn_data::{ImageGrid, builtin, to_levels};
//!
//! let set = builtin::generate(0, 0..6, 32, 3)?;
//! let batch = set.batch(&[0, 1, 2, 3, 4, 5], None, &Device::flex());
//! let levels = to_levels(batch.images)?;
//! # let folder = tempfile::tempdir().unwrap();
//! # let path = folder.path().join("grid.png");
//! // Three columns, every pixel twice as wide and high.
//! ImageGrid::new(&levels, [6, 3, 32, 32])?
//!     .with_columns(3)
//!     .with_scale(2)
//!     .save(&path)?;
//! # Ok::<(), pixel_iqn_data::DataError>(())
//! ```
//!
//! # Damaged files
//!
//! A reader returns the whole set, or a [`DataError`] that names the file, the place in it and what
//! belongs there. It never panics, and a header that lies about a length costs no memory. Official
//! files are verified against their published MD5 checksums.
//!
//! # Crate features
//!
//! - `download` (on by default): the `download` function, which fetches CIFAR-10 and MNIST over
//!   HTTPS.

// The pages of docs.rs say which feature an item needs.
#![cfg_attr(docsrs, feature(doc_cfg))]

#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

pub mod builtin;
pub mod cifar10;
mod cifar10_files;
mod claim;
pub mod folder;
mod folder_files;
pub mod idx;
pub mod imagenet32;
mod imagenet32_batches;
pub mod mnist;

mod atomic;
mod batch;
mod checksum;
mod content;
mod convert;
mod dataset;
#[cfg(feature = "download")]
mod download;
mod error;
mod image_file;
mod image_grid;
mod jpeg;
mod jpeg_bits;
mod jpeg_scan;
mod kind;
mod levels;
mod listing;
mod loader;
mod mask;
mod memory;
mod mnist_files;
mod mnist_origin;
mod natural;
mod npy;
mod npz;
mod npz_writer;
mod open;
mod png_folder;
mod printing;
mod region;
mod rng;
mod sizes;
mod subset;
#[cfg(test)]
mod testing;
mod unpack;
mod zip_images;

pub use atomic::{remove_leftovers, sync_folder_of, write_atomically};
pub use batch::ImageBatch;
pub use checksum::{Checksum, md5, sha256};
pub use claim::Claim;
pub use content::{cut_off_archive, known_content};
pub use dataset::ImageDataset;
#[cfg(feature = "download")]
pub use download::{download, fetch};
pub use error::{DataError, Result};
pub use image_grid::ImageGrid;
pub use kind::{DatasetKind, UnknownKind};
pub use levels::{levels_of, to_level, to_levels};
pub use loader::{Loader, LoaderConfig};
pub use mask::Mask;
pub use memory::check_memory;
pub use npz::{NpzArray, array_names, npz_comment, read_npz, write_npz, write_npz_with_comment};
pub use npz_writer::NpzWriter;
pub use open::{OpenOptions, Splits, open};
pub use png_folder::{FolderContent, PngFolder};
pub use printing::{can_redraw, print_error_line, print_line, print_result};
pub use region::Region;

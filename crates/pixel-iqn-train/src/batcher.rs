use core::sync::atomic::{AtomicU64, Ordering};
use std::sync::Arc;

use burn::data::dataloader::batcher::Batcher;
use burn::tensor::Device;
use pixel_iqn_core::{ModelConfig, Noise};
use pixel_iqn_data::ImageDataset;

use crate::config::TrainConfig;
use crate::step_batches::StepBatches;
use crate::train_batch::TrainBatch;

const FLIPS: u64 = u64::from_be_bytes(*b"flipping");

/// Makes batches for an [`Objective`](crate::Objective) of the images that one of Burn's data
/// loaders chooses. It is for those who train with Burn's own strategies and not in a
/// [`Session`](crate::Session).
///
/// The noise of an image depends on its number among all images taken so far, so a loader with one
/// worker repeats itself, and one with several does not.
#[derive(Debug)]
pub struct TrainBatcher {
    images: Arc<ImageDataset>,
    batches: StepBatches,
    flips: Option<Noise>,
    taken: AtomicU64,
}

impl TrainBatcher {
    /// Makes batches to train on.
    pub fn new(images: Arc<ImageDataset>, config: &TrainConfig, model: &ModelConfig) -> Self {
        Self {
            images,
            batches: StepBatches::new(config, model),
            flips: config.flip.then(|| Noise::new(config.seed ^ FLIPS)),
            taken: AtomicU64::new(0),
        }
    }

    /// Makes batches to measure on: one tau per value, nothing mirrored, dropped or spread.
    pub fn held_out(images: Arc<ImageDataset>, config: &TrainConfig, model: &ModelConfig) -> Self {
        Self {
            images,
            batches: StepBatches::held_out(config, model),
            flips: None,
            taken: AtomicU64::new(0),
        }
    }
}

impl Batcher<usize, TrainBatch> for TrainBatcher {
    /// Makes a batch of the images with these indices.
    ///
    /// # Panics
    ///
    /// Panics if there is no such image, or if the model has classes and the images have no
    /// labels.
    fn batch(&self, indices: Vec<usize>, device: &Device) -> TrainBatch {
        let count = indices.len() as u64;
        let first = self.taken.fetch_add(count, Ordering::Relaxed);
        let flips: Option<Vec<bool>> = self.flips.map(|noise| {
            let numbers = first..first + count;
            numbers.map(|n| noise.uniform(n, 1)[0] < 0.5).collect()
        });
        let batch = self.images.batch(&indices, flips.as_deref(), device);
        self.batches.whole(&batch, first, device)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixel_iqn_data::builtin;

    fn numbers(batch: &TrainBatch) -> Vec<f32> {
        batch.images.to_data().iter().collect()
    }

    #[test]
    fn flips_and_tau_change_from_batch_to_batch_and_held_out_images_are_plain() {
        let images = Arc::new(builtin::generate(0, 0..20, 4, 3).unwrap());
        let (config, model) = (TrainConfig::new(1, 20), ModelConfig::tiny());
        let device = Device::flex();
        let indices: Vec<usize> = (0..20).collect();
        let plain = images.batch(&indices, None, &device).images;
        let plain: Vec<f32> = plain.to_data().iter().collect();

        let train = TrainBatcher::new(images.clone(), &config, &model);
        let first = train.batch(indices.clone(), &device);
        let second = train.batch(indices.clone(), &device);
        assert_ne!(numbers(&first), numbers(&second));
        assert_ne!(first.tau.to_data(), second.tau.to_data());
        let again = TrainBatcher::new(images.clone(), &config, &model);
        assert_eq!(
            numbers(&again.batch(indices.clone(), &device)),
            numbers(&first)
        );

        let held_out = TrainBatcher::held_out(images, &config, &model);
        assert_eq!(numbers(&held_out.batch(indices, &device)), plain);
    }
}

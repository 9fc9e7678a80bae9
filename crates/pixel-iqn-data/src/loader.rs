//! The loader of endless shuffled batches for training, which prepares them in the background.

use std::{
    panic,
    sync::{
        Arc,
        mpsc::{Receiver, sync_channel},
    },
    thread::{self, JoinHandle},
};

use burn::{config::Config, tensor::Device};
use rand_core::Rng;

use crate::{
    batch::ImageBatch,
    dataset::ImageDataset,
    error::{DataError, Result},
    rng::{below, stream},
};

/// The configuration of a [`Loader`].
#[derive(Config, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct LoaderConfig {
    /// The number of images per batch, from 1 to the number of images in the set.
    pub batch: usize,
    /// The seed of the order of every epoch and of the flips.
    #[config(default = 0)]
    pub seed: u64,
    /// Whether each image is mirrored left to right with probability one half.
    #[config(default = false)]
    pub flip: bool,
    /// The number of batches that are kept ready; 0 prepares the next batch only when one is taken.
    #[config(default = 3)]
    pub prefetch: usize,
}

/// An endless iterator over the shuffled batches of a set.
///
/// Every epoch visits the set in an order that depends on the seed and the number of the epoch
/// alone, so a loader that starts at step `s` gives exactly what a loader that started at 0 gives
/// from its step `s` on: training resumes as if it had never stopped. Images that do not fill a
/// last batch are left out of the epoch; which ones changes from epoch to epoch.
///
/// Dropping the loader ends its thread.
#[derive(Debug)]
pub struct Loader {
    batches: Option<Receiver<ImageBatch>>,
    thread: Option<JoinHandle<()>>,
}

impl Loader {
    /// Starts a thread that prepares the batches of the steps `start_step`, `start_step + 1`, and
    /// so on.
    ///
    /// # Errors
    ///
    /// [`DataError::BatchSize`] if the batch is 0 or larger than the set.
    pub fn new(
        dataset: Arc<ImageDataset>,
        config: LoaderConfig,
        device: Device,
        start_step: u64,
    ) -> Result<Self> {
        let len = dataset.len();
        let LoaderConfig {
            batch, prefetch, ..
        } = config;
        if !(1..=len).contains(&batch) {
            return Err(DataError::BatchSize { batch, len });
        }
        let (sender, receiver) = sync_channel(prefetch);
        let thread = thread::Builder::new().name("loader".to_owned());
        let read_ahead = move || {
            let steps = (len / batch) as u64;
            let mut skip = (start_step % steps) as usize * batch;
            for epoch in start_step / steps.. {
                let order = epoch_order(config.seed, epoch, len);
                let flips = config.flip.then(|| epoch_flips(config.seed, epoch, len));
                for indices in order[skip..].chunks_exact(batch) {
                    let flips: Option<Vec<bool>> = flips
                        .as_ref()
                        .map(|flips| indices.iter().map(|&index| flips[index]).collect());
                    let batch = dataset.batch(indices, flips.as_deref(), &device);
                    if sender.send(batch).is_err() {
                        return; // The loader was dropped.
                    }
                }
                skip = 0;
            }
        };
        let thread = thread.spawn(read_ahead).map_err(DataError::Thread)?;
        Ok(Self {
            batches: Some(receiver),
            thread: Some(thread),
        })
    }
}

impl Iterator for Loader {
    type Item = ImageBatch;

    /// Returns the next batch; never `None`.
    ///
    /// # Panics
    ///
    /// Panics if the device panicked while it took a batch.
    fn next(&mut self) -> Option<ImageBatch> {
        let batch = self
            .batches
            .as_ref()
            .and_then(|batches| batches.recv().ok());
        if batch.is_none()
            && let Some(Err(cause)) = self.thread.take().map(JoinHandle::join)
        {
            panic::resume_unwind(cause);
        }
        batch
    }
}

impl Drop for Loader {
    fn drop(&mut self) {
        // Without a receiver, the send that the thread may wait in fails, and the thread returns.
        self.batches = None;
        if let Some(thread) = self.thread.take() {
            // A panic of the thread has been reported by the panic hook, and a second panic
            // during a drop would abort.
            let _ = thread.join();
        }
    }
}

/// Draws a permutation of `0..len` (Fisher and Yates).
fn epoch_order(seed: u64, epoch: u64, len: usize) -> Vec<usize> {
    let mut rng = stream(seed, epoch << 1);
    let mut order: Vec<usize> = (0..len).collect();
    for last in (1..len).rev() {
        order.swap(last, below(&mut rng, last + 1));
    }
    order
}

/// Draws one coin per image, from a stream of its own so that the order does not depend on the
/// flips.
fn epoch_flips(seed: u64, epoch: u64, len: usize) -> Vec<bool> {
    let mut rng = stream(seed, epoch << 1 | 1);
    (0..len).map(|_| rng.next_u32() & 1 == 1).collect()
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use crate::levels::to_levels;

    /// Images of two pixels, `2 i` and `2 i + 1`.
    fn pairs(len: u8) -> Arc<ImageDataset> {
        Arc::new(ImageDataset::new((0..2 * len).collect(), [1, 1, 2]).unwrap())
    }

    fn start(len: u8, config: LoaderConfig, step: u64) -> Loader {
        Loader::new(pairs(len), config, Device::flex(), step).unwrap()
    }

    #[test]
    fn an_epoch_visits_every_image_once() {
        let config = LoaderConfig::new(4);
        let batches: Vec<_> = start(12, config, 0)
            .take(6)
            .map(|batch| batch.indices)
            .collect();
        let epochs = [batches[..3].concat(), batches[3..].concat()];
        for epoch in &epochs {
            assert_eq!(epoch.iter().collect::<BTreeSet<_>>().len(), 12);
        }
        assert_ne!(epochs[0], epochs[1]);
    }

    #[test]
    fn a_short_last_batch_is_left_out() {
        let batches: Vec<_> = start(11, LoaderConfig::new(4), 0).take(5).collect();
        assert!(batches.iter().all(|batch| batch.indices.len() == 4));
        let first: BTreeSet<_> = batches[..2]
            .iter()
            .flat_map(|batch| &batch.indices)
            .collect();
        assert_eq!(first.len(), 8);
    }

    #[test]
    fn a_loader_resumes_exactly() {
        let config = LoaderConfig::new(3).with_seed(9).with_flip(true);
        let whole: Vec<_> = start(10, config, 0).take(12).collect();
        for step in [1, 2, 3, 7] {
            for (batch, expected) in start(10, config, step as u64).zip(&whole[step..]) {
                assert_eq!(batch.indices, expected.indices);
                let levels = |batch: &ImageBatch| to_levels(batch.images.clone()).unwrap();
                assert_eq!(levels(&batch), levels(expected));
            }
        }
    }

    #[test]
    fn flips_mirror_about_half_of_the_images() {
        let config = LoaderConfig::new(100).with_flip(true);
        let mut flipped = 0;
        for batch in start(100, config, 0).take(4) {
            let levels = to_levels(batch.images).unwrap();
            for (pair, &index) in levels.chunks(2).zip(&batch.indices) {
                let low = 2 * index as u8;
                assert!(pair == [low, low + 1] || pair == [low + 1, low]);
                flipped += usize::from(pair[0] > pair[1]);
            }
        }
        assert!((150..250).contains(&flipped), "{flipped} of 400");
    }

    #[test]
    fn seeds_differ() {
        let first = |seed| {
            let config = LoaderConfig::new(20).with_seed(seed);
            start(20, config, 0).next().unwrap().indices
        };
        assert_eq!(first(1), first(1));
        assert_ne!(first(1), first(2));
    }

    #[test]
    fn a_batch_that_cannot_be_filled_is_refused() {
        for batch in [0, 11] {
            let config = LoaderConfig::new(batch);
            let error = Loader::new(pairs(10), config, Device::flex(), 0).unwrap_err();
            assert!(
                matches!(error, DataError::BatchSize { len: 10, .. }),
                "{error}"
            );
        }
    }

    #[test]
    fn dropping_the_loader_ends_its_thread() {
        let set = pairs(10);
        let config = LoaderConfig::new(2);
        let mut loader = Loader::new(set.clone(), config, Device::flex(), 0).unwrap();
        loader.next();
        drop(loader);
        assert_eq!(Arc::strong_count(&set), 1, "the thread still holds the set");
    }
}

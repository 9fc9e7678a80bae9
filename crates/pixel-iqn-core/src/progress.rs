use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::sample::SampleBatch;

/// Watches a long piece of work, and may cancel it.
///
/// Sampling, scoring and the extraction of features all take one. A closure of two numbers is one:
///
/// ```
/// use std::ops::ControlFlow;
/// use pixel_iqn_core::Progress;
///
/// fn work(progress: &dyn Progress) -> bool {
///     (1..=3).all(|done| progress.advance(done, 3).is_continue())
/// }
///
/// assert!(!work(&|done, total| {
///     println!("{done}/{total}");
///     if done == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
/// }));
/// ```
///
/// Work that is spread over threads calls it from each of them.
pub trait Progress: Sync {
    /// Is called whenever `done` of `total` units of the work are done, in 1 to `total`. The function
    /// that takes the progress says what a unit is. [`ControlFlow::Break`] cancels the work, which
    /// then fails with [`Cancelled`].
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()>;

    /// Is called before [`advance`](Self::advance) where the unit is a row of sampled images, for
    /// live views. Does nothing unless it is written.
    fn row(&self, _row: &FinishedRow<'_>) {}
}

impl<F: Fn(usize, usize) -> ControlFlow<()> + Sync> Progress for F {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        self(done, total)
    }
}

/// Progress that nobody watches, and that never cancels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _done: usize, _total: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The error of work that its [`Progress`] cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Reports progress, and makes a cancellation an error.
///
/// # Errors
///
/// [`Cancelled`] where the progress broke off.
pub fn report(progress: &dyn Progress, done: usize, total: usize) -> Result<(), Cancelled> {
    match progress.advance(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Cancelled),
    }
}

/// A row of sampled images whose values are final.
#[derive(Debug, Clone, Copy)]
#[non_exhaustive]
pub struct FinishedRow<'a> {
    /// Index in the batch of the first of these images.
    pub first_image: usize,
    /// How many images they are.
    pub images: usize,
    /// The row, counted from 0.
    pub row: usize,
    /// Rows of an image.
    pub height: usize,
    /// The values of the row, `[images, channels, width]`, in [0, 1].
    pub values: &'a [f32],
}

/// Counts the finished rows of a batch, and passes each on to a [`Progress`]: for those who write a
/// sampler. Its threads share one.
pub struct RowProgress<'a> {
    progress: &'a dyn Progress,
    dims: [usize; 4],
    done: AtomicUsize,
}

impl<'a> RowProgress<'a> {
    /// Begins a batch. A unit of the progress is one row of one image.
    pub fn new(batch: &SampleBatch, progress: &'a dyn Progress) -> Self {
        Self {
            progress,
            dims: batch.dims,
            done: AtomicUsize::new(0),
        }
    }

    /// Reports that row `row` is final in the images `sampled`, `[images, channels, height, width]`,
    /// the first of which is number `first_image` of the batch.
    ///
    /// # Errors
    ///
    /// [`Cancelled`] where the progress broke off.
    ///
    /// # Panics
    ///
    /// Panics if `sampled` holds no whole images of the batch's size, or `row` is none of theirs.
    pub fn finish(&self, row: usize, first_image: usize, sampled: &[f32]) -> Result<(), Cancelled> {
        let [total, channels, height, width] = self.dims;
        let images = sampled.len() / (channels * height * width);
        let values = row_values(sampled, row, [channels, height, width]);
        self.progress.row(&FinishedRow {
            first_image,
            images,
            row,
            height,
            values: &values,
        });
        let done = self.done.fetch_add(images, Ordering::Relaxed) + images;
        report(self.progress, done, total * height)
    }
}

/// The values of one row of some images, `[images, channels, width]`.
///
/// # Shapes
///
/// - `sampled`: `[images, channels, height, width]`
pub(crate) fn row_values(
    sampled: &[f32],
    row: usize,
    [channels, height, width]: [usize; 3],
) -> Vec<f32> {
    let planes = sampled.len() / (channels * height * width) * channels;
    (0..planes)
        .flat_map(|plane| &sampled[(plane * height + row) * width..][..width])
        .copied()
        .collect()
}

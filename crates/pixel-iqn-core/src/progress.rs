use core::ops::ControlFlow;
use core::sync::atomic::{AtomicUsize, Ordering};

use crate::order::Order;
use crate::sample::SampleBatch;

/// Observes a long computation, and may cancel it.
///
/// Sampling, scoring and the extraction of features all take a progress. A closure of two numbers
/// is one:
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
/// A computation on several threads calls it from each of them.
pub trait Progress: Sync {
    /// Is called whenever another unit is done: `done` of `total`, from 1 to `total`. The function
    /// that takes the progress says what a unit is. [`ControlFlow::Break`] cancels the computation,
    /// which then fails with [`Cancelled`].
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()>;

    /// Is called before [`advance`](Self::advance) where a unit is a row of sampled images, for
    /// live views. The default implementation does nothing.
    fn row(&self, _row: &FinishedRow<'_>) {}
}

impl<F: Fn(usize, usize) -> ControlFlow<()> + Sync> Progress for F {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        self(done, total)
    }
}

/// A progress that observes nothing and never cancels.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _done: usize, _total: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// Passes the progress of one part of a computation on as the progress of all of it.
// Public for the other crates of the workspace, whose long functions have parts.
#[doc(hidden)]
pub struct PartProgress<'a> {
    /// The progress of all parts.
    pub progress: &'a dyn Progress,
    /// The units of the parts before.
    pub before: usize,
    /// The units of all parts.
    pub total: usize,
}

impl Progress for PartProgress<'_> {
    fn advance(&self, done: usize, _: usize) -> ControlFlow<()> {
        self.progress.advance(self.before + done, self.total)
    }

    fn row(&self, row: &FinishedRow<'_>) {
        self.progress.row(row);
    }
}

/// The error of a computation that its [`Progress`] cancelled.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Reports to a progress, and turns a cancellation into an error.
///
/// # Errors
///
/// [`Cancelled`] where the progress cancels.
// Public for the other crates of the workspace, whose long functions report too.
#[doc(hidden)]
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
    /// The index in the batch of the first of these images.
    pub first_image: usize,
    /// The number of these images.
    pub images: usize,
    /// The index of the row, from 0, in the image [reordered](Order::reorder) to its generation
    /// order: in raster order a row of the image from the top, in a transposed order a column.
    pub row: usize,
    /// The number of rows of the reordered image.
    pub height: usize,
    /// The values of the row, `[images, channels, width]`, in [0, 1].
    pub values: &'a [f32],
    /// The generation order of the images.
    pub order: Order,
}

/// A counter of the finished rows of a batch, with which a sampler reports to a [`Progress`]. The
/// threads of a sampler share one.
// Public for the samplers in the crates of the backends.
#[doc(hidden)]
pub struct RowProgress<'a> {
    progress: &'a dyn Progress,
    /// The shape of the reordered images.
    dims: [usize; 4],
    order: Order,
    /// The images that are sampled for each one of the batch.
    copies: usize,
    done: AtomicUsize,
}

impl<'a> RowProgress<'a> {
    /// Creates the counter of a batch, whose values are in the image's own orientation. A unit of
    /// the progress is one row of one image.
    pub fn new(batch: &SampleBatch, progress: &'a dyn Progress) -> Self {
        let [images, channels, height, width] = batch.dims;
        let [height, width] = batch.order.size([height, width]);
        Self {
            progress,
            dims: [images, channels, height, width],
            order: batch.order,
            copies: batch.copies(),
            done: AtomicUsize::new(0),
        }
    }

    /// Reports that row `row` of some images is final.
    ///
    /// # Shapes
    ///
    /// - `sampled`: `[images, channels, height, width]`, some consecutive images of the batch,
    ///   reordered, of which the first has index `first_image`, each followed by the one
    ///   [without a class](SampleBatch::with_unconditional) where there is guidance
    ///
    /// # Errors
    ///
    /// [`Cancelled`] where the progress cancels.
    ///
    /// # Panics
    ///
    /// Panics if
    /// `sampled` is not a whole number of images of the batch's size, or if they have no row `row`.
    pub fn finish(&self, row: usize, first_image: usize, sampled: &[f32]) -> Result<(), Cancelled> {
        let [total, channels, height, width] = self.dims;
        let images = sampled.len() / (channels * height * width) / self.copies;
        let values = row_values(sampled, row, [channels, height, width]);
        let values = without_unconditional(self.copies, values, channels * width);
        self.progress.row(&FinishedRow {
            first_image,
            images,
            row,
            height,
            values: &values,
            order: self.order,
        });
        let done = self.done.fetch_add(images, Ordering::Relaxed) + images;
        report(self.progress, done, total * height)
    }
}

/// Leaves out the unconditional images of `values` numbers each, where there are two copies.
// Public for the samplers in the crates of the backends.
#[doc(hidden)]
pub fn without_unconditional(copies: usize, numbers: Vec<f32>, values: usize) -> Vec<f32> {
    if copies == 1 {
        return numbers;
    }
    let images = numbers.chunks_exact(values).step_by(copies);
    images.flatten().copied().collect()
}

/// Copies one row of some images.
///
/// # Shapes
///
/// - `sampled`: `[images, channels, height, width]`
/// - output: `[images, channels, width]`
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

use std::path::Path;

use pixel_iqn_core::{Labels, PartProgress, Progress, SampleOptions, Sampler};
use pixel_iqn_data::{DataError, ImageGrid, levels_of};

use crate::error::RunError;

/// The pixels that a pixel of a sample is wide in an image grid.
const SCALE: usize = 3;

/// Samples images and returns their levels, `[count, channels, height, width]`.
///
/// # Errors
///
/// [`RunError::Sample`] where the options do not fit the model, or the progress broke off, and
/// [`RunError::Data`] where a value is infinite or not a number. A unit of the progress is one row of
/// one image.
pub fn sample_levels(
    sampler: &dyn Sampler,
    options: &SampleOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>, RunError> {
    let mut levels = Vec::new();
    let mut append = |batch: &[u8]| {
        levels.extend(batch);
        Ok(())
    };
    sample_batches(sampler, options, &mut append, progress)?;
    Ok(levels)
}

/// Samples images and gives the levels of each batch, `[batch, channels, height, width]`, to `write`,
/// in bounded memory.
///
/// # Errors
///
/// The errors of [`sample_levels`], and the first one of `write`, after which nothing more is
/// sampled.
pub fn sample_batches(
    sampler: &dyn Sampler,
    options: &SampleOptions,
    write: &mut dyn FnMut(&[u8]) -> Result<(), DataError>,
    progress: &dyn Progress,
) -> Result<(), RunError> {
    // What is sampled one after another is a row of the turned image.
    let [height, _] = options.order.size(options.size);
    let mut rows = 0;
    for batch in options.batches(sampler.config())? {
        let batch_progress = PartProgress {
            progress,
            before: rows,
            total: options.count * height,
        };
        let values = sampler.sample(&batch, &batch_progress)?;
        rows += batch.dims[0] * height;
        write(&levels_of(&values)?)?;
    }
    Ok(())
}

/// Returns the columns in which a grid of `count` samples is about square, and has the images of a
/// class below each other where the labels go round the classes.
#[doc(hidden)]
pub fn grid_columns(labels: &Labels, classes: usize, count: usize) -> usize {
    let side = count.isqrt().max(1);
    match labels {
        Labels::Spread => (classes * (side / classes).max(1)).min(count),
        _ => side,
    }
}

/// Samples `count` images of a size and writes them as an image grid: a square, or with a column for each
/// class of a class-conditional model.
///
/// # Errors
///
/// [`RunError::Sample`] where the size does not fit the model or the progress broke off, and
/// [`RunError::Data`] where the file cannot be written. A unit of the progress is one row of one
/// image.
pub fn save_samples(
    path: &Path,
    sampler: &dyn Sampler,
    count: usize,
    size: [usize; 2],
    seed: u64,
    progress: &dyn Progress,
) -> Result<(), RunError> {
    let config = sampler.config();
    let labels = match config.classes {
        0 => Labels::None,
        _ => Labels::Spread,
    };
    let columns = grid_columns(&labels, config.classes, count);
    let options = SampleOptions::new(count, size, seed).with_labels(labels);
    let levels = sample_levels(sampler, &options, progress)?;
    let shape = [count, config.channels, size[0], size[1]];
    let grid = ImageGrid::new(&levels, shape)?.with_columns(columns);
    Ok(grid.with_scale(SCALE).save(path)?)
}

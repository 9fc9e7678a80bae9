use core::ops::{ControlFlow, Range};
use std::path::Path;

use pixel_iqn_core::{FinishedRow, KnownValues, Labels, Progress, SampleOptions, Sampler};
use pixel_iqn_data::{ImageDataset, save_sheet};

use crate::error::RunError;

/// How many pixels a pixel of a sheet is wide.
const SHEET_SCALE: usize = 3;

/// Level of what an inpainting does not know, in the picture: mid grey.
const UNKNOWN: u8 = 128;

/// Samples images and returns their levels, `[count, channels, height, width]`.
///
/// # Errors
///
/// [`RunError::Sample`] where the options do not fit the model, or the progress broke off. A unit of
/// the progress is one row of one image.
pub fn sample_levels(
    sampler: &dyn Sampler,
    options: &SampleOptions,
    progress: &dyn Progress,
) -> Result<Vec<u8>, RunError> {
    let mut levels = Vec::new();
    let [height, _] = options.size;
    let mut rows = 0;
    for batch in options.batches(sampler.config())? {
        let batch_progress = BatchProgress {
            progress,
            before: rows,
            total: options.count * height,
        };
        let values = sampler.sample(&batch, &batch_progress)?;
        rows += batch.dims[0] * height;
        levels.extend(values.iter().map(|value| (value * 255.0).round() as u8));
    }
    Ok(levels)
}

/// Passes the progress of one batch on as that of all.
struct BatchProgress<'a> {
    progress: &'a dyn Progress,
    /// Rows of the batches before.
    before: usize,
    /// Rows of all batches.
    total: usize,
}

impl Progress for BatchProgress<'_> {
    fn advance(&self, done: usize, _: usize) -> ControlFlow<()> {
        self.progress.advance(self.before + done, self.total)
    }

    fn row(&self, row: &FinishedRow<'_>) {
        self.progress.row(row);
    }
}

/// Samples `count` images of a size and writes them as a sheet: a square, or with a column for each
/// class of a class-conditional model.
///
/// # Errors
///
/// As [`sample_levels`], and [`RunError::Data`] where the file cannot be written.
pub fn save_samples(
    path: &Path,
    sampler: &dyn Sampler,
    count: usize,
    size: [usize; 2],
    seed: u64,
    progress: &dyn Progress,
) -> Result<(), RunError> {
    let config = sampler.config();
    // Spread labels go round the classes.
    let (labels, columns) = match config.classes {
        0 => (Labels::None, count.isqrt().max(1)),
        classes => (Labels::Spread, classes.min(count)),
    };
    let options = SampleOptions::new(count, size, seed).with_labels(labels);
    let levels = sample_levels(sampler, &options, progress)?;
    let shape = [count, config.channels, size[0], size[1]];
    Ok(save_sheet(path, &levels, shape, columns, SHEET_SCALE)?)
}

/// What an inpainting shows.
#[derive(Debug, Clone)]
pub struct Inpainting<'a> {
    /// The images.
    pub images: &'a ImageDataset,
    /// Which of them.
    pub range: Range<usize>,
    /// Completions of each.
    pub completions: usize,
    /// Rows of pixels, from the top, that are given.
    pub known_rows: usize,
    /// Seed of the completions.
    pub seed: u64,
}

impl Inpainting<'_> {
    /// The upper half of some images is given, the lower one is sampled `completions` times.
    pub fn lower_half(
        images: &ImageDataset,
        range: Range<usize>,
        completions: usize,
        seed: u64,
    ) -> Inpainting<'_> {
        let [_, height, _] = images.shape();
        Inpainting {
            images,
            range,
            completions,
            known_rows: height / 2,
            seed,
        }
    }

    /// Columns of the figure: the input, its completions and the original.
    pub fn columns(&self) -> usize {
        self.completions + 2
    }

    /// The levels of the figure, `[images * columns, channels, height, width]`, in which each row
    /// is an input with its unknown part grey, its completions, and the original.
    ///
    /// # Errors
    ///
    /// [`RunError::Sample`] where the images do not fit the model, or the progress broke off.
    ///
    /// # Panics
    ///
    /// Panics if the range leaves the set.
    pub fn draw(
        &self,
        sampler: &dyn Sampler,
        progress: &dyn Progress,
    ) -> Result<Vec<u8>, RunError> {
        let [_, height, width] = self.images.shape();
        let is_known = |value: usize| value / width % height < self.known_rows;
        let image = |i: usize| self.images.image(i);
        let repeated = || {
            let each = self.range.clone();
            each.flat_map(|i| core::iter::repeat_n(i, self.completions))
        };
        let values: Vec<f32> = repeated()
            .flat_map(image)
            .map(|&level| f32::from(level) / 255.0)
            .collect();
        let labels = if sampler.config().classes > 0 {
            let labels = repeated().filter_map(|i| self.images.label(i));
            Labels::PerImage(labels.map(|label| Some(label as usize)).collect())
        } else {
            Labels::None
        };
        let count = self.range.len() * self.completions;
        let options = SampleOptions::new(count, [height, width], self.seed)
            .with_labels(labels)
            .with_known(Some(KnownValues {
                // A plane is `height * width` values, so this holds in every image and channel.
                mask: (0..values.len()).map(is_known).collect(),
                values,
            }));
        let completions = sample_levels(sampler, &options, progress)?;

        let mut figure = Vec::new();
        let len = image(self.range.start).len();
        let rows = completions.chunks_exact(len * self.completions);
        for (original, completions) in self.range.clone().map(image).zip(rows) {
            let input = original.iter().enumerate();
            figure.extend(input.map(|(i, &level)| if is_known(i) { level } else { UNKNOWN }));
            figure.extend(completions);
            figure.extend(original);
        }
        Ok(figure)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;
    use pixel_iqn_core::{ModelConfig, NaiveSampler};
    use pixel_iqn_data::builtin;

    #[test]
    fn a_row_is_input_completions_original() {
        let device = Device::flex();
        let model = ModelConfig::tiny().with_classes(10).init_pixel_iqn(&device);
        let sampler = NaiveSampler::new(model, &device);
        let set = builtin::generate(0, 0..3, 6, 3).unwrap();
        let inpainting = Inpainting::lower_half(&set, 1..3, 2, 0);
        let figure = inpainting
            .draw(&sampler, &pixel_iqn_core::NoProgress)
            .unwrap();

        let cells: Vec<&[u8]> = figure.chunks_exact(3 * 36).collect();
        assert_eq!(cells.len(), 2 * inpainting.columns());
        for (row, image) in cells.chunks(4).zip(1..3) {
            let original = set.image(image);
            assert_eq!(row[3], original);
            for i in 0..original.len() {
                if i / 6 % 6 < 3 {
                    assert!(row.iter().all(|cell| cell[i] == original[i]));
                } else {
                    assert_eq!(row[0][i], UNKNOWN);
                }
            }
            assert_ne!(row[1], row[2], "completions differ");
        }
    }
}

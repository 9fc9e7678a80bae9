use core::ops::Range;
use std::path::Path;

use pixel_iqn_core::{KnownValues, Labels, OnRow, SampleOptions, Sampler};
use pixel_iqn_data::{ImageDataset, ImageGrid};

use crate::error::RunError;

/// How many pixels a pixel of a sheet is wide.
const SHEET_SCALE: usize = 3;

/// Level of what an inpainting does not know, in the picture: mid grey.
const UNKNOWN: u8 = 128;

/// Samples images and returns their levels, `[count, channels, height, width]`.
///
/// # Errors
///
/// [`RunError::Sample`] where the options do not fit the model, or `on_row` broke off.
pub fn sample_levels(
    sampler: &dyn Sampler,
    options: &SampleOptions,
    on_row: OnRow<'_>,
) -> Result<Vec<u8>, RunError> {
    let mut levels = Vec::new();
    for batch in options.batches(sampler.config())? {
        let values = sampler.sample(&batch, on_row)?;
        levels.extend(values.iter().map(|value| (value * 255.0).round() as u8));
    }
    Ok(levels)
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
    on_row: OnRow<'_>,
) -> Result<(), RunError> {
    let config = sampler.config();
    // Spread labels go round the classes.
    let (labels, columns) = match config.classes {
        0 => (Labels::None, count.isqrt().max(1)),
        classes => (Labels::Spread, classes.min(count)),
    };
    let options = SampleOptions {
        labels,
        ..SampleOptions::new(count, size, seed)
    };
    let levels = sample_levels(sampler, &options, on_row)?;
    let shape = [count, config.channels, size[0], size[1]];
    let grid = ImageGrid::new(&levels, shape)?.with_columns(columns);
    Ok(grid.with_scale(SHEET_SCALE).save(path)?)
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
    /// [`RunError::Sample`] where the images do not fit the model, or `on_row` broke off.
    ///
    /// # Panics
    ///
    /// Panics if the range leaves the set.
    pub fn draw(&self, sampler: &dyn Sampler, on_row: OnRow<'_>) -> Result<Vec<u8>, RunError> {
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
            Labels::PerImage(labels.map(|label| label as usize).collect())
        } else {
            Labels::None
        };
        let count = self.range.len() * self.completions;
        let options = SampleOptions {
            known: Some(KnownValues {
                // A plane is `height * width` values, so this holds in every image and channel.
                mask: (0..values.len()).map(is_known).collect(),
                values,
            }),
            labels,
            ..SampleOptions::new(count, [height, width], self.seed)
        };
        let completions = sample_levels(sampler, &options, on_row)?;

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
    use core::ops::ControlFlow;
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
            .draw(&sampler, &|_| ControlFlow::Continue(()))
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

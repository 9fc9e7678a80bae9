use core::ops::Range;

use pixel_iqn_core::{KnownValues, Labels, Progress, SampleOptions, Sampler};
use pixel_iqn_data::ImageDataset;

use crate::error::RunError;
use crate::samples::sample_levels;

/// The level of an unknown value in the input column: mid grey.
const UNKNOWN: u8 = 128;

/// A figure of images whose upper rows are given, and whose other rows a model completes.
#[derive(Debug, Clone)]
pub struct Inpainting<'a> {
    images: &'a ImageDataset,
    range: Range<usize>,
    completions: usize,
    known_rows: usize,
    seed: u64,
}

impl<'a> Inpainting<'a> {
    /// Gives the upper half of the images `range` of a set, for one completion of each.
    pub fn new(images: &'a ImageDataset, range: Range<usize>) -> Self {
        let [_, height, _] = images.shape();
        Self {
            images,
            range,
            completions: 1,
            known_rows: height / 2,
            seed: 0,
        }
    }

    /// Sets the number of completions of each image.
    pub fn with_completions(self, completions: usize) -> Self {
        Self {
            completions,
            ..self
        }
    }

    /// Sets the number of rows of pixels, from the top, that are given.
    pub fn with_known_rows(self, known_rows: usize) -> Self {
        Self { known_rows, ..self }
    }

    /// Sets the seed of the completions.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }

    /// Counts the columns of the figure: the input, its completions and the original.
    pub fn columns(&self) -> usize {
        self.completions + 2
    }

    /// Samples the completions, and returns the levels of the figure, `[images * columns, channels,
    /// height, width]`. Each row of it is an input with its unknown pixels grey, its completions,
    /// and the original.
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
        let inpainting = Inpainting::new(&set, 1..3).with_completions(2);
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

//! Conversions of a set to fewer pixels or channels.

use image::{DynamicImage, Rgb, RgbImage};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result},
    memory,
};

impl ImageDataset {
    /// Reduces the images to `[height, width]`: each level becomes the mean of the levels in its
    /// box, rounded half up. Images of that size stay as they are.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the height and width are no multiples of the new ones, and
    /// [`DataError::Memory`] if the reduced images do not fit in memory next to these.
    pub fn reduce(self, size: [usize; 2]) -> Result<Self> {
        let [channels, height, width] = self.shape;
        if size == [height, width] {
            return Ok(self);
        }
        let [rows, columns] = size;
        if rows == 0
            || columns == 0
            || !height.is_multiple_of(rows)
            || !width.is_multiple_of(columns)
        {
            return Err(DataError::Inconsistent(format!(
                "images of {height} x {width} do not divide into {rows} x {columns} boxes"
            )));
        }
        let (box_height, box_width) = (height / rows, width / columns);
        let mut images = memory::room(&[self.len(), channels, rows, columns])?;
        let mut sums = vec![0; columns];
        for band in self.images.chunks_exact(box_height * width) {
            sums.fill(0);
            for row in band.chunks_exact(width) {
                for (sum, levels) in sums.iter_mut().zip(row.chunks_exact(box_width)) {
                    *sum += levels.iter().copied().map(usize::from).sum::<usize>();
                }
            }
            let area = box_height * box_width;
            images.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
        }
        Ok(Self {
            images,
            shape: [channels, rows, columns],
            ..self
        })
    }

    /// Whether no image has a colour: the set has one channel, or all channels of each pixel are equal.
    pub fn is_grey(&self) -> bool {
        let [channels, height, width] = self.shape;
        let plane = height * width;
        self.images.chunks_exact(channels * plane).all(|image| {
            let (first, others) = image.split_at(plane);
            others.chunks_exact(plane).all(|other| other == first)
        })
    }

    /// Converts grey images to colour ones of three equal channels; colour images stay as they are.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the number of channels is neither 1 nor 3.
    pub fn into_colour(self) -> Result<Self> {
        let [channels, height, width] = self.shape;
        match channels {
            3 => Ok(self),
            1 => {
                let planes = self.images.chunks_exact(height * width);
                Ok(Self {
                    images: planes.flat_map(|plane| plane.repeat(3)).collect(),
                    shape: [3, height, width],
                    ..self
                })
            }
            _ => Err(DataError::Inconsistent(format!(
                "images of {channels} channels have no colour form: 1 or 3 are needed"
            ))),
        }
    }

    /// Converts colour images to grey ones, by the luma of each pixel with the weights of Rec. 709,
    /// rounded; grey images stay as they are.
    ///
    /// Images that were not scaled come out as if their files had been read in grey.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the number of channels is neither 1 nor 3, and
    /// [`DataError::Memory`] if the grey images do not fit in memory next to these.
    pub fn into_grey(self) -> Result<Self> {
        let [channels, height, width] = self.shape;
        if channels == 1 {
            return Ok(self);
        }
        if channels != 3 {
            return Err(DataError::Inconsistent(format!(
                "images of {channels} channels have no grey form: 1 or 3 are needed"
            )));
        }
        let plane = height * width;
        let mut images = memory::room(&[self.len(), plane])?;
        for image in self.images.chunks_exact(3 * plane) {
            // The conversion of the image crate, so that files read in grey agree.
            let colour = RgbImage::from_fn(width as u32, height as u32, |x, y| {
                let pixel = y as usize * width + x as usize;
                Rgb([0, 1, 2].map(|channel| image[channel * plane + pixel]))
            });
            images.extend(DynamicImage::from(colour).to_luma8().into_raw());
        }
        Ok(Self {
            images,
            shape: [1, height, width],
            ..self
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::dataset::tests::six;

    #[test]
    fn a_box_becomes_its_mean() {
        let set = six().reduce([1, 1]).unwrap();
        assert_eq!(set.shape(), [2, 1, 1]);
        assert_eq!(set.images(), [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34]);
        assert_eq!(set.labels(), six().labels());
        // 2 x 2 boxes: means of 1.5, rounded half up, and of 255.
        let images = vec![0, 1, 255, 255, 2, 3, 255, 255];
        let set = ImageDataset::new(images, [1, 2, 4]).unwrap();
        assert_eq!(set.reduce([1, 2]).unwrap().images(), [2, 255]);
        assert_eq!(six().reduce([1, 3]).unwrap(), six());
        for size in [[1, 2], [2, 3], [0, 1]] {
            let error = six().reduce(size).unwrap_err().to_string();
            assert!(error.contains("images of 1 x 3"), "{error}");
        }
    }

    #[test]
    fn grey_is_the_luma() {
        // Two images of 1 x 2: red and white, and a mixture twice.
        let images = vec![255, 255, 0, 255, 0, 255, 10, 10, 20, 20, 30, 30];
        let set = ImageDataset::new(images, [3, 1, 2])
            .and_then(|set| set.with_labels(vec![1, 0], 2))
            .unwrap();
        let grey = set.into_grey().unwrap();
        assert_eq!(grey.shape(), [1, 1, 2]);
        assert_eq!(grey.images(), [54, 255, 19, 19]);
        assert_eq!(grey.labels(), Some(&[1, 0][..]));
        assert!(six().into_grey().is_err());
    }
}

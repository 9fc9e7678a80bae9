use std::path::Path;

use pixel_iqn_data::{ImageDataset, ImageGrid, NpzWriter, check_memory, md5};

use crate::Error;

/// Images that a model drew, 8 bits deep.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Images {
    levels: Vec<u8>,
    shape: [usize; 4],
    columns: usize,
}

impl Images {
    /// How many pixels of a picture a pixel of an image is wide.
    const SCALE: usize = 3;

    pub(crate) fn new(levels: Vec<u8>, shape: [usize; 4], columns: usize) -> Self {
        Self {
            levels,
            shape,
            columns,
        }
    }

    /// `[images, channels, height, width]`.
    pub fn shape(&self) -> [usize; 4] {
        self.shape
    }

    /// How many images there are.
    pub fn len(&self) -> usize {
        self.shape[0]
    }

    /// Whether there is no image.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// How many images are beside each other in a picture.
    pub fn columns(&self) -> usize {
        self.columns
    }

    /// The levels of all images, from 0 to 255, `[images, channels, height, width]`.
    pub fn levels(&self) -> &[u8] {
        &self.levels
    }

    /// The levels of one image, `[channels, height, width]`.
    ///
    /// # Panics
    ///
    /// Panics if there is no such image.
    pub fn image(&self, index: usize) -> &[u8] {
        let [_, image @ ..] = self.shape;
        let values = image.iter().product::<usize>();
        &self.levels[index * values..][..values]
    }

    /// Fails where a picture of images of `shape`, `[images, channels, height, width]`, does not fit into memory
    /// beside the images, so that a program can tell before it draws them.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] with what would be needed.
    pub fn check_picture(shape: [usize; 4]) -> Result<(), Error> {
        let levels = shape
            .into_iter()
            .fold(1u64, |product, size| product.saturating_mul(size as u64));
        let pixels = (Self::SCALE * Self::SCALE) as u64;
        Ok(check_memory(levels.saturating_mul(1 + pixels))?)
    }

    /// Writes all images side by side as a PNG file, each pixel 3 pixels wide.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where the images are neither grey nor of three colours, or the file cannot be
    /// written.
    pub fn save_grid(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let grid = ImageGrid::new(&self.levels, self.shape)?;
        Ok(grid
            .with_columns(self.columns)
            .with_scale(Self::SCALE)
            .save(path)?)
    }

    /// Writes the images as an `.npz` file, whose array `arr_0` is uint8 `[N, H, W, C]` as the
    /// evaluation tools of this field read it. For more images than memory holds there is
    /// [`Sampling::save_npz`](crate::Sampling::save_npz).
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where the file cannot be written.
    pub fn save_npz(&self, path: impl AsRef<Path>) -> Result<(), Error> {
        let job = format!("images {}", md5(&self.levels));
        let mut npz = NpzWriter::open(path.as_ref(), self.shape, &job)?;
        // A process that was killed here may have left the first ones.
        let [_, image @ ..] = self.shape;
        let done = npz.done() * image.iter().product::<usize>();
        npz.append(&self.levels[done..])?;
        Ok(npz.finish()?)
    }

    /// The images as a data set, to be scored or trained on.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where there is no image.
    pub fn to_dataset(&self) -> Result<ImageDataset, Error> {
        let [_, image @ ..] = self.shape;
        Ok(ImageDataset::new(self.levels.clone(), image)?)
    }
}

//! Masks for inpainting: the pixels of an image that are missing and to be completed.

use std::path::Path;

use crate::{
    error::{DataError, Result, format},
    image_file::decode_png,
    region::Region,
    sizes::element_count,
};

/// Level of a missing pixel in a file: white.
const MISSING: u8 = 255;
/// Level of a known pixel in a file: black.
const KNOWN: u8 = 0;

/// A mask for inpainting, which says which pixels of an image are missing and to be completed, and
/// which are known and kept.
///
/// A pixel is missing or known in all its channels. In a file and in a figure, white is missing
/// and black is known.
///
/// ```
/// use pixel_iqn_data::Mask;
///
/// let mask = Mask::lower_half([32, 32]);
/// assert_eq!(mask.size(), [32, 32]);
/// assert!(mask.is_missing(16, 0) && !mask.is_missing(15, 31));
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Mask {
    size: [usize; 2],
    missing: Vec<bool>,
}

impl Mask {
    /// Creates a mask of `[height, width]` pixels from one entry per pixel, row by row: `true` is
    /// missing.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if a side is 0 or there is not one entry per pixel.
    pub fn new(size: [usize; 2], missing: Vec<bool>) -> Result<Self> {
        if missing.is_empty() || element_count(&size) != Some(missing.len()) {
            let [height, width] = size;
            return Err(DataError::Inconsistent(format!(
                "{} entries are not a mask of {height} x {width} pixels",
                missing.len()
            )));
        }
        Ok(Self { size, missing })
    }

    /// Creates a mask of `[height, width]` pixels in which the rows from `first` down are missing,
    /// and the `first` rows above them are known.
    ///
    /// # Panics
    ///
    /// Panics if a side is 0 or `first` is above the height.
    pub fn rows_below(size: [usize; 2], first: usize) -> Self {
        let [height, width] = size;
        assert!(
            height > 0 && width > 0 && first <= height,
            "a mask of {height} x {width} pixels has no rows from {first} down"
        );
        let missing = (0..height * width).map(|pixel| pixel / width >= first);
        Self {
            size,
            missing: missing.collect(),
        }
    }

    /// Creates a mask of `[height, width]` pixels in which the upper half is known and the lower
    /// half is missing; the central row of an odd height is missing too.
    ///
    /// # Panics
    ///
    /// Panics if a side is 0.
    pub fn lower_half(size: [usize; 2]) -> Self {
        Self::of_region(Region::Lower, size)
    }

    /// Creates a mask of `[height, width]` pixels in which a region is missing.
    ///
    /// ```
    /// use pixel_iqn_data::{Mask, Region};
    ///
    /// let mask = Mask::of_region("left".parse()?, [4, 6]);
    /// assert!(mask.is_missing(0, 2) && !mask.is_missing(0, 3));
    /// # assert_eq!(mask, Mask::of_region(Region::Left, [4, 6]));
    /// # Ok::<(), pixel_iqn_data::DataError>(())
    /// ```
    ///
    /// # Panics
    ///
    /// Panics if a side is 0.
    pub fn of_region(region: Region, size: [usize; 2]) -> Self {
        let [height, width] = size;
        assert!(
            height > 0 && width > 0,
            "a mask of {height} x {width} pixels has no pixel"
        );
        let missing = (0..height * width).map(|i| region.contains([i / width, i % width], size));
        Self {
            size,
            missing: missing.collect(),
        }
    }

    /// Reads a mask from a PNG file in black and white: white pixels are missing and to be
    /// completed, black pixels are known.
    ///
    /// The file may be stored in grey, in colour or with a palette, but each pixel must be exactly
    /// black or white and opaque: a mask with soft edges does not say which pixels to keep.
    ///
    /// ```
    /// use pixel_iqn_data::{ImageGrid, Mask};
    ///
    /// # let folder = tempfile::tempdir().unwrap();
    /// # let path = folder.path().join("mask.png");
    /// // Two rows of two pixels: only the last pixel is missing.
    /// ImageGrid::new(&[0, 0, 0, 255], [1, 1, 2, 2])?.save(&path)?;
    /// let mask = Mask::from_png(&path)?;
    /// assert_eq!(mask, Mask::new([2, 2], vec![false, false, false, true])?);
    /// # Ok::<(), pixel_iqn_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DataError::Format`] for a file that is no PNG, [`DataError::Inconsistent`] with the row
    /// and column of a pixel that is neither black nor white or is transparent,
    /// [`DataError::Image`] for a damaged file, and [`DataError::Io`].
    pub fn from_png(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let image = decode_png(path)?.to_rgba8();
        let pixels = image.enumerate_pixels().map(|(x, y, pixel)| match pixel.0 {
            [MISSING, MISSING, MISSING, 255] => Ok(true),
            [KNOWN, KNOWN, KNOWN, 255] => Ok(false),
            [red, green, blue, alpha] => Err(DataError::Inconsistent(format!(
                "{}: the pixel in row {y}, column {x} is ({red}, {green}, {blue}) with alpha \
                 {alpha}, but a mask holds only white pixels, which are missing, and black pixels, \
                 which are known",
                path.display()
            ))),
        });
        let missing = pixels.collect::<Result<Vec<bool>>>()?;
        let size = [image.height(), image.width()].map(|side| side as usize);
        if missing.is_empty() {
            return Err(format(path, 0, "an image of one pixel or more", "none"));
        }
        Self::new(size, missing)
    }

    /// Returns `[height, width]`, in pixels.
    pub fn size(&self) -> [usize; 2] {
        self.size
    }

    /// Returns whether a pixel is missing; rows and columns count from 0 at the upper left.
    ///
    /// # Panics
    ///
    /// Panics if the row or the column is outside of the mask.
    pub fn is_missing(&self, row: usize, column: usize) -> bool {
        let [height, width] = self.size;
        assert!(
            row < height && column < width,
            "row {row}, column {column} is outside of a mask of {height} x {width} pixels"
        );
        self.missing[row * width + column]
    }

    /// Returns one entry per pixel, row by row: `true` is missing.
    pub fn missing(&self) -> &[bool] {
        &self.missing
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{GrayAlphaImage, GrayImage, Luma, LumaA, Rgb, RgbImage};

    use super::*;

    #[test]
    fn halves_and_rows() {
        let rows = |mask: &Mask| {
            let [height, width] = mask.size();
            let row = |row| (0..width).all(|column| mask.is_missing(row, column));
            (0..height).map(row).collect::<Vec<_>>()
        };
        assert_eq!(rows(&Mask::lower_half([4, 2])), [false, false, true, true]);
        assert_eq!(rows(&Mask::lower_half([3, 2])), [false, true, true]);
        assert_eq!(rows(&Mask::rows_below([3, 1], 3)), [false; 3]);
        assert_eq!(rows(&Mask::rows_below([3, 1], 0)), [true; 3]);
        assert_eq!(
            Mask::lower_half([2, 2]).missing(),
            [false, false, true, true]
        );
    }

    #[test]
    fn entries_must_fill_the_size() {
        for (size, entries) in [([2, 2], 3), ([0, 2], 0), ([usize::MAX, 2], 4)] {
            let result = Mask::new(size, vec![true; entries]);
            assert!(matches!(result, Err(DataError::Inconsistent(_))));
        }
    }

    #[test]
    #[should_panic = "a mask of 4 x 0 pixels has no pixel"]
    fn an_empty_mask_is_refused() {
        Mask::lower_half([4, 0]);
    }

    #[test]
    #[should_panic = "row 0, column 2 is outside of a mask of 2 x 2 pixels"]
    fn a_pixel_outside_is_refused() {
        Mask::lower_half([2, 2]).is_missing(0, 2);
    }

    #[test]
    fn black_and_white_files_of_any_kind_are_read() {
        let root = tempfile::tempdir().unwrap();
        let [grey, colour, alpha] = ["g.png", "c.png", "a.png"].map(|name| root.path().join(name));
        // Two rows of three pixels; the upper right corner is missing.
        let level = |x, y| if (x, y) == (2, 0) { 255 } else { 0 };
        GrayImage::from_fn(3, 2, |x, y| Luma([level(x, y)]))
            .save(&grey)
            .unwrap();
        RgbImage::from_fn(3, 2, |x, y| Rgb([level(x, y); 3]))
            .save(&colour)
            .unwrap();
        GrayAlphaImage::from_fn(3, 2, |x, y| LumaA([level(x, y), 255]))
            .save(&alpha)
            .unwrap();
        let expected = Mask::new([2, 3], vec![false, false, true, false, false, false]).unwrap();
        for path in [grey, colour, alpha] {
            assert_eq!(Mask::from_png(&path).unwrap(), expected);
        }
    }

    #[test]
    fn wrong_content_is_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.png");
        let error = || Mask::from_png(&path).unwrap_err();
        assert!(matches!(error(), DataError::Io { .. }));

        GrayImage::from_fn(3, 2, |x, y| Luma([if (x, y) == (1, 1) { 254 } else { 0 }]))
            .save(&path)
            .unwrap();
        let text = error().to_string();
        assert!(
            text.contains("row 1, column 1 is (254, 254, 254)") && text.contains("white pixels"),
            "{text}"
        );
        RgbImage::from_pixel(1, 1, Rgb([255, 0, 0]))
            .save(&path)
            .unwrap();
        assert!(error().to_string().contains("(255, 0, 0)"));
        GrayAlphaImage::from_pixel(1, 1, LumaA([255, 0]))
            .save(&path)
            .unwrap();
        assert!(error().to_string().contains("alpha 0"));

        // A JPEG or BMP is told from a PNG by its bytes, not by its name.
        let bmp = root.path().join("x.bmp");
        GrayImage::from_pixel(1, 1, Luma([255])).save(&bmp).unwrap();
        fs::rename(&bmp, &path).unwrap();
        let text = error().to_string();
        assert!(text.contains("expected a PNG image, found Bmp"), "{text}");
        fs::write(&path, b"\x89PNG\r\n\x1a\n").unwrap();
        assert!(matches!(error(), DataError::Image { .. }));
    }
}

//! Image grids: images side by side in one PNG file.

use std::{io::Cursor, path::Path};

use image::{ExtendedColorType, ImageEncoder, codecs::png::PngEncoder};

use crate::{
    atomic::write_atomically,
    error::{DataError, Result, image, option},
    memory,
    sizes::element_count,
};

/// Level of the gaps between the images: white.
const GAP_LEVEL: u8 = 255;

/// A grid of images, row by row, with white gaps between them and none around.
///
/// ```
/// use pixel_iqn_data::{ImageGrid, builtin};
///
/// let set = builtin::generate(0, 0..6, 32, 3)?;
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("grid.png");
/// // Three columns, every pixel twice as wide and high.
/// ImageGrid::new(set.images(), [6, 3, 32, 32])?
///     .with_columns(3)
///     .with_scale(2)
///     .save(&path)?;
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
#[derive(Clone, Copy, Debug)]
pub struct ImageGrid<'a> {
    levels: &'a [u8],
    shape: [usize; 4],
    columns: usize,
    scale: usize,
}

impl<'a> ImageGrid<'a> {
    /// Creates a grid of the images `levels` of shape `[N, C, H, W]`, with `C` of 1 (grey) or 3
    /// (colour), in as many columns as make it about square and at their own size.
    ///
    /// # Errors
    ///
    /// [`DataError::Option`] if `C` is neither 1 nor 3, and [`DataError::Inconsistent`] if there
    /// is no image or the levels do not fill the shape.
    pub fn new(levels: &'a [u8], shape: [usize; 4]) -> Result<Self> {
        let [count, channels, ..] = shape;
        if !matches!(channels, 1 | 3) {
            return Err(option("channels", channels, "1 or 3"));
        }
        if levels.is_empty() || element_count(&shape) != Some(levels.len()) {
            return Err(DataError::Inconsistent(format!(
                "{} bytes are not images of the shape {shape:?}",
                levels.len()
            )));
        }
        Ok(Self {
            levels,
            shape,
            // The least square that holds them all.
            columns: (count - 1).isqrt() + 1,
            scale: 1,
        })
    }

    /// Sets the number of columns, 1 or more; more than there are images mean one row.
    pub fn with_columns(self, columns: usize) -> Self {
        Self { columns, ..self }
    }

    /// Sets how many pixels of the file a pixel of an image is wide and high, from 1 to 64.
    pub fn with_scale(self, scale: usize) -> Self {
        Self { scale, ..self }
    }

    /// Writes the grid as a PNG file, which appears at `path` whole or not at all.
    ///
    /// # Errors
    ///
    /// [`DataError::Option`] if `path` does not end in `.png`, the columns are 0 or the scale is
    /// not in `1..=64`, and [`DataError::Io`].
    pub fn save(&self, path: impl AsRef<Path>) -> Result<()> {
        let path = path.as_ref();
        let extension = path.extension().unwrap_or_default().to_string_lossy();
        if !extension.eq_ignore_ascii_case("png") {
            return Err(option("file", path.display(), "a name that ends in .png"));
        }
        write_atomically(path, &self.encode(path)?)
    }

    /// Encodes the grid as a PNG file; `path` serves for messages.
    pub(crate) fn encode(&self, path: &Path) -> Result<Vec<u8>> {
        let (pixels, [height, width]) = self.draw()?;
        let color = match self.shape[1] {
            1 => ExtendedColorType::L8,
            _ => ExtendedColorType::Rgb8,
        };
        let mut png = Cursor::new(Vec::new());
        PngEncoder::new(&mut png)
            .write_image(&pixels, width as u32, height as u32, color)
            .map_err(image(path))?;
        Ok(png.into_inner())
    }

    /// Draws the pixels of the file, interleaved, and returns them with their height and width.
    fn draw(&self) -> Result<(Vec<u8>, [usize; 2])> {
        let &Self { columns, scale, .. } = self;
        if columns == 0 {
            return Err(option("columns", columns, "1 or more"));
        }
        if !(1..=64).contains(&scale) {
            return Err(option("scale", scale, "from 1 to 64"));
        }
        let [count, channels, height, width] = self.shape;
        let gap = if scale == 1 { 1 } else { 2 };
        let columns = columns.min(count);
        let rows = count.div_ceil(columns);
        let grid_width = columns * (width * scale + gap) - gap;
        let grid_height = rows * (height * scale + gap) - gap;
        let mut pixels = memory::room(&[grid_width, grid_height, channels])?;
        pixels.resize(grid_width * grid_height * channels, GAP_LEVEL);
        let images = self.levels.chunks_exact(channels * height * width);
        for (index, image) in images.enumerate() {
            let left = index % columns * (width * scale + gap);
            let top = index / columns * (height * scale + gap);
            for y in 0..height * scale {
                for x in 0..width * scale {
                    let pixel = ((top + y) * grid_width + left + x) * channels;
                    for channel in 0..channels {
                        pixels[pixel + channel] =
                            image[(channel * height + y / scale) * width + x / scale];
                    }
                }
            }
        }
        Ok((pixels, [grid_height, grid_width]))
    }
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;

    #[test]
    fn images_lie_row_by_row_with_gaps() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("grid.png");
        // Three images of 1 x 2 in planar RGB.
        let images: Vec<u8> = (0..18).collect();
        let grid = ImageGrid::new(&images, [3, 3, 1, 2]).unwrap();
        grid.with_columns(2).save(&path).unwrap();
        let file = image::open(&path).unwrap().to_rgb8();
        assert_eq!(file.dimensions(), (5, 3));
        let white = [255; 3];
        let row = |y| (0..5).map(|x| file.get_pixel(x, y).0).collect::<Vec<_>>();
        assert_eq!(
            row(0),
            [[0, 2, 4], [1, 3, 5], white, [6, 8, 10], [7, 9, 11]]
        );
        assert_eq!(row(1), [white; 5]);
        assert_eq!(row(2), [[12, 14, 16], [13, 15, 17], white, white, white]);
        assert_eq!(
            fs::read_dir(root.path()).unwrap().count(),
            1,
            "a temporary file was left"
        );
    }

    #[test]
    fn a_single_image_has_no_border() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("one.png");
        let grid = ImageGrid::new(&[7, 9], [1, 1, 1, 2]).unwrap();
        grid.with_scale(3).save(&path).unwrap();
        let image = image::open(&path).unwrap().to_luma8();
        assert_eq!(image.dimensions(), (6, 3));
        assert_eq!(image.into_raw(), [[7, 7, 7, 9, 9, 9]; 3].concat());
    }

    #[test]
    fn a_grid_is_about_square_by_itself() {
        for (count, columns) in [(1, 1), (2, 2), (4, 2), (5, 3), (9, 3), (64, 8)] {
            let grid = ImageGrid::new(&[0; 64][..count], [count, 1, 1, 1]).unwrap();
            assert_eq!(grid.columns, columns, "{count}");
        }
    }

    #[test]
    fn what_is_no_grid_is_refused() {
        let new = |bytes: usize, shape| ImageGrid::new(&[0; 16][..bytes], shape).map(|_| ());
        assert!(new(4, [1, 1, 2, 2]).is_ok());
        for (bytes, shape) in [(8, [1, 2, 2, 2]), (16, [1, 4, 2, 2])] {
            assert!(matches!(new(bytes, shape), Err(DataError::Option { .. })));
        }
        for (bytes, shape) in [(3, [1, 1, 2, 2]), (0, [0, 1, 2, 2]), (0, [1, 1, 0, 2])] {
            assert!(matches!(new(bytes, shape), Err(DataError::Inconsistent(_))));
        }

        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.png");
        let grid = ImageGrid::new(&[0; 4], [1, 1, 2, 2]).unwrap();
        assert!(grid.save(&path).is_ok());
        for (result, name) in [
            (grid.with_columns(0).save(&path), "columns"),
            (grid.with_scale(0).save(&path), "scale"),
            (grid.with_scale(65).save(&path), "scale"),
            (grid.save(root.path().join("x.jpg")), "file"),
        ] {
            assert!(matches!(result, Err(DataError::Option { name: n, .. }) if n == name));
        }
        let nowhere = root.path().join("no/folder/x.png");
        assert!(matches!(grid.save(&nowhere), Err(DataError::Write { .. })));
    }
}

//! Single image files, decoded and brought to one size.

use std::path::Path;

use image::{DynamicImage, ImageFormat, ImageReader, Limits, imageops::FilterType};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format, image},
    sizes::check_image_options,
};

/// Memory that decoding one image may take: 256 MiB, above a photograph of 60 megapixels.
const DECODE_LIMIT: u64 = 256 << 20;

/// The way in which image files come to the size of the set.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
#[non_exhaustive]
pub enum Fit {
    /// Cuts out the largest square in the middle and scales it with a triangle filter, which
    /// averages over all covered pixels and does not ring at edges. An image that has the size
    /// already keeps its levels.
    #[default]
    CropAndScale,
    /// Fails for an image of another size.
    Exact,
}

impl ImageDataset {
    /// Reads image files as a set of colour images, `[N, 3, size, size]`, in the given order and
    /// without classes.
    ///
    /// PNG, JPEG, WebP and BMP can be decoded. The largest square in the middle of an image is
    /// scaled to `size`; an image that has the size already keeps its levels. Grey images become
    /// colour, levels of 16 bits become 8 bits, and transparency is dropped. For grey images call
    /// [`into_grey`](Self::into_grey) on the set.
    ///
    /// ```no_run
    /// use pixel_iqn_data::ImageDataset;
    ///
    /// let images = ImageDataset::from_files(["left.png", "right.jpg"], 32)?;
    /// assert_eq!((images.len(), images.shape()), (2, [3, 32, 32]));
    /// # Ok::<(), pixel_iqn_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// [`DataError::Option`] for a size of 0 or above 4096, [`DataError::Inconsistent`] without a
    /// path, [`DataError::Io`] for a file that cannot be read, and [`DataError::Image`] for one
    /// that cannot be decoded.
    pub fn from_files<P: AsRef<Path>>(
        paths: impl IntoIterator<Item = P>,
        size: usize,
    ) -> Result<Self> {
        load(paths, size, 3, Fit::CropAndScale)
    }
}

/// Reads image files in the given order.
pub(crate) fn load<P: AsRef<Path>>(
    paths: impl IntoIterator<Item = P>,
    size: usize,
    channels: usize,
    fit: Fit,
) -> Result<ImageDataset> {
    check_image_options(size, channels)?;
    let paths = paths.into_iter();
    let mut images = Vec::with_capacity(paths.size_hint().0 * channels * size * size);
    for path in paths {
        let path = path.as_ref();
        let decoded = open(path)?.decode().map_err(image(path))?;
        images.extend(planar(&resize(decoded, path, size, fit)?, channels));
    }
    if images.is_empty() {
        let message = "a set needs one image file or more".to_owned();
        return Err(DataError::Inconsistent(message));
    }
    ImageDataset::new(images, [channels, size, size])
}

/// Reads the height and width of an image file without decoding it.
pub(crate) fn size(path: &Path) -> Result<[usize; 2]> {
    let (width, height) = open(path)?.into_dimensions().map_err(image(path))?;
    Ok([height as usize, width as usize])
}

/// Decodes an image file, which must be a PNG.
pub(crate) fn decode_png(path: &Path) -> Result<DynamicImage> {
    let reader = open(path)?;
    match reader.format() {
        Some(ImageFormat::Png) => reader.decode().map_err(image(path)),
        other => {
            let found = other.map_or("another format".to_owned(), |other| format!("{other:?}"));
            Err(format(path, 0, "a PNG image", found))
        }
    }
}

/// Opens a reader that knows the format by the first bytes of the file and that limits the memory.
fn open(path: &Path) -> Result<ImageReader<std::io::BufReader<std::fs::File>>> {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_LIMIT);
    let reader = ImageReader::open(path).map_err(at(path))?;
    let mut reader = reader.with_guessed_format().map_err(at(path))?;
    reader.limits(limits);
    Ok(reader)
}

/// Brings an image to `size` x `size`.
fn resize(image: DynamicImage, path: &Path, size: usize, fit: Fit) -> Result<DynamicImage> {
    let (width, height) = (image.width(), image.height());
    let target = size as u32;
    if (width, height) == (target, target) {
        return Ok(image);
    }
    match fit {
        Fit::Exact => Err(format(
            path,
            0,
            format!("an image of {size} x {size}"),
            format!("{width} x {height}"),
        )),
        Fit::CropAndScale => {
            let side = width.min(height);
            let square = image.crop_imm((width - side) / 2, (height - side) / 2, side, side);
            Ok(square.resize_exact(target, target, FilterType::Triangle))
        }
    }
}

/// Returns the levels of an image channel by channel.
fn planar(image: &DynamicImage, channels: usize) -> Vec<u8> {
    if channels == 1 {
        return image.to_luma8().into_raw();
    }
    let rgb = image.to_rgb8();
    (0..channels)
        .flat_map(|channel| rgb.pixels().map(move |pixel| pixel[channel]))
        .collect()
}

#[cfg(test)]
mod tests {
    use std::fs;

    use image::{Rgb, RgbImage};

    use super::*;
    use crate::testing::mutate;

    #[test]
    fn files_are_read_in_the_given_order() {
        let root = tempfile::tempdir().unwrap();
        let [a, b] = ["a.png", "b.bmp"].map(|name| root.path().join(name));
        RgbImage::from_pixel(2, 2, Rgb([1, 2, 3])).save(&a).unwrap();
        image::GrayImage::from_pixel(2, 2, image::Luma([9]))
            .save(&b)
            .unwrap();
        let set = ImageDataset::from_files([&b, &a, &b], 2).unwrap();
        assert_eq!((set.len(), set.shape()), (3, [3, 2, 2]));
        assert_eq!(set.image(0), [9; 12]);
        assert_eq!(set.image(1), [1, 1, 1, 1, 2, 2, 2, 2, 3, 3, 3, 3]);
        assert_eq!(set.image(2), set.image(0));
        assert_eq!(set.labels(), None);
    }

    #[test]
    fn files_that_cannot_be_read_are_named() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.png");
        let read = |size| ImageDataset::from_files([&path], size);
        assert!(matches!(read(2), Err(DataError::Io { path: named, .. }) if named == path));
        fs::write(&path, "no image").unwrap();
        assert!(matches!(read(2), Err(DataError::Image { path: named, .. }) if named == path));
        assert!(matches!(read(0), Err(DataError::Option { .. })));
        let none = ImageDataset::from_files([""; 0], 2);
        assert!(matches!(none, Err(DataError::Inconsistent(_))));
    }

    #[test]
    fn other_sizes_are_cropped_and_scaled_or_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("wide.png");
        // Bright columns to the left and right, which the crop removes.
        let level = |x| if (2..6).contains(&x) { 40 } else { 255 };
        RgbImage::from_fn(8, 4, |x, _| Rgb([level(x); 3]))
            .save(&path)
            .unwrap();
        let set = load([&path], 2, 1, Fit::CropAndScale).unwrap();
        assert_eq!(set.image(0), [40; 4]);
        let error = load([&path], 2, 1, Fit::Exact).unwrap_err().to_string();
        let expected = "expected an image of 2 x 2, found 8 x 4";
        assert!(error.contains(expected), "{error}");
        assert_eq!(size(&path).unwrap(), [4, 8]);
    }

    #[test]
    fn a_colour_set_in_grey_is_the_grey_set() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.png");
        RgbImage::from_fn(4, 4, |x, y| Rgb([60 * x as u8, 255 - 80 * y as u8, 77]))
            .save(&path)
            .unwrap();
        let colour = ImageDataset::from_files([&path], 4).unwrap();
        let grey = load([&path], 4, 1, Fit::Exact).unwrap();
        assert_eq!(colour.into_grey().unwrap(), grey);
        assert_eq!(grey.clone().into_grey().unwrap(), grey);
    }

    fn png() -> Vec<u8> {
        let mut bytes = std::io::Cursor::new(Vec::new());
        let image = RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8, y as u8, 200]));
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_image_never_panics(bytes in mutate(png())) {
            let root = tempfile::tempdir().unwrap();
            let path = root.path().join("x.png");
            fs::write(&path, bytes).unwrap();
            if let Ok(set) = load([&path], 4, 3, Fit::Exact) {
                proptest::prop_assert_eq!(set.images().len(), 48);
            }
        }
    }
}

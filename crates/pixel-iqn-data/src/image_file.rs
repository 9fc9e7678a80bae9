//! Single image files, decoded and brought to one size.

use std::{
    fs::{self, File},
    io::{BufRead, BufReader, Cursor, Read, Seek},
    path::Path,
};

use image::{DynamicImage, ImageDecoder, ImageFormat, ImageReader, Limits, imageops::FilterType};

use crate::{
    content,
    dataset::ImageDataset,
    error::{DataError, Result, at, format, image},
    jpeg, listing, memory,
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
    /// colour, levels of 16 bits become 8 bits, and transparency is dropped. Photographs are turned as
    /// their EXIF orientation says, as viewers do. For grey images call
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
    /// [`DataError::Option`] for a size of 0 or above 4096, [`DataError::Memory`] for more images than
    /// fit in memory, [`DataError::Inconsistent`] without a path, [`DataError::Io`] for a file that cannot be read, [`DataError::Format`] for one that is
    /// no image or a JPEG of which a part is missing, and [`DataError::Image`] for one that cannot be
    /// decoded.
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
    let mut images = memory::room(&[paths.size_hint().0, channels, size, size])?;
    for path in paths {
        let path = path.as_ref();
        let decoded = decode(path)?;
        let levels = planar(&resize(decoded, path, size, fit)?, channels);
        memory::reserve(&mut images, levels.len())?;
        images.extend(levels);
    }
    if images.is_empty() {
        let message = "a set needs one image file or more".to_owned();
        return Err(DataError::Inconsistent(message));
    }
    ImageDataset::new(images, [channels, size, size])
}

/// Reads the height and width of an image file, as it is turned, without decoding it.
pub(crate) fn size(path: &Path) -> Result<[usize; 2]> {
    let mut decoder = open(path)?.into_decoder().map_err(image(path))?;
    let (width, height) = decoder.dimensions();
    let orientation = decoder.orientation().map_err(image(path))?;
    // A small image shows whether its axes change places.
    let mut probe = DynamicImage::new_luma8(1, 2);
    probe.apply_orientation(orientation);
    Ok(match probe.width() {
        1 => [height as usize, width as usize],
        _ => [width as usize, height as usize],
    })
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
fn open(path: &Path) -> Result<ImageReader<BufReader<File>>> {
    let mut file = File::open(path).map_err(at(path))?;
    let mut start = Vec::new();
    (&mut file)
        .take(512)
        .read_to_end(&mut start)
        .and_then(|_| file.rewind())
        .map_err(at(path))?;
    let known = kind_of(path, &start)?;
    let mut reader = ImageReader::with_format(BufReader::new(file), known);
    reader.limits(limits());
    Ok(reader)
}

/// Returns the format of an image by its first bytes, which can be decoded.
fn kind_of(path: &Path, start: &[u8]) -> Result<ImageFormat> {
    match image::guess_format(start) {
        Err(_) => Err(format(path, 0, "an image", content::describe(start))),
        Ok(known) if !known.reading_enabled() => Err(listing::unreadable(path)),
        Ok(known) => Ok(known),
    }
}

fn limits() -> Limits {
    let mut limits = Limits::default();
    limits.max_alloc = Some(DECODE_LIMIT);
    limits
}

/// Decodes an image file and turns it as its EXIF orientation says. Images of which a part is
/// missing are refused.
fn decode(path: &Path) -> Result<DynamicImage> {
    let reader = open(path)?;
    if reader.format() != Some(ImageFormat::Jpeg) {
        return decode_from(reader, path, || Ok(()));
    }
    // The decoder of JPEG holds the whole file in any case.
    decode_bytes(path, &fs::read(path).map_err(at(path))?)
}

/// Decodes the bytes of an image file as those of a file at `path`, which serves for messages.
pub(crate) fn decode_bytes(path: &Path, bytes: &[u8]) -> Result<DynamicImage> {
    let known = kind_of(path, &bytes[..bytes.len().min(512)])?;
    let mut reader = ImageReader::with_format(Cursor::new(bytes), known);
    reader.limits(limits());
    decode_from(reader, path, || match known {
        ImageFormat::Jpeg => jpeg::check(path, bytes),
        _ => Ok(()),
    })
}

/// Decodes an image, after a check that needs a header of a size within the limits.
fn decode_from<R: BufRead + Seek>(
    reader: ImageReader<R>,
    path: &Path,
    check: impl FnOnce() -> Result<()>,
) -> Result<DynamicImage> {
    let mut decoder = reader.into_decoder().map_err(image(path))?;
    limits()
        .reserve(decoder.total_bytes())
        .map_err(image(path))?;
    check()?;
    let orientation = decoder.orientation().map_err(image(path))?;
    let mut decoded = DynamicImage::from_decoder(decoder).map_err(image(path))?;
    decoded.apply_orientation(orientation);
    Ok(decoded)
}

/// Brings an image to `size` x `size`.
pub(crate) fn resize(
    image: DynamicImage,
    path: &Path,
    size: usize,
    fit: Fit,
) -> Result<DynamicImage> {
    let (width, height) = (image.width(), image.height());
    let target = size as u32;
    if (width, height) == (target, target) {
        return Ok(image);
    }
    match fit {
        Fit::Exact => Err(DataError::Size {
            path: path.to_owned(),
            found: [height, width].map(|size| size as usize),
            expected: [size; 2],
        }),
        Fit::CropAndScale => {
            let side = width.min(height);
            let square = image.crop_imm((width - side) / 2, (height - side) / 2, side, side);
            Ok(square.resize_exact(target, target, FilterType::Triangle))
        }
    }
}

/// Returns the levels of an image channel by channel.
pub(crate) fn planar(image: &DynamicImage, channels: usize) -> Vec<u8> {
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
        let error = read(2).unwrap_err().to_string();
        assert!(
            error.contains("x.png") && error.contains("\"no image\""),
            "{error}"
        );
        fs::write(&path, &png()[..40]).unwrap();
        assert!(matches!(read(2), Err(DataError::Image { path: named, .. }) if named == path));
        assert!(matches!(read(0), Err(DataError::Option { .. })));
        let many = std::iter::repeat_n(&path, 1 << 40);
        let many = ImageDataset::from_files(many, 4096);
        assert!(matches!(many, Err(DataError::Memory { .. })));
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
        let expected = "is an image of 4 x 8, and one of 2 x 2 is needed (height, width)";
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

    #[test]
    fn photographs_are_turned_as_viewers_do() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x.jpg");
        // Wide, dark to the left and bright to the right.
        let picture = RgbImage::from_fn(32, 16, |x, _| Rgb([if x < 16 { 10 } else { 240 }; 3]));
        let mut bytes = Cursor::new(Vec::new());
        picture.write_to(&mut bytes, ImageFormat::Jpeg).unwrap();
        let mut bytes = bytes.into_inner();
        // Right behind the first marker, an EXIF segment with the orientation 6: the first row of
        // the file is the right column of the picture.
        let exif = b"\xff\xe1\x00\x22Exif\0\0II*\0\x08\0\0\0\x01\0\x12\x01\x03\0\x01\0\0\0\x06\0\0\0\0\0\0\0";
        bytes.splice(2..2, *exif);
        fs::write(&path, bytes).unwrap();
        assert_eq!(size(&path).unwrap(), [32, 16]);
        let decoded = decode(&path).unwrap().into_luma8();
        assert_eq!(decoded.dimensions(), (16, 32));
        assert!(decoded.get_pixel(8, 2)[0] < 30 && decoded.get_pixel(8, 29)[0] > 220);
    }

    fn png() -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        let image = RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8, y as u8, 200]));
        image.write_to(&mut bytes, ImageFormat::Png).unwrap();
        bytes.into_inner()
    }

    /// A JPEG shows a part of its image where the others fail; all have to say so.
    #[test]
    fn a_part_of_an_image_is_no_image() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("x");
        let picture = RgbImage::from_fn(19, 17, |x, y| Rgb([(x * x * y) as u8, y as u8, 200]));
        for kind in [
            ImageFormat::Png,
            ImageFormat::Bmp,
            ImageFormat::WebP,
            ImageFormat::Jpeg,
        ] {
            let mut bytes = Cursor::new(Vec::new());
            picture.write_to(&mut bytes, kind).unwrap();
            let bytes = bytes.into_inner();
            fs::write(&path, &bytes).unwrap();
            let whole = decode(&path).unwrap();
            let file = File::options().write(true).open(&path).unwrap();
            for end in (0..bytes.len()).rev() {
                file.set_len(end as u64).unwrap();
                if let Ok(part) = decode(&path) {
                    // What is missing is no image data, but an end marker or a checksum.
                    assert_eq!(
                        part,
                        whole,
                        "{kind:?} cut to {end} of {} bytes",
                        bytes.len()
                    );
                    assert!(bytes.len() - end <= 16, "{kind:?} {end}");
                }
            }
        }
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

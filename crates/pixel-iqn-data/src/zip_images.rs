//! Archives of image files.

use std::{
    io::{Read, Seek},
    path::Path,
};

use npyz::zip::ZipArchive;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    folder::Fit,
    image_file, listing, memory, natural,
};

/// Longest image file that is unpacked: 256 MiB.
const LIMIT: u64 = 256 << 20;

/// Reads the images of an archive in the order of their names, in colour; `None` where there is
/// none. With a `size` they are cut and scaled to it. `path` serves for messages.
///
/// Files are chosen, decoded and checked as those of a folder are: see
/// [`folder::load`](crate::folder::load).
///
/// # Errors
///
/// [`DataError::Image`](crate::DataError::Image) for an image that cannot be decoded,
/// [`DataError::Size`] for one of another size than the first, [`DataError::Format`] for one above
/// 256 MiB, and [`DataError::Io`] for a damaged archive.
pub(crate) fn read<R: Read + Seek>(
    archive: &mut ZipArchive<R>,
    path: &Path,
    size: Option<usize>,
) -> Result<Option<ImageDataset>> {
    if archive.file_names().count() != archive.len() {
        let expected = "files of different names";
        return Err(format(path, 0, expected, "two of the same name"));
    }
    let mut names: Vec<String> = archive
        .file_names()
        .filter(|name| is_candidate(name))
        .map(str::to_owned)
        .collect();
    names.sort_by(|a, b| natural::compare(a, b));
    let mut images = Vec::new();
    let mut shape = None;
    for name in names {
        // A name that begins with a slash would take the place of the path.
        let path = path.join(name.trim_start_matches('/'));
        let entry = archive
            .by_name(&name)
            .map_err(|error| at(&path)(error.into()))?;
        let mut bytes = Vec::new();
        entry
            .take(LIMIT + 1)
            .read_to_end(&mut bytes)
            .map_err(at(&path))?;
        if !listing::is_image(&path, || Ok(bytes[..bytes.len().min(64)].to_vec()))? {
            continue;
        }
        if bytes.len() as u64 > LIMIT {
            return Err(format(&path, 0, "an image file of 256 MiB at most", "more"));
        }
        let mut decoded = image_file::decode_bytes(&path, &bytes)?;
        if let Some(size) = size {
            decoded = image_file::resize(decoded, &path, size, Fit::CropAndScale)?;
        }
        let found = [decoded.height(), decoded.width()];
        let [height, width] = *shape.get_or_insert(found);
        if found != [height, width] {
            return Err(DataError::Size {
                path,
                found: found.map(|size| size as usize),
                expected: [height, width].map(|size| size as usize),
            });
        }
        memory::reserve(&mut images, 3 * (width * height) as usize)?;
        images.extend(image_file::planar(&decoded, 3));
    }
    shape
        .map(|[height, width]| ImageDataset::new(images, [3, height as usize, width as usize]))
        .transpose()
}

/// Returns whether a name may be that of an image: not a folder, and not hidden.
fn is_candidate(name: &str) -> bool {
    !name.ends_with('/') && !name.split('/').any(listing::is_passed_over)
}

#[cfg(test)]
mod tests {
    use std::{
        fs,
        io::{Cursor, Write},
    };

    use ::image::{GrayImage, ImageFormat, Luma, Rgb, RgbImage};
    use npyz::zip::{CompressionMethod, ZipWriter, write::FileOptions};

    use super::*;
    use crate::testing::mutate;

    fn encoded(image: impl Into<image::DynamicImage>, kind: ImageFormat) -> Vec<u8> {
        let mut bytes = Cursor::new(Vec::new());
        image.into().write_to(&mut bytes, kind).unwrap();
        bytes.into_inner()
    }

    fn flat(width: u32, pixel: [u8; 3]) -> Vec<u8> {
        encoded(RgbImage::from_pixel(width, 1, Rgb(pixel)), ImageFormat::Png)
    }

    fn zip(files: &[(&str, &[u8])]) -> Vec<u8> {
        let options = FileOptions::default().compression_method(CompressionMethod::Deflated);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, bytes) in files {
            zip.start_file(*name, options).unwrap();
            zip.write_all(bytes).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn load(bytes: &[u8]) -> Result<ImageDataset> {
        let file = tempfile::NamedTempFile::new().unwrap();
        fs::write(file.path(), bytes).unwrap();
        ImageDataset::from_archive(file.path())
    }

    #[test]
    fn images_are_read_in_the_order_of_their_names() {
        let grey = GrayImage::from_pixel(2, 1, Luma([9]));
        let set = load(&zip(&[
            ("set/b.png", &flat(2, [1, 2, 3])),
            ("set/", b""),
            ("set/a.bmp", &encoded(grey, ImageFormat::Bmp)),
            ("set/no_ending", &flat(2, [4, 5, 6])),
            ("set/notes.txt", b"no image"),
            ("set/.hidden.png", b"no image"),
            ("__MACOSX/set/._b.png", b"no image"),
        ]))
        .unwrap();
        assert_eq!((set.len(), set.shape()), (3, [3, 1, 2]));
        assert_eq!(set.image(0), [9; 6]);
        assert_eq!(set.image(1), [1, 1, 2, 2, 3, 3]);
        assert_eq!(set.image(2), [4, 4, 5, 5, 6, 6]);
        assert_eq!(set.labels(), None);
    }

    #[test]
    fn other_sizes_and_broken_images_are_named() {
        let good = flat(2, [1, 2, 3]);
        let error = load(&zip(&[("a.png", &good), ("b.png", &flat(3, [0; 3]))])).unwrap_err();
        assert!(
            matches!(&error, DataError::Size { path, found: [1, 3], expected: [1, 2], .. }
                if path.ends_with("b.png")),
            "{error}"
        );
        // Of two files with one name the second would hide the first.
        let mut twice = zip(&[("a.png", &good), ("b.png", &flat(2, [7; 3]))]);
        for place in 0..twice.len() - 5 {
            if &twice[place..place + 5] == b"b.png" {
                twice[place] = b'a';
            }
        }
        let error = load(&twice).unwrap_err().to_string();
        assert!(error.contains("two of the same name"), "{error}");
        // A size brings them to one.
        let file = tempfile::NamedTempFile::new().unwrap();
        let archive = zip(&[("a.png", &good), ("b.png", &flat(3, [7; 3]))]);
        fs::write(file.path(), archive).unwrap();
        let set = ImageDataset::from_archive_scaled(file.path(), 1).unwrap();
        assert_eq!((set.shape(), set.image(1)), ([3, 1, 1], &[7; 3][..]));
        assert!(ImageDataset::from_archive_scaled(file.path(), 0).is_err());
        let error = load(&zip(&[("a.png", &good), ("c.png", b"no image")])).unwrap_err();
        assert!(
            matches!(&error, DataError::Format { path, .. } if path.ends_with("c.png")),
            "{error}"
        );
        // As a folder, an archive loses no image silently.
        let error = load(&zip(&[("a.png", &good), ("d.heic", b"an image")])).unwrap_err();
        assert!(error.to_string().contains("d.heic"), "{error}");
        let error = load(&zip(&[("notes.txt", b"no image")]))
            .unwrap_err()
            .to_string();
        assert!(error.contains("image files"), "{error}");
        assert!(error.contains("notes.txt"), "{error}");
    }

    proptest::proptest! {
        #[test]
        fn a_damaged_archive_never_panics(bytes in mutate(zip(&[("a.png", &flat(2, [1; 3]))]))) {
            if let Ok(set) = load(&bytes) {
                proptest::prop_assert_eq!(set.shape()[0], 3);
            }
        }
    }
}

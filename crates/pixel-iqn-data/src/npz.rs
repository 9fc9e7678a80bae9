//! Arrays of numbers and images in the `.npz` and `.npy` files of NumPy, and images in archives.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek, Write},
    path::Path,
};

use npyz::{
    TypeChar, WriterBuilder,
    npz::{NpzArchive, file_name_from_array_name},
    zip::{CompressionMethod, DateTime, ZipWriter, result::ZipError, write::FileOptions},
};

use crate::{
    atomic::write_atomically,
    content,
    dataset::ImageDataset,
    error::{DataError, Result, at, at_write, format},
    npy::{self, Array, numbers},
    sizes::check_image_options,
    unpack::start_of,
    zip_images,
};

/// An array of numbers in double precision, with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct NpzArray {
    /// The sizes of the axes.
    pub shape: Vec<usize>,
    /// All numbers, in C order (the last axis varies fastest).
    pub values: Vec<f64>,
}

/// Reads arrays of an `.npz` file by their names; an array that is not there is `None`. All are
/// `None` for an `.npy` file, whose array has no name.
///
/// Arrays in Fortran order are brought in C order.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io), and [`DataError::Format`](crate::DataError::Format)
/// where an array does not consist of integers or of floating point numbers of 4 or 8 bytes.
pub fn read_npz<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<NpzArray>; N]> {
    let mut arrays = [const { None }; N];
    let Content::Archive(mut archive) = open(path)? else {
        return Ok(arrays);
    };
    for (name, slot) in names.iter().zip(&mut arrays) {
        if let Some((shape, kind, bytes)) = find(&mut archive, path, name)? {
            let Some(values) = numbers(&kind, &bytes) else {
                let expected = format!("numbers as {name}");
                return Err(format(path, 0, expected, kind.to_string()));
            };
            let shape = shape.into_iter().map(|size| size as usize).collect();
            *slot = Some(NpzArray { shape, values });
        }
    }
    Ok(arrays)
}

/// The names of the arrays in an `.npz` file; none for a file that is no archive.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io).
pub fn array_names(path: &Path) -> Result<Vec<String>> {
    match open(path)? {
        Content::Archive(mut archive) => {
            let files = archive.zip_archive().file_names();
            let arrays = files.filter_map(|file| file.strip_suffix(".npy"));
            Ok(arrays.map(str::to_owned).collect())
        }
        _ => Ok(Vec::new()),
    }
}

/// Writes arrays of double precision under their names to a compressed `.npz` file, which appears
/// at `path` whole or not at all.
///
/// # Errors
///
/// [`DataError::Write`](crate::DataError::Write).
pub fn write_npz(path: &Path, arrays: &[(&str, &NpzArray)]) -> Result<()> {
    write_npz_with_comment(path, arrays, "")
}

/// The comment of an `.npz` file, which readers of arrays pass over; empty for a file without one.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io).
pub fn npz_comment(path: &Path) -> Result<String> {
    match open(path)? {
        Content::Archive(mut archive) => {
            let comment = archive.zip_archive().comment();
            Ok(String::from_utf8_lossy(comment).into_owned())
        }
        _ => Ok(String::new()),
    }
}

/// Does as [`write_npz`], with a comment that says in a line what the arrays are.
///
/// # Errors
///
/// Fails where [`write_npz`] does.
pub fn write_npz_with_comment(
    path: &Path,
    arrays: &[(&str, &NpzArray)],
    comment: &str,
) -> Result<()> {
    let encode = || -> std::io::Result<Vec<u8>> {
        let options = FileOptions::default()
            .compression_method(CompressionMethod::Deflated)
            // The same arrays make the same bytes, at whatever time.
            .last_modified_time(DateTime::default());
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        zip.set_comment(comment);
        for (name, array) in arrays {
            zip.start_file(file_name_from_array_name(name), options)?;
            let shape: Vec<u64> = array.shape.iter().map(|&size| size as u64).collect();
            let writer = npyz::WriteOptions::new().default_dtype().shape(&shape);
            let mut writer = writer.writer(&mut zip).begin_nd()?;
            writer.extend(&array.values)?;
            writer.finish()?;
        }
        let mut bytes = zip.finish()?;
        bytes.flush()?;
        Ok(bytes.into_inner())
    };
    write_atomically(path, &encode().map_err(at_write(path))?)
}

impl ImageDataset {
    /// Reads a set without labels from one file, whose content and not whose name says what it is.
    ///
    /// - An `.npz` file with the array `arr_0`: uint8 images `[N, H, W, C]` or `[N, H, W]`, as
    ///   [`NpzWriter`](crate::NpzWriter) and other tools of this field write them. Other arrays
    ///   beside it are left alone; [`read_npz`] reads them.
    /// - An `.npy` file with such an array.
    /// - A `.zip` of image files, all of one size, in the natural order of their names. They become
    ///   colour images without classes, whatever folders of the archive they are in; for grey images
    ///   call [`into_grey`](Self::into_grey) on the set. PNG, JPEG, WebP and BMP can be decoded.
    ///   Files that are no images, hidden files and `__MACOSX` are passed over.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`](crate::DataError::Io), [`DataError::Format`](crate::DataError::Format)
    /// where there is neither such an array nor an image, and for a web page
    /// in the place of the file, [`DataError::Image`](crate::DataError::Image) for an image that
    /// cannot be decoded, [`DataError::Empty`](crate::DataError::Empty) where an array is empty, and
    /// [`DataError::Size`](crate::DataError::Size) for images of two sizes.
    pub fn from_archive(path: impl AsRef<Path>) -> Result<Self> {
        Self::of_archive(path.as_ref(), None)
    }

    /// Reads a set as [`from_archive`](Self::from_archive) does, with the image files of a `.zip` cut
    /// and scaled to `size` x `size`, as [`folder::load`](crate::folder::load) does. The images of an
    /// array stay as they are.
    ///
    /// # Errors
    ///
    /// Those of [`from_archive`](Self::from_archive), and
    /// [`DataError::Option`](crate::DataError::Option) for a size of 0 or above 4096.
    pub fn from_archive_scaled(path: impl AsRef<Path>, size: usize) -> Result<Self> {
        check_image_options(size, 3)?;
        Self::of_archive(path.as_ref(), Some(size))
    }

    fn of_archive(path: &Path, size: Option<usize>) -> Result<Self> {
        let mut archive = match open(path)? {
            Content::Archive(archive) => archive,
            Content::Array(reader) => return images(path, npy::read(path, "the array", reader)?),
        };
        if let Some(array) = find(&mut archive, path, "arr_0")? {
            return images(path, array);
        }
        let archive = archive.zip_archive();
        zip_images::read(archive, path, size)?.ok_or_else(|| {
            let mut names: Vec<&str> = archive.file_names().collect();
            names.sort();
            names.truncate(5);
            let expected = "an array \"arr_0\" or image files";
            format(path, 0, expected, format!("neither among {names:?}"))
        })
    }
}

/// The content of a file, by its first bytes.
enum Content {
    /// A zip archive, which an `.npz` file is.
    Archive(NpzArchive<BufReader<File>>),
    /// A single array.
    Array(BufReader<File>),
}

fn open(path: &Path) -> Result<Content> {
    let mut reader = BufReader::new(File::open(path).map_err(at(path))?);
    let start = start_of(path, &mut reader)?;
    if start.starts_with(npy::MAGIC) {
        return Ok(Content::Array(reader));
    }
    // An archive without a file begins with its end.
    if ![&b"PK\x03\x04"[..], b"PK\x05\x06"]
        .iter()
        .any(|magic| start.starts_with(magic))
    {
        let expected = "an npz, npy or zip file";
        return Err(format(path, 0, expected, content::describe(&start)));
    }
    let archive = NpzArchive::new(reader).map_err(|error| archive_error(path, error))?;
    Ok(Content::Archive(archive))
}

/// The error for an archive that cannot be opened.
pub(crate) fn archive_error(path: &Path, error: std::io::Error) -> DataError {
    match content::cut_off_archive(path) {
        Some(found) => format(path, 0, "a whole archive", found),
        None => at(path)(error),
    }
}

/// Makes a set of an array of images.
fn images(path: &Path, (shape, kind, mut bytes): Array) -> Result<ImageDataset> {
    let sizes: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
    if let Some(looks) = looks_like_another_form(&sizes) {
        let found = format!("{sizes:?}, {looks}");
        return Err(format(
            path,
            0,
            "images of shape (N, H, W, C) or (N, H, W)",
            found,
        ));
    }
    let is_bytes = kind.type_char() == TypeChar::Uint && kind.size_field() == 1;
    let (height, width, channels) = match sizes[..] {
        [_, height, width] if is_bytes => (height, width, 1),
        [_, height, width, channels] if is_bytes => (height, width, channels),
        _ => {
            let expected = "uint8 images of shape (N, H, W, C)";
            return Err(format(path, 0, expected, format!("{sizes:?} of {kind}")));
        }
    };
    // One image after the other, so that the set is in memory once.
    if !bytes.is_empty() && channels > 1 {
        let mut pixels = vec![0; height * width * channels];
        for image in bytes.chunks_exact_mut(pixels.len()) {
            pixels.copy_from_slice(image);
            into_planes(&pixels, image, channels);
        }
    }
    if bytes.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    ImageDataset::new(bytes, [channels, height, width])
}

/// Says what an array of this shape looks like that is no set of grey or colour images, and what to do in
/// NumPy; `None` where it looks like one.
fn looks_like_another_form(sizes: &[usize]) -> Option<String> {
    Some(match *sizes {
        [_, channels @ 1..=4, height, width] if width > 4 => format!(
            "which looks like {channels} channels of {height} x {width}: move the channels behind by \
             `x.transpose(0, 2, 3, 1)`"
        ),
        [_, _, _, 1 | 3] => return None,
        [_, _, _, 4] => "which has an alpha channel: leave it out by `x[..., :3]`".to_owned(),
        [_, _, _, channels] => {
            format!("which has {channels} channels: grey images have 1 and colour images 3")
        }
        [height, width, channels @ 1..=4] if height.min(width) > 4 => format!(
            "which looks like one image of {height} x {width} and {channels} channels: `x[None]` is a \
             set of it"
        ),
        [3, height, width] => format!(
            "which may be three grey images of {height} x {width} or one in colour: `x[..., None]` are \
             the former, `x.transpose(1, 2, 0)[None]` is the latter"
        ),
        _ => return None,
    })
}

/// Writes the levels of one image `[H, W, C]` channel by channel.
fn into_planes(pixels: &[u8], image: &mut [u8], channels: usize) {
    let plane = pixels.len() / channels;
    for (i, level) in image.iter_mut().enumerate() {
        *level = pixels[i % plane * channels + i / plane];
    }
}

/// Reads an array, which must be there.
pub(crate) fn array<R: Read + Seek>(
    archive: &mut NpzArchive<R>,
    path: &Path,
    name: &str,
) -> Result<Array> {
    find(archive, path, name)?.ok_or_else(|| {
        let expected = format!("an array {name:?}");
        format(path, 0, expected, "none of that name")
    })
}

/// Reads an array; `None` where no array has that name.
fn find<R: Read + Seek>(
    archive: &mut NpzArchive<R>,
    path: &Path,
    name: &str,
) -> Result<Option<Array>> {
    match archive
        .zip_archive()
        .by_name(&file_name_from_array_name(name))
    {
        Err(ZipError::FileNotFound) => Ok(None),
        Err(error) => Err(at(path)(error.into())),
        Ok(entry) => npy::read(path, name, entry).map(Some),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{npy, npy_header, npz};

    #[test]
    fn arrays_of_every_type_are_read_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("numbers.npz");
        let float = 2.5f32.to_be_bytes();
        let double = (-1.25f64).to_le_bytes();
        let bytes = npz(&[
            ("single", &npy_header(">f4", "(1,)"), &float),
            ("double", &npy_header("<f8", "(1, 1)"), &double),
            ("integer", &npy_header("<i2", "(2,)"), &[0xff, 0xff, 7, 0]),
            ("text", &npy_header("|S1", "(1,)"), b"x"),
        ]);
        std::fs::write(&path, bytes).unwrap();
        let [single, double, integer, none] =
            read_npz(&path, ["single", "double", "integer", "none"]).unwrap();
        assert_eq!(single.unwrap().values, [2.5]);
        assert_eq!(double.as_ref().unwrap().shape, [1, 1]);
        assert_eq!(double.unwrap().values, [-1.25]);
        assert_eq!(integer.unwrap().values, [-1.0, 7.0]);
        assert_eq!(none, None);
        let error = read_npz(&path, ["text"]).unwrap_err().to_string();
        assert!(error.contains("expected numbers as text"), "{error}");
    }

    #[test]
    fn written_arrays_and_images_come_back() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        let array = NpzArray {
            shape: vec![2, 3],
            values: (0..6).map(|i| f64::from(i) / 3.0).collect(),
        };
        write_npz(&path, &[("x", &array), ("y", &array)]).unwrap();
        assert_eq!(read_npz(&path, ["y"]).unwrap(), [Some(array)]);

        let images: Vec<u8> = (0..2 * 3 * 3 * 2).collect();
        let mut writer = crate::NpzWriter::open(&path, [2, 3, 3, 2], "test").unwrap();
        writer.append(&images).unwrap();
        writer.finish().unwrap();
        let set = ImageDataset::from_archive(&path).unwrap();
        assert_eq!((set.shape(), set.images()), ([3, 3, 2], &images[..]));
    }

    #[test]
    fn other_files_are_called_what_they_are() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        for (bytes, expected) in [
            (
                &b"a = 1\n"[..],
                "an npz, npy or zip file, found text that begins",
            ),
            (b"", "an empty file"),
            (b"\x89PNG\r\n", "a PNG image"),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let error = ImageDataset::from_archive(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn arrays_of_other_forms_and_empty_ones_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("a.npz");
        for (shape, bytes, expected) in [
            ("(1, 3, 5, 6)", 90, "x.transpose(0, 2, 3, 1)"),
            ("(1, 5, 6, 4)", 120, "x[..., :3]"),
            ("(1, 5, 6, 2)", 60, "which has 2 channels"),
            ("(1, 5, 6, 9)", 270, "which has 9 channels"),
            ("(5, 6, 3)", 90, "x[None]"),
            (
                "(3, 5, 6)",
                90,
                "three grey images of 5 x 6 or one in colour",
            ),
            ("(0, 5, 6, 3)", 0, "a.npz holds no image"),
        ] {
            let array = ("arr_0", &npy_header("|u1", shape)[..], &vec![0; bytes][..]);
            std::fs::write(&path, npz(&[array])).unwrap();
            let error = ImageDataset::from_archive(&path).unwrap_err().to_string();
            assert!(error.contains(expected), "{error}");
        }
    }

    #[test]
    fn the_content_decides_and_not_the_name() {
        let root = tempfile::tempdir().unwrap();
        let levels: Vec<u8> = (0..12).collect();
        let header = npy_header("|u1", "(2, 1, 2, 3)");
        let path = root.path().join("SET.NPZ");
        let expected = [0, 3, 1, 4, 2, 5, 6, 9, 7, 10, 8, 11];
        let fortran = header.replace("False", "True");
        // The element (n, 0, w, c) of `levels`, which lies at n + 2 w + 4 c.
        let transposed = [0, 6, 3, 9, 1, 7, 4, 10, 2, 8, 5, 11];
        for bytes in [
            npy(1, &header, &levels),
            npy(2, &header, &levels),
            npy(1, &fortran, &transposed),
            npz(&[("arr_0", &header, &levels)]),
            npz(&[("arr_0", &fortran, &transposed)]),
        ] {
            std::fs::write(&path, bytes).unwrap();
            let set = ImageDataset::from_archive(&path).unwrap();
            assert_eq!((set.shape(), set.images()), ([3, 1, 2], &expected[..]));
        }
        std::fs::write(&path, npy(1, &header, &levels)).unwrap();
        assert_eq!(read_npz(&path, ["mu"]).unwrap(), [None]);
        std::fs::write(&path, "<!DOCTYPE html>").unwrap();
        let error = ImageDataset::from_archive(&path).unwrap_err().to_string();
        assert!(error.contains("web page"), "{error}");
    }

    #[test]
    fn a_reference_batch_gives_its_images_and_its_statistics() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("reference.npz");
        let numbers: Vec<u8> = [1.0f64, 2.0, 3.0, 4.0].map(f64::to_le_bytes).concat();
        let sigma = npy_header("<f8", "(2, 2)").replace("False", "True");
        let bytes = npz(&[
            ("mu", &npy_header("<f8", "(2,)"), &numbers[..16]),
            ("sigma", &sigma, &numbers),
            ("arr_0", &npy_header("|u1", "(1, 1, 1, 3)"), &[7, 8, 9]),
        ]);
        std::fs::write(&path, bytes).unwrap();
        assert_eq!(
            ImageDataset::from_archive(&path).unwrap().images(),
            [7, 8, 9]
        );
        let [mu, sigma] = read_npz(&path, ["mu", "sigma"]).unwrap();
        assert_eq!(mu.unwrap().values, [1.0, 2.0]);
        assert_eq!(sigma.unwrap().values, [1.0, 3.0, 2.0, 4.0]);
    }
}

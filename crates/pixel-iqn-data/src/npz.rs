//! Arrays of numbers and images in the `.npz` files of NumPy.

use std::{
    fs::File,
    io::{BufReader, Cursor, Read, Seek, Write},
    path::Path,
};

use npyz::{
    DType, Endianness, NpyHeader, Order, TypeChar, TypeStr, WriterBuilder,
    npz::{NpzArchive, file_name_from_array_name},
    zip::{CompressionMethod, ZipWriter, result::ZipError, write::FileOptions},
};

use crate::atomic::write_atomically;
use crate::dataset::ImageDataset;
use crate::error::{Result, at, format};

/// An array of numbers in double precision, with its shape.
#[derive(Clone, Debug, PartialEq)]
pub struct NpzArray {
    /// The sizes of the axes.
    pub shape: Vec<usize>,
    /// All numbers, in C order (the last axis varies fastest).
    pub values: Vec<f64>,
}

/// Reads arrays of an `.npz` file by their names; an array that is not there is `None`.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io), and [`DataError::Format`](crate::DataError::Format)
/// where an array does not consist of integers or of floating point numbers of 4 or 8 bytes in C
/// order.
pub fn read_npz<const N: usize>(path: &Path, names: [&str; N]) -> Result<[Option<NpzArray>; N]> {
    let file = BufReader::new(File::open(path).map_err(at(path))?);
    let mut archive = NpzArchive::new(file).map_err(at(path))?;
    let mut arrays = [const { None }; N];
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

/// Writes arrays of double precision under their names to a compressed `.npz` file, which appears
/// at `path` whole or not at all.
///
/// # Errors
///
/// [`DataError::Io`](crate::DataError::Io).
pub fn write_npz(path: &Path, arrays: &[(&str, &NpzArray)]) -> Result<()> {
    let encode = || -> std::io::Result<Vec<u8>> {
        let options = FileOptions::default().compression_method(CompressionMethod::Deflated);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
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
    write_atomically(path, &encode().map_err(at(path))?)
}

impl ImageDataset {
    /// Reads a set without labels from the array `arr_0` of an `.npz` file: uint8 images `[N, H, W,
    /// C]` or `[N, H, W]`, as [`NpzWriter`](crate::NpzWriter) and other tools of this field write
    /// them.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`](crate::DataError::Io), [`DataError::Format`](crate::DataError::Format)
    /// where there is no such array, and
    /// [`DataError::Inconsistent`](crate::DataError::Inconsistent) where it is empty.
    pub fn from_npz(path: impl AsRef<Path>) -> Result<Self> {
        let path = path.as_ref();
        let file = BufReader::new(File::open(path).map_err(at(path))?);
        let mut archive = NpzArchive::new(file).map_err(at(path))?;
        let (shape, kind, bytes) = array(&mut archive, path, "arr_0")?;
        let sizes: Vec<usize> = shape.iter().map(|&size| size as usize).collect();
        let is_bytes = kind.type_char() == TypeChar::Uint && kind.size_field() == 1;
        let (height, width, channels) = match sizes[..] {
            [_, height, width] if is_bytes => (height, width, 1),
            [_, height, width, channels] if is_bytes => (height, width, channels),
            _ => {
                let expected = "uint8 images of shape (N, H, W, C) as arr_0";
                return Err(format(path, 0, expected, format!("{sizes:?} of {kind}")));
            }
        };
        let plane = height * width;
        let mut images = Vec::with_capacity(bytes.len());
        for image in bytes.chunks_exact((plane * channels).max(1)) {
            images.extend((0..image.len()).map(|i| image[i % plane * channels + i / plane]));
        }
        ImageDataset::new(images, [channels, height, width])
    }
}

/// Converts an array to numbers in the order of its bytes; `None` for other types.
fn numbers(kind: &TypeStr, bytes: &[u8]) -> Option<Vec<f64>> {
    let size = kind.size_field() as usize;
    let words = bytes.chunks_exact(size.max(1));
    let little = |word: &[u8]| {
        let mut bytes = [0; 8];
        bytes[..size].copy_from_slice(word);
        if kind.endianness() == Endianness::Big {
            bytes[..size].reverse();
        }
        bytes
    };
    match (kind.type_char(), size) {
        (TypeChar::Float, 8) => Some(words.map(|word| f64::from_le_bytes(little(word))).collect()),
        (TypeChar::Float, 4) => {
            let single = |word: &[u8]| u64::from_le_bytes(little(word)) as u32;
            Some(
                words
                    .map(|word| f32::from_bits(single(word)).into())
                    .collect(),
            )
        }
        (TypeChar::Int | TypeChar::Uint, 1..=8) => {
            Some(words.map(|word| integer(kind, word) as f64).collect())
        }
        _ => None,
    }
}

/// The shape, element type and bytes of an array.
pub(crate) type Array = (Vec<u64>, TypeStr, Vec<u8>);

/// Reads an array in C order, which must be there.
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

/// Reads an array in C order; `None` where no array has that name.
fn find<R: Read + Seek>(
    archive: &mut NpzArchive<R>,
    path: &Path,
    name: &str,
) -> Result<Option<Array>> {
    let mut entry = match archive
        .zip_archive()
        .by_name(&file_name_from_array_name(name))
    {
        Err(ZipError::FileNotFound) => return Ok(None),
        entry => entry.map_err(|error| at(path)(error.into()))?,
    };
    let header = header(path, name, &mut entry)?;
    let DType::Plain(kind) = header.dtype() else {
        return Err(format(
            path,
            0,
            format!("{name} of a plain type"),
            "a record",
        ));
    };
    let len = kind
        .num_bytes()
        .and_then(|size| header.len().checked_mul(size as u64));
    let (Some(len), Order::C) = (len, header.order()) else {
        let found = format!("{kind} in {:?} order", header.order());
        return Err(format(
            path,
            0,
            format!("{name} of numbers in C order"),
            found,
        ));
    };
    // Reading, rather than reserving, what the header announces: a lie costs no memory. The end
    // of the entry must be reached, since only there the CRC of the archive is compared.
    let mut bytes = Vec::new();
    entry
        .take(len.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() as u64 != len {
        let found = format!("{} or more", bytes.len());
        return Err(format(path, 0, format!("{len} bytes of {name}"), found));
    }
    Ok(Some((header.shape().to_vec(), kind, bytes)))
}

/// Parses the header of an array, after a check that the parser can take it.
///
/// `npyz` multiplies dimensions without a check for overflow, allocates the length that a header
/// of version 2 claims, and recurses once per bracket. So: version 1, whose header is below 64
/// KiB; at most 19 digits, so that no product of dimensions reaches 10^19 < 2^64; and no brackets
/// but those of the dictionary and the shape.
fn header(path: &Path, name: &str, entry: &mut impl Read) -> Result<NpyHeader> {
    let mut preamble = [0; 10];
    entry.read_exact(&mut preamble).map_err(at(path))?;
    let mut text = vec![0; u16::from_le_bytes([preamble[8], preamble[9]]).into()];
    entry.read_exact(&mut text).map_err(at(path))?;
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    if preamble[..8] != *b"\x93NUMPY\x01\x00"
        || count(u8::is_ascii_digit) > 19
        || count(|byte| b"([{".contains(byte)) > 2
    {
        return Err(format(
            path,
            0,
            format!("{name} as a version 1 npy array"),
            "another header",
        ));
    }
    NpyHeader::from_reader(preamble.chain(&text[..])).map_err(at(path))
}

/// Converts the bytes of an integer of 1, 2, 4 or 8 bytes. Unsigned ones from 2^63 on come out
/// negative, which is as far from a label as they are.
pub(crate) fn integer(kind: &TypeStr, bytes: &[u8]) -> i64 {
    let mut little = bytes.to_vec();
    if kind.endianness() == Endianness::Big {
        little.reverse();
    }
    let negative = kind.type_char() == TypeChar::Int && little[little.len() - 1] >= 0x80;
    let mut word = [if negative { 0xff } else { 0 }; 8];
    word[..little.len()].copy_from_slice(&little);
    i64::from_le_bytes(word)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{npy_header, npz};

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

        let images: Vec<u8> = (0..2 * 2 * 3 * 2).collect();
        let mut writer = crate::NpzWriter::open(&path, [2, 2, 3, 2], "test").unwrap();
        writer.append(&images).unwrap();
        writer.finish().unwrap();
        let set = ImageDataset::from_npz(&path).unwrap();
        assert_eq!((set.shape(), set.images()), ([2, 3, 2], &images[..]));
    }
}

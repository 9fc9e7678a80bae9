//! Arrays of numbers in the `.npz` files of NumPy: batches of images, and whatever else tools
//! exchange that way.

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

use crate::dataset::ImageDataset;
use crate::error::{DataError, Result, at, format};
use crate::sheet::write_whole;

/// Bytes of one image of ImageNet 32x32, planar RGB.
const IMAGE: usize = 3 * 32 * 32;
/// Its labels count from 1.
const CLASSES: i64 = 1000;

/// Numbers in double precision, in rows, with their shape.
#[derive(Clone, Debug, PartialEq)]
pub struct NpzArray {
    /// The sizes of the axes.
    pub shape: Vec<usize>,
    /// All numbers, in C order.
    pub values: Vec<f64>,
}

/// Reads arrays of an `.npz` file by their names; none for one that is not there.
///
/// # Errors
///
/// [`DataError::Io`], and [`DataError::Format`] where an array is not of integers or floating
/// point numbers of 4 or 8 bytes in C order.
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

/// Writes arrays of double precision under their names, compressed.
///
/// # Errors
///
/// [`DataError::Io`]; the file is then as it was before.
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
    write_whole(path, &encode().map_err(at(path))?)
}

/// Reads the images, uint8 `[N, H, W, C]` or `[N, H, W]`, that [`NpzWriter`](crate::NpzWriter) and
/// other tools of this field write as the array `arr_0`.
///
/// # Errors
///
/// [`DataError::Io`], and [`DataError::Format`] where there are no such images.
pub fn load_npz(path: &Path) -> Result<ImageDataset> {
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

/// The numbers of an array in the order of its bytes; none for other types.
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

/// Appends the images and labels (from 0) of a batch of ImageNet 32x32, the arrays `data` and
/// `labels`. `path` serves for messages.
pub(crate) fn append(
    path: &Path,
    reader: impl Read + Seek,
    images: &mut Vec<u8>,
    labels: &mut Vec<u32>,
) -> Result<()> {
    let mut archive = NpzArchive::new(reader).map_err(at(path))?;
    let (shape, kind, data) = array(&mut archive, path, "data")?;
    if !(shape.len() == 2 && shape[1] == IMAGE as u64 && kind.type_char() == TypeChar::Uint)
        || kind.size_field() != 1
    {
        let expected = format!("data of shape (N, {IMAGE}) and type uint8");
        return Err(format(path, 0, expected, format!("{shape:?} of {kind}")));
    }
    let (label_shape, kind, label_bytes) = array(&mut archive, path, "labels")?;
    let is_integer = matches!(kind.type_char(), TypeChar::Int | TypeChar::Uint);
    if !is_integer || label_shape.iter().product::<u64>() != shape[0] {
        let expected = format!("{} integers as labels", shape[0]);
        return Err(format(
            path,
            0,
            expected,
            format!("{label_shape:?} of {kind}"),
        ));
    }
    if data.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let size = kind.size_field() as usize;
    for (index, bytes) in label_bytes.chunks_exact(size).enumerate() {
        match integer(&kind, bytes) {
            label @ 1..=CLASSES => labels.push((label - 1) as u32),
            label => {
                let expected = format!("label {index} in 1..={CLASSES}");
                return Err(format(path, index * size, expected, label.to_string()));
            }
        }
    }
    images.extend(data);
    Ok(())
}

/// Shape, element type and bytes of an array.
type Array = (Vec<u64>, TypeStr, Vec<u8>);

/// An array in C order.
fn array<R: Read + Seek>(archive: &mut NpzArchive<R>, path: &Path, name: &str) -> Result<Array> {
    find(archive, path, name)?.ok_or_else(|| {
        let expected = format!("an array {name:?}");
        format(path, 0, expected, "none of that name")
    })
}

/// As [`array`]; none where there is none of that name.
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

/// An integer of 1, 2, 4 or 8 bytes. Unsigned ones from 2^63 on come out negative, which is as
/// far from a label as they are.
fn integer(kind: &TypeStr, bytes: &[u8]) -> i64 {
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
pub(crate) mod tests {
    use std::io::{Cursor, Write};

    use npyz::zip::{CompressionMethod, ZipWriter, write::FileOptions};
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{mutate, refuses_every_cut};

    /// A batch as `numpy.savez` writes it, with the given headers.
    fn encode(arrays: &[(&str, &str, &[u8])]) -> Vec<u8> {
        let options = FileOptions::default().compression_method(CompressionMethod::Stored);
        let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
        for (name, header, data) in arrays {
            zip.start_file(format!("{name}.npy"), options).unwrap();
            zip.write_all(b"\x93NUMPY\x01\x00").unwrap();
            zip.write_all(&(header.len() as u16).to_le_bytes()).unwrap();
            zip.write_all(header.as_bytes()).unwrap();
            zip.write_all(data).unwrap();
        }
        zip.finish().unwrap().into_inner()
    }

    fn header(kind: &str, shape: &str) -> String {
        format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")
    }

    /// A batch of images filled with their label, labels as little-endian 64-bit integers.
    pub(crate) fn batch(labels: &[u8]) -> Vec<u8> {
        let data: Vec<u8> = labels.iter().flat_map(|&label| [label; IMAGE]).collect();
        let bytes: Vec<u8> = labels
            .iter()
            .flat_map(|&l| i64::from(l).to_le_bytes())
            .collect();
        let count = labels.len();
        encode(&[
            (
                "data",
                &header("|u1", &format!("({count}, {IMAGE})")),
                &data,
            ),
            ("labels", &header("<i8", &format!("({count},)")), &bytes),
        ])
    }

    fn parse(bytes: Vec<u8>) -> Result<(Vec<u8>, Vec<u32>)> {
        let (mut images, mut labels) = (Vec::new(), Vec::new());
        append(
            Path::new("x.npz"),
            Cursor::new(bytes),
            &mut images,
            &mut labels,
        )?;
        Ok((images, labels))
    }

    #[test]
    fn what_is_written_is_read() {
        let (images, labels) = parse(batch(&[3, 1, 200])).unwrap();
        assert_eq!(labels, [2, 0, 199]);
        assert_eq!(images, [[3; IMAGE], [1; IMAGE], [200; IMAGE]].concat());
    }

    /// One image with one label of the given type.
    fn labelled(kind: &str, label: &[u8]) -> Result<Vec<u32>> {
        let data = header("|u1", &format!("(1, {IMAGE})"));
        parse(encode(&[
            ("data", &data, &[0; IMAGE]),
            ("labels", &header(kind, "(1,)"), label),
        ]))
        .map(|(_, labels)| labels)
    }

    #[test]
    fn labels_of_every_integer_type_are_read() {
        assert_eq!(labelled("|u1", &[7]).unwrap(), [6]);
        assert_eq!(labelled("<u2", &[0xe8, 3]).unwrap(), [999]);
        assert_eq!(labelled(">i4", &[0, 0, 1, 0]).unwrap(), [255]);
        assert_eq!(labelled(">u8", &[0, 0, 0, 0, 0, 0, 0, 1]).unwrap(), [0]);
        for (kind, label) in [
            ("|i1", &[0xff][..]),
            ("<i2", &[0, 0]),
            ("<u2", &[0xe9, 3]),
            ("<f4", &[0, 0, 128, 63]),
        ] {
            let error = labelled(kind, label).unwrap_err();
            assert!(matches!(error, DataError::Format { .. }), "{kind}: {error}");
        }
    }

    #[test]
    fn headers_that_lie_cost_nothing() {
        let nested = format!("{{'descr': {}", "(".repeat(60_000));
        for data in [
            header("|u1", "(9223372036854775807, 3072)"),
            header("|u1", "(1000000000000000, 3072)"),
            header("|u1", "(2, 3072)"),
            header("|u1", "(0, 3072)"),
            header("|u1", "(1, 3071)"),
            header("|S3072", "(1,)"),
            header("|u1", "(1, 3072)").replace("False", "True"),
            nested,
        ] {
            let labels = header("|u1", "(1,)");
            let bytes = encode(&[("data", &data, &[0; IMAGE]), ("labels", &labels, &[1])]);
            let result = parse(bytes);
            assert!(result.is_err(), "{data:.80}");
        }
        let error = parse(encode(&[("labels", &header("|u1", "(1,)"), &[1])])).unwrap_err();
        assert!(error.to_string().contains("an array \"data\""), "{error}");
    }

    #[test]
    fn arrays_of_every_type_are_read_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("numbers.npz");
        let float = 2.5f32.to_be_bytes();
        let double = (-1.25f64).to_le_bytes();
        let bytes = encode(&[
            ("single", &header(">f4", "(1,)"), &float),
            ("double", &header("<f8", "(1, 1)"), &double),
            ("integer", &header("<i2", "(2,)"), &[0xff, 0xff, 7, 0]),
            ("text", &header("|S1", "(1,)"), b"x"),
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
        let set = load_npz(&path).unwrap();
        assert_eq!((set.shape(), set.images()), ([2, 3, 2], &images[..]));
    }

    #[test]
    fn a_batch_cut_anywhere_is_refused() {
        refuses_every_cut(&batch(&[5]), |bytes| parse(bytes.to_vec()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in mutate(batch(&[5]))) {
            if let Ok((images, labels)) = parse(bytes) {
                prop_assert_eq!((images.len(), labels.len()), (IMAGE, 1));
            }
        }

        /// Damage where the structure is: the archive directory and the array headers.
        #[test]
        fn damaged_structure_never_panics(
            changes in prop::collection::vec((0usize..400, any::<u8>(), any::<bool>()), 1..4)
        ) {
            let mut bytes = batch(&[5]);
            let len = bytes.len();
            for (position, byte, from_end) in changes {
                bytes[if from_end { len - 1 - position } else { position }] = byte;
            }
            let _ = parse(bytes);
        }
    }
}

//! One `.npz` batch of ImageNet 32x32: the arrays `data` and `labels`.

use std::{
    io::{Read, Seek},
    path::Path,
};

use npyz::{
    DType, Endianness, NpyHeader, Order, TypeChar, TypeStr,
    npz::{NpzArchive, file_name_from_array_name},
    zip::result::ZipError,
};

use crate::error::{DataError, Result, at, format};

/// Bytes of one image, planar RGB.
const IMAGE: usize = 3 * 32 * 32;
/// Labels count from 1.
const CLASSES: i64 = 1000;

/// Appends the images and labels (from 0) of a batch. `path` serves for messages.
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

/// Shape, element type and bytes of an array in C order.
fn array<R: Read + Seek>(
    archive: &mut NpzArchive<R>,
    path: &Path,
    name: &str,
) -> Result<(Vec<u64>, TypeStr, Vec<u8>)> {
    let mut entry = match archive
        .zip_archive()
        .by_name(&file_name_from_array_name(name))
    {
        Err(ZipError::FileNotFound) => {
            return Err(format(
                path,
                0,
                format!("an array {name:?}"),
                "none of that name",
            ));
        }
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
    Ok((header.shape().to_vec(), kind, bytes))
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

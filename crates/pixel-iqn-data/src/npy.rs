//! Arrays in the npy format of NumPy, of which an `.npz` file holds several.

use std::{io::Read, path::Path};

use npyz::{DType, Endianness, NpyHeader, Order, TypeChar, TypeStr};

use crate::error::{Result, at, format};

/// The first bytes of an array.
pub(crate) const MAGIC: &[u8; 6] = b"\x93NUMPY";
/// Longest header that is read, that of version 1 of the format. Headers of arrays that are no
/// records have about a hundred bytes.
const MAX_HEADER: u32 = u16::MAX as u32;

/// The shape, element type and bytes of an array, in C order (the last axis varies fastest).
pub(crate) type Array = (Vec<u64>, TypeStr, Vec<u8>);

/// Reads an array, which must end where the reader does, and brings it in C order. `path` and `name`
/// serve for messages.
pub(crate) fn read(path: &Path, name: &str, mut reader: impl Read) -> Result<Array> {
    let header = header(path, name, &mut reader)?;
    let DType::Plain(kind) = header.dtype() else {
        let expected = format!("{name} of a plain type");
        return Err(format(path, 0, expected, "a record"));
    };
    let size = kind.num_bytes();
    let len = size.and_then(|size| header.len().checked_mul(size as u64));
    let (Some(size), Some(len)) = (size, len) else {
        let expected = format!("{name} of numbers");
        return Err(format(path, 0, expected, kind.to_string()));
    };
    // Reading, rather than reserving, what the header announces: a lie costs no memory. The end
    // of the entry must be reached, since only there the CRC of the archive is compared.
    let mut bytes = Vec::new();
    reader
        .take(len.saturating_add(1))
        .read_to_end(&mut bytes)
        .map_err(at(path))?;
    if bytes.len() as u64 != len {
        let found = format!("{} or more", bytes.len());
        return Err(format(path, 0, format!("{len} bytes of {name}"), found));
    }
    if header.order() == Order::Fortran {
        bytes = to_c_order(header.shape(), size, &bytes);
    }
    Ok((header.shape().to_vec(), kind, bytes))
}

/// Parses the header of an array, after a check that the parser can take it.
///
/// `npyz` multiplies dimensions without a check for overflow, allocates the length that a header
/// of version 2 or 3 claims, and recurses once per bracket. So: a header below 64 KiB; at most 19
/// digits, so that no product of dimensions reaches 10^19 < 2^64; and no brackets but those of the
/// dictionary and the shape. The versions differ only in the length of the length and in the
/// characters of the names of records, so that all are parsed as version 1.
fn header(path: &Path, name: &str, reader: &mut impl Read) -> Result<NpyHeader> {
    let mut magic = [0; 8];
    reader.read_exact(&mut magic).map_err(at(path))?;
    let mut len = [0; 4];
    let len_bytes = match magic.strip_prefix(MAGIC) {
        Some([1, 0]) => 2,
        Some([2 | 3, 0]) => 4,
        _ => {
            let expected = format!("{name} as an npy array of version 1, 2 or 3");
            let found = format!("the bytes {}", magic.escape_ascii());
            return Err(format(path, 0, expected, found));
        }
    };
    reader.read_exact(&mut len[..len_bytes]).map_err(at(path))?;
    let len = u32::from_le_bytes(len);
    let refuse = |found: String| {
        let expected = format!("{name} with the header of an array of numbers");
        Err(format(path, 0, expected, found))
    };
    if len > MAX_HEADER {
        return refuse(format!("a header of {len} bytes"));
    }
    let mut text = vec![0; len as usize];
    reader.read_exact(&mut text).map_err(at(path))?;
    let count = |is: fn(&u8) -> bool| text.iter().filter(|byte| is(byte)).count();
    if count(u8::is_ascii_digit) > 19 || count(|byte| b"([{".contains(byte)) > 2 {
        return refuse("more digits or brackets than such an array has".to_owned());
    }
    let preamble = [&MAGIC[..], &[1, 0], &len.to_le_bytes()[..2]].concat();
    NpyHeader::from_reader(preamble.chain(&text[..])).map_err(at(path))
}

/// Brings elements of `size` bytes from Fortran order, in which the first axis varies fastest, to C
/// order.
fn to_c_order(shape: &[u64], size: usize, bytes: &[u8]) -> Vec<u8> {
    let mut ordered = Vec::with_capacity(bytes.len());
    if bytes.is_empty() {
        return ordered;
    }
    // No overflow: no axis is empty, so that the last product is the number of bytes.
    let strides: Vec<usize> = shape
        .iter()
        .scan(size, |next, &axis| {
            let stride = *next;
            *next *= axis as usize;
            Some(stride)
        })
        .collect();
    let mut index = vec![0; shape.len()];
    let mut offset = 0;
    while ordered.len() < bytes.len() {
        ordered.extend_from_slice(&bytes[offset..][..size]);
        for axis in (0..shape.len()).rev() {
            index[axis] += 1;
            offset += strides[axis];
            if index[axis] < shape[axis] as usize {
                break;
            }
            offset -= strides[axis] * index[axis];
            index[axis] = 0;
        }
    }
    ordered
}

/// Converts an array to numbers in the order of its bytes; `None` for other types.
pub(crate) fn numbers(kind: &TypeStr, bytes: &[u8]) -> Option<Vec<f64>> {
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
    use crate::testing::{npy, npy_header};

    fn parse(bytes: &[u8]) -> Result<Array> {
        read(Path::new("x.npy"), "it", bytes)
    }

    #[test]
    fn all_versions_of_the_format_are_read() {
        let header = npy_header("|u1", "(2, 1)");
        for version in 1..=3 {
            let (shape, _, bytes) = parse(&npy(version, &header, &[7, 8])).unwrap();
            assert_eq!((shape, bytes), (vec![2, 1], vec![7, 8]), "{version}");
        }
        for version in [0, 4] {
            assert!(parse(&npy(version, &header, &[7, 8])).is_err());
        }
    }

    #[test]
    fn headers_of_every_version_that_lie_cost_nothing() {
        let nested = format!("{{'descr': {}", "(".repeat(60_000));
        for version in 1..=3 {
            for header in [
                nested.clone(),
                npy_header("|u1", "(9223372036854775807, 3072)"),
                npy_header("|u1", "(1000000000000000, 3072)"),
            ] {
                assert!(parse(&npy(version, &header, &[0; 9])).is_err());
            }
        }
        // The length of the header itself.
        let mut bytes = npy(2, &npy_header("|u1", "(1,)"), &[0]);
        bytes[8..12].copy_from_slice(&[0xff; 4]);
        let error = parse(&bytes).unwrap_err().to_string();
        assert!(error.contains("a header of 4294967295 bytes"), "{error}");
    }

    #[test]
    fn fortran_order_becomes_c_order() {
        let fortran = |kind: &str, shape: &str| npy_header(kind, shape).replace("False", "True");
        // The element (i, j, k) is 100 i + 10 j + k.
        let element = |i: u16, j: u16, k: u16| 100 * i + 10 * j + k;
        let mut bytes = Vec::new();
        let mut expected = Vec::new();
        for (k, j, i) in
            (0..4).flat_map(|k| (0..3).flat_map(move |j| (0..2).map(move |i| (k, j, i))))
        {
            bytes.extend(u16::to_le_bytes(element(i, j, k)));
        }
        for (i, j, k) in
            (0..2).flat_map(|i| (0..3).flat_map(move |j| (0..4).map(move |k| (i, j, k))))
        {
            expected.push(f64::from(element(i, j, k)));
        }
        let file = npy(1, &fortran("<u2", "(2, 3, 4)"), &bytes);
        let (shape, kind, ordered) = parse(&file).unwrap();
        assert_eq!(shape, [2, 3, 4]);
        assert_eq!(numbers(&kind, &ordered).unwrap(), expected);
        for (shape, bytes) in [
            ("(3,)", &[1, 2, 3][..]),
            ("()", &[1]),
            ("(0, 99999999)", &[]),
        ] {
            let file = npy(1, &fortran("|u1", shape), bytes);
            assert_eq!(parse(&file).unwrap().2, bytes);
        }
    }
}

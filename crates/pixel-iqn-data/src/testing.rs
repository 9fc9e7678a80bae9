//! Helpers that the tests of several files use.

use std::{
    env,
    io::{Cursor, Write},
    path::PathBuf,
};

use npyz::zip::{CompressionMethod, ZipWriter, write::FileOptions};
use proptest::prelude::*;

use crate::{dataset::ImageDataset, error::Result};

/// A folder of real data below `PIXEL_IQN_TEST_DATA`; says so and returns `None` without it.
pub(crate) fn real_data(folder: &str) -> Option<PathBuf> {
    let path = env::var_os("PIXEL_IQN_TEST_DATA").map(|root| PathBuf::from(root).join(folder));
    let found = path.filter(|path| path.is_dir());
    if found.is_none() {
        eprintln!("skipped: PIXEL_IQN_TEST_DATA names no folder with {folder}");
    }
    found
}

/// Random bytes, `valid` cut at any length, and `valid` with up to four bytes overwritten.
pub(crate) fn mutate(valid: Vec<u8>) -> impl Strategy<Value = Vec<u8>> {
    let len = valid.len();
    let cut = valid.clone();
    prop_oneof![
        prop::collection::vec(any::<u8>(), 0..600),
        (0..len).prop_map(move |end| cut[..end].to_vec()),
        prop::collection::vec((0..len, any::<u8>()), 1..5).prop_map(move |changes| {
            let mut bytes = valid.clone();
            for (position, byte) in changes {
                bytes[position] = byte;
            }
            bytes
        }),
    ]
}

/// Asserts that `parse` refuses every proper beginning of `valid`, and takes `valid`.
pub(crate) fn refuses_every_cut<T>(valid: &[u8], parse: impl Fn(&[u8]) -> Result<T>) {
    for end in 0..valid.len() {
        assert!(
            parse(&valid[..end]).is_err(),
            "cut to {end} of {} bytes",
            valid.len()
        );
    }
    parse(valid).unwrap();
}

/// Mean level of each channel, in `[0, 255]`.
pub(crate) fn byte_means(set: &ImageDataset) -> Vec<f64> {
    let [channels, height, width] = set.shape();
    let plane = height * width;
    let mut sums = vec![0u64; channels];
    for (index, levels) in set.images().chunks_exact(plane).enumerate() {
        sums[index % channels] += levels.iter().map(|&level| u64::from(level)).sum::<u64>();
    }
    sums.iter()
        .map(|&sum| sum as f64 / (plane * set.len()) as f64)
        .collect()
}

/// An archive as `numpy.savez` writes it, of arrays given by name, header and bytes.
pub(crate) fn npz(arrays: &[(&str, &str, &[u8])]) -> Vec<u8> {
    let options = FileOptions::default().compression_method(CompressionMethod::Stored);
    let mut zip = ZipWriter::new(Cursor::new(Vec::new()));
    for (name, header, data) in arrays {
        zip.start_file(format!("{name}.npy"), options).unwrap();
        zip.write_all(&npy(1, header, data)).unwrap();
    }
    zip.finish().unwrap().into_inner()
}

/// An array in the given version of the npy format.
pub(crate) fn npy(version: u8, header: &str, data: &[u8]) -> Vec<u8> {
    let len = (header.len() as u32).to_le_bytes();
    let len = if version == 1 { &len[..2] } else { &len };
    [
        &b"\x93NUMPY"[..],
        &[version, 0],
        len,
        header.as_bytes(),
        data,
    ]
    .concat()
}

/// The header of an array in C order.
pub(crate) fn npy_header(kind: &str, shape: &str) -> String {
    format!("{{'descr': '{kind}', 'fortran_order': False, 'shape': {shape}, }}\n")
}

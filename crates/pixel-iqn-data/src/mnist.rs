//! MNIST: 70,000 handwritten digits of 28 x 28 grey levels.
//!
//! Source: Y. LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, 1998.

use std::path::{Path, PathBuf};

use crate::{
    checksum::Checksum,
    dataset::ImageDataset,
    error::{DataError, Result},
    idx,
    unpack::{read_packed, unpack},
};

/// One of the four official files.
pub(crate) struct OfficialFile {
    /// Name of the uncompressed file; the compressed one adds `.gz`.
    pub(crate) name: &'static str,
    /// MD5 of the uncompressed file.
    md5: &'static str,
    /// MD5 of the official compressed file. A file that was compressed again has another.
    #[cfg_attr(not(feature = "download"), expect(dead_code, reason = "for downloads"))]
    pub(crate) gzip_md5: &'static str,
}

pub(crate) const FILES: [OfficialFile; 4] = [
    OfficialFile {
        name: "train-images-idx3-ubyte",
        md5: "6bbc9ace898e44ae57da46a324031adb",
        gzip_md5: "f68b3c2dcbeaaa9fbdd348bbdeb94873",
    },
    OfficialFile {
        name: "train-labels-idx1-ubyte",
        md5: "a25bea736e30d166cdddb491f175f624",
        gzip_md5: "d53e105ee54ea40749a09fcbcd1e9432",
    },
    OfficialFile {
        name: "t10k-images-idx3-ubyte",
        md5: "2646ac647ad5339dbf082846283269ea",
        gzip_md5: "9fb629c4189551a2d022fa330f9573f3",
    },
    OfficialFile {
        name: "t10k-labels-idx1-ubyte",
        md5: "27ae3e4e09519cfbb04c329615203637",
        gzip_md5: "ec29112dd5afa0611ce80d1b7f02629c",
    },
];

/// The training and test images of MNIST.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mnist {
    /// The training images, 60,000 digits.
    pub train: ImageDataset,
    /// The test images, 10,000 digits of other writers.
    pub test: ImageDataset,
}

/// Reads MNIST from its four official files, each plain or as `.gz`, in `path` or in `path/mnist`.
///
/// # Errors
///
/// [`DataError::Missing`] if a file is not there, [`DataError::Checksum`] if its uncompressed
/// bytes are not the official ones, and [`DataError::Io`]. For other data in the same format see
/// [`idx::load`].
pub fn load(path: &Path) -> Result<Mnist> {
    load_checked(path, &FILES.map(|file| file.md5))
}

fn load_checked(path: &Path, md5: &[impl AsRef<str>; 4]) -> Result<Mnist> {
    let folders = [path.to_owned(), path.join("mnist")];
    let folder = folders
        .iter()
        .find(|folder| find(folder, FILES[0].name).is_ok());
    let folder = folder.unwrap_or(&folders[0]);
    let read = |index: usize| {
        let file = find(folder, FILES[index].name)?;
        let bytes = unpack(&file, &read_packed(&file)?)?;
        Checksum::Md5(md5[index].as_ref()).check(&file, &bytes)?;
        idx::parse(&file, bytes)
    };
    Ok(Mnist {
        train: idx::dataset(read(0)?, read(1)?, 10)?,
        test: idx::dataset(read(2)?, read(3)?, 10)?,
    })
}

/// Finds the file `name` or `name.gz`.
fn find(folder: &Path, name: &str) -> Result<PathBuf> {
    let plain = folder.join(name);
    let gzip = plain.with_extension("gz");
    if plain.is_file() {
        return Ok(plain);
    }
    if gzip.is_file() {
        return Ok(gzip);
    }
    let hint = "MNIST is four files, to be had from \
                https://storage.googleapis.com/cvdf-datasets/mnist/";
    Err(DataError::Missing {
        path: gzip,
        hint: hint.to_owned(),
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::{
        idx::tests::encode,
        testing::{byte_means, real_data},
        unpack::tests::gzip,
    };

    #[test]
    fn official_names_are_found_and_checked() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mnist");
        fs::create_dir(&folder).unwrap();
        let error = load(root.path()).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");

        let files = [
            encode(&[2, 2, 2], &[1, 2, 3, 4, 5, 6, 7, 8]),
            encode(&[2], &[9, 3]),
            encode(&[1, 2, 2], &[11, 12, 13, 14]),
            encode(&[1], &[5]),
        ];
        for (index, (official, bytes)) in FILES.iter().zip(&files).enumerate() {
            let plain = folder.join(official.name);
            if index % 2 == 0 {
                fs::write(plain.with_extension("gz"), gzip(bytes)).unwrap();
            } else {
                fs::write(plain, bytes).unwrap();
            }
        }
        let mut md5 = files.each_ref().map(|bytes| crate::md5(bytes));
        for path in [root.path(), &folder] {
            let mnist = load_checked(path, &md5).unwrap();
            assert_eq!(mnist.train.images(), [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(mnist.train.labels(), Some(&[9, 3][..]));
            assert_eq!(mnist.test.image(0), [11, 12, 13, 14]);
            assert_eq!(mnist.test.label(0), Some(5));
        }
        md5[1].replace_range(..1, "x");
        let error = load_checked(root.path(), &md5).unwrap_err();
        assert!(
            matches!(&error, DataError::Checksum { path, .. } if path.ends_with(FILES[1].name)),
            "{error}"
        );
    }

    #[test]
    fn the_real_set_is_whole() {
        let Some(root) = real_data("mnist") else {
            return;
        };
        let mnist = load(root.parent().unwrap()).unwrap();
        assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
        assert_eq!(mnist.train.shape(), [1, 28, 28]);
        assert_eq!(&mnist.train.labels().unwrap()[..5], [5, 0, 4, 1, 9]);
        // The mean that training recipes subtract: 0.1307.
        assert!((byte_means(&mnist.train)[0] / 255.0 - 0.1307).abs() < 1e-4);
    }
}

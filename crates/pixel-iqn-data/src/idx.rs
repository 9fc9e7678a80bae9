//! The idx format of MNIST, a byte array with its shape in front.
//!
//! The header is two zero bytes, the element type, the number of dimensions, and each dimension as
//! a big-endian 32-bit integer. Fashion-MNIST, KMNIST and EMNIST come in this format too. Source:
//! Y. LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, 1998.

use std::path::{Path, PathBuf};

use crate::{
    content::known_content,
    dataset::ImageDataset,
    error::{DataError, Result, format},
    sizes::element_count,
    unpack::{read_packed, unpack},
};

/// The type byte of unsigned 8-bit elements, the only type that image sets use.
const UNSIGNED_BYTE: u8 = 8;

/// An array of bytes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdxArray {
    /// The file, for messages.
    pub(crate) path: PathBuf,
    /// Length of each dimension, the slowest first.
    pub(crate) shape: Vec<usize>,
    /// The elements; as many as the product of `shape`.
    pub(crate) data: Vec<u8>,
}

/// Reads a set from a file of images `[N, height, width]` and a file of labels `[N]`, each below
/// `classes`. Either may be compressed with gzip, whatever its name says, and has at most 1 GiB
/// unpacked. No checksum is verified.
///
/// # Errors
///
/// [`DataError::Io`], [`DataError::Format`], and [`DataError::Inconsistent`] where the two files
/// do not belong together.
pub fn load(images: &Path, labels: &Path, classes: usize) -> Result<ImageDataset> {
    dataset(
        parse(images, read(images)?)?,
        parse(labels, read(labels)?)?,
        classes,
    )
}

/// Reads the bytes of an idx file. `path` serves for messages.
///
/// # Errors
///
/// [`DataError::Format`] if the header is not one of unsigned bytes, or if there are more or fewer
/// elements than it announces.
pub(crate) fn parse(path: &Path, mut bytes: Vec<u8>) -> Result<IdxArray> {
    let cut = || format(path, bytes.len(), "more of the idx header", "the end");
    let &[zero_0, zero_1, kind, rank] = bytes.first_chunk().ok_or_else(cut)?;
    if [zero_0, zero_1, kind] != [0, 0, UNSIGNED_BYTE] {
        let start = &bytes[..bytes.len().min(512)];
        let found = known_content(start).unwrap_or_else(|| format!("{zero_0} {zero_1} {kind}"));
        return Err(format(
            path,
            0,
            "the bytes 0 0 8 of an unsigned-byte idx file",
            found,
        ));
    }
    let header_len = 4 + 4 * usize::from(rank);
    let header = bytes.get(4..header_len).ok_or_else(cut)?;
    let (words, _) = header.as_chunks::<4>();
    let shape: Vec<usize> = words
        .iter()
        .map(|&word| u32::from_be_bytes(word) as usize)
        .collect();
    if element_count(&shape) != Some(bytes.len() - header_len) {
        return Err(format(
            path,
            header_len,
            format!("as many bytes as the shape {shape:?} has elements"),
            format!("{} bytes", bytes.len() - header_len),
        ));
    }
    bytes.drain(..header_len);
    Ok(IdxArray {
        path: path.to_owned(),
        shape,
        data: bytes,
    })
}

/// Reads the bytes of a file, unpacked if it is compressed.
fn read(path: &Path) -> Result<Vec<u8>> {
    unpack(path, &read_packed(path)?)
}

/// Joins images and labels to a set.
pub(crate) fn dataset(images: IdxArray, labels: IdxArray, classes: usize) -> Result<ImageDataset> {
    let (images_path, labels_path) = (images.path.display(), labels.path.display());
    let (&[count, height, width], &[label_count]) = (&images.shape[..], &labels.shape[..]) else {
        return Err(DataError::Inconsistent(format!(
            "{images_path} has the shape {:?} and {labels_path} has {:?}, but images have \
             [N, height, width] and labels [N]",
            images.shape, labels.shape
        )));
    };
    if count != label_count {
        return Err(DataError::Inconsistent(format!(
            "{labels_path} has {label_count} labels, but {images_path} has {count} images: the \
             files do not belong together"
        )));
    }
    ImageDataset::new(images.data, [1, height, width])?
        .with_labels(labels.data.into_iter().map(u32::from).collect(), classes)
}

#[cfg(test)]
pub(crate) mod tests {
    use std::fs;

    use proptest::prelude::*;

    use super::*;
    use crate::{
        testing::{mutate, refuses_every_cut},
        unpack::tests::gzip,
    };

    /// An idx file of the given shape.
    pub(crate) fn encode(shape: &[u32], data: &[u8]) -> Vec<u8> {
        let dims = shape.iter().flat_map(|dim| dim.to_be_bytes());
        [0, 0, UNSIGNED_BYTE, shape.len() as u8]
            .into_iter()
            .chain(dims)
            .chain(data.iter().copied())
            .collect()
    }

    #[test]
    fn plain_and_compressed_files_give_the_same_set() {
        let root = tempfile::tempdir().unwrap();
        let [images, labels, packed] = ["i", "l", "i.gz"].map(|name| root.path().join(name));
        let pixels: Vec<u8> = (0..18).collect();
        fs::write(&images, encode(&[3, 2, 3], &pixels)).unwrap();
        fs::write(&labels, encode(&[3], &[2, 0, 1])).unwrap();
        fs::write(&packed, gzip(&encode(&[3, 2, 3], &pixels))).unwrap();
        let set = load(&images, &labels, 3).unwrap();
        assert_eq!((set.shape(), set.images()), ([1, 2, 3], &pixels[..]));
        assert_eq!(set.labels(), Some(&[2, 0, 1][..]));
        assert_eq!(load(&packed, &labels, 3).unwrap(), set);
        // As a browser leaves it, which unpacks and keeps the name.
        let unpacked = root.path().join("unpacked.gz");
        fs::copy(&images, &unpacked).unwrap();
        assert_eq!(load(&unpacked, &labels, 3).unwrap(), set);
        assert!(matches!(
            load(&labels, &images, 3),
            Err(DataError::Inconsistent(_))
        ));
        assert!(matches!(
            load(&images, &labels, 2),
            Err(DataError::Inconsistent(_))
        ));

        let whole = fs::read(&packed).unwrap();
        fs::write(&packed, &whole[..whole.len() - 9]).unwrap();
        assert!(matches!(
            load(&packed, &labels, 3),
            Err(DataError::Io { .. })
        ));
    }

    #[test]
    fn a_header_that_lies_costs_nothing() {
        let huge = encode(&[u32::MAX, u32::MAX, u32::MAX], &[0; 8]);
        let error = parse(Path::new("x"), huge).unwrap_err();
        assert!(
            matches!(error, DataError::Format { offset: 16, .. }),
            "{error}"
        );
    }

    #[test]
    fn a_file_cut_anywhere_is_refused() {
        let valid = encode(&[2, 3, 3], &[7; 18]);
        refuses_every_cut(&valid, |bytes| parse(Path::new("x"), bytes.to_vec()));
        let file = tempfile::Builder::new().suffix(".gz").tempfile().unwrap();
        refuses_every_cut(&gzip(&valid), |bytes| {
            fs::write(file.path(), bytes).unwrap();
            parse(file.path(), read(file.path())?)
        });
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(rows in 0usize..9, columns in 0usize..9, byte: u8) {
            let data = vec![byte; rows * columns];
            let bytes = encode(&[rows as u32, columns as u32], &data);
            let array = parse(Path::new("x"), bytes).unwrap();
            let path = PathBuf::from("x");
            prop_assert_eq!(array, IdxArray { path, shape: vec![rows, columns], data });
        }

        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in mutate(encode(&[2, 3, 3], &[7; 18]))) {
            let len = bytes.len();
            if let Ok(array) = parse(Path::new("x"), bytes) {
                prop_assert_eq!(array.data.len() + 4 + 4 * array.shape.len(), len);
                prop_assert_eq!(array.data.len(), array.shape.iter().product::<usize>());
            }
        }

        #[test]
        fn a_damaged_gzip_file_never_panics(bytes in mutate(gzip(&encode(&[4], &[1; 4])))) {
            let file = tempfile::Builder::new().suffix(".gz").tempfile().unwrap();
            fs::write(file.path(), bytes).unwrap();
            if let Ok(bytes) = read(file.path()) {
                let _ = parse(file.path(), bytes);
            }
        }
    }
}

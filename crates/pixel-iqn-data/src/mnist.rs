//! MNIST: 70,000 handwritten digits of 28 x 28 grey levels, and the sets in its format.
//!
//! Source: Y. LeCun et al., *Gradient-Based Learning Applied to Document Recognition*, 1998.
//!
//! Fashion-MNIST, KMNIST and EMNIST come under the same names. Their checksums say which set it is
//! ([`Mnist::origin`]). Images are given as the files have them; those of EMNIST (G. Cohen et al.,
//! *EMNIST: Extending MNIST to Handwritten Letters*, 2017) are transposed there.

use std::path::Path;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result},
    idx::{self, IdxArray},
    mnist_files::{Content, find},
    mnist_origin::{KNOWN, Known, identify},
};

pub use crate::mnist_origin::Origin;

/// The fewest classes of a set: those of MNIST.
const MIN_CLASSES: usize = 10;

/// Returns the name and the MD5 of each official compressed file of MNIST.
#[cfg(feature = "download")]
pub(crate) fn official_gzip() -> impl Iterator<Item = (String, &'static str)> {
    let names = crate::mnist_files::NAMES
        .iter()
        .map(|name| format!("{name}.gz"));
    names.zip(KNOWN[0].gzip_md5)
}

/// The training and test images of MNIST, or of a set in its format.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Mnist {
    /// The training images; of MNIST, 60,000 digits.
    pub train: ImageDataset,
    /// The test images; of MNIST, 10,000 digits of other writers.
    pub test: ImageDataset,
    /// The set that the files are, by their checksums.
    pub origin: Origin,
}

/// The number of letters, and so the highest label of the letters of EMNIST.
const LETTERS: u8 = 26;

/// Reads MNIST, or a set in its format, from its four files.
///
/// They are looked for in `path`, in `mnist` and `raw` below it, and in the folders that torchvision
/// makes below it (`MNIST/raw`, `FashionMNIST/raw`, `KMNIST/raw`, `EMNIST/raw`) or the archive of EMNIST
/// (`gzip`); it is an error if two of these hold a set each. Each may be plain or compressed, and its name may have a dot in the place of
/// the last dash but one (`train-images.idx3-ubyte`). The files of EMNIST share a prefix and say
/// `test` for `t10k` (`emnist-letters-test-images-idx3-ubyte`).
///
/// The files of an unknown set, whose origin is [`Origin::Unknown`], have as many classes as their
/// labels ask for, but at least ten. Labels that count from 1, as those of the letters of EMNIST do,
/// are shifted to 0: it is so where the labels of both files go from 1 to 26. Both are our choice.
///
/// # Errors
///
/// [`DataError::Missing`] if a file is not there. [`DataError::Checksum`] if some files are official
/// and another is not. [`DataError::Inconsistent`] if the files do not belong together (files of two
/// known sets, labels for another number of images, training and test images of two sizes) or a
/// folder holds several sets. [`DataError::Format`] for a file that is not in the idx format, and
/// [`DataError::Io`].
pub fn load(path: &Path) -> Result<Mnist> {
    load_known(path, &KNOWN)
}

fn load_known(path: &Path, known: &[Known]) -> Result<Mnist> {
    let [a, b, c, d] = find(path)?;
    let files = [a.read()?, b.read()?, c.read()?, d.read()?];
    let origin = identify(&files, known)?;
    let parse = |content: Content| idx::parse(&content.path, content.bytes);
    let [a, b, c, d] = files;
    let (train_images, mut train_labels) = (parse(a)?, parse(b)?);
    let (test_images, mut test_labels) = (parse(c)?, parse(d)?);
    if train_images.shape.get(1..) != test_images.shape.get(1..) {
        return Err(DataError::Inconsistent(format!(
            "{} has the shape {:?}, but {} has {:?}: the images must be of one size",
            train_images.path.display(),
            train_images.shape,
            test_images.path.display(),
            test_images.shape
        )));
    }
    let classes = match origin {
        Origin::Unknown => count_from_0([&mut train_labels, &mut test_labels]),
        _ => MIN_CLASSES,
    };
    Ok(Mnist {
        train: idx::dataset(train_images, train_labels, classes)?,
        test: idx::dataset(test_images, test_labels, classes)?,
        origin,
    })
}

/// Shifts labels that count from 1, and returns the number of classes.
fn count_from_0(labels: [&mut IdxArray; 2]) -> usize {
    let all = || labels.iter().flat_map(|labels| labels.data.iter().copied());
    let first = u8::from((all().min(), all().max()) == (Some(1), Some(LETTERS)));
    let last = all().max().unwrap_or(0) - first;
    for label in labels.into_iter().flat_map(|labels| &mut labels.data) {
        *label -= first;
    }
    MIN_CLASSES.max(usize::from(last) + 1)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use tempfile::TempDir;

    use super::*;
    use crate::mnist_files::NAMES;
    use crate::{
        idx::tests::encode,
        testing::{byte_means, real_data},
        unpack::tests::gzip,
    };

    /// Four files of two training images and one test image; `base` is added to every level.
    fn four(base: u8, labels: [u8; 3]) -> [Vec<u8>; 4] {
        let images: Vec<u8> = (1..=12).map(|level| level + base).collect();
        [
            encode(&[2, 2, 2], &images[..8]),
            encode(&[2], &labels[..2]),
            encode(&[1, 2, 2], &images[8..]),
            encode(&[1], &labels[2..]),
        ]
    }

    fn sums(files: &[Vec<u8>; 4]) -> [&'static str; 4] {
        files.each_ref().map(|bytes| &*crate::md5(bytes).leak())
    }

    /// The files `four(0, ..)` in the place of MNIST and `four(50, ..)` in that of a relative.
    fn known() -> [Known; 2] {
        let [mnist, fashion] = [four(0, [9, 3, 5]), four(50, [1, 2, 3])];
        let packed = |files: &[Vec<u8>; 4]| sums(&files.each_ref().map(|bytes| gzip(bytes)));
        [
            Known {
                origin: Origin::Mnist,
                md5: Some(sums(&mnist)),
                gzip_md5: packed(&mnist),
            },
            Known {
                origin: Origin::FashionMnist,
                md5: None,
                gzip_md5: packed(&fashion),
            },
        ]
    }

    fn names(ending: &str) -> [String; 4] {
        NAMES.map(|name| format!("{name}{ending}"))
    }

    fn written(names: &[String; 4], files: &[Vec<u8>; 4]) -> TempDir {
        let root = tempfile::tempdir().unwrap();
        for (name, bytes) in names.iter().zip(files) {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        root
    }

    #[test]
    fn official_names_are_found_and_checked() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("mnist");
        fs::create_dir(&folder).unwrap();
        let error = load(root.path()).unwrap_err();
        assert!(matches!(error, DataError::Missing { .. }), "{error}");

        let mut files = four(0, [9, 3, 5]);
        let write = |files: &[Vec<u8>; 4]| {
            for (index, (name, bytes)) in NAMES.iter().zip(files).enumerate() {
                let plain = folder.join(name);
                if index % 2 == 0 {
                    fs::write(plain.with_extension("gz"), gzip(bytes)).unwrap();
                } else {
                    fs::write(plain, bytes).unwrap();
                }
            }
        };
        write(&files);
        for path in [root.path(), &folder] {
            let mnist = load_known(path, &known()).unwrap();
            assert_eq!(mnist.origin, Origin::Mnist);
            assert_eq!(mnist.train.images(), [1, 2, 3, 4, 5, 6, 7, 8]);
            assert_eq!(mnist.train.labels(), Some(&[9, 3][..]));
            assert_eq!(mnist.test.image(0), [9, 10, 11, 12]);
            assert_eq!(mnist.test.label(0), Some(5));
        }
        files[1][9] = 8;
        write(&files);
        let error = load_known(root.path(), &known()).unwrap_err();
        assert!(
            matches!(&error, DataError::Checksum { path, .. } if path.ends_with(NAMES[1])),
            "{error}"
        );
    }

    #[test]
    fn checksums_tell_which_set_it_is() {
        let fashion = four(50, [1, 2, 3]);
        let packed = fashion.each_ref().map(|bytes| gzip(bytes));
        let root = written(&names(".gz"), &packed);
        let found = load_known(root.path(), &known()).unwrap();
        assert_eq!(found.origin, Origin::FashionMnist);
        // Labels of a known set stay as they are.
        assert_eq!(found.train.labels(), Some(&[1, 2][..]));

        // As torchvision leaves it, with the unpacked files beside them.
        for (name, bytes) in NAMES.iter().zip(&fashion) {
            fs::write(root.path().join(name), bytes).unwrap();
        }
        let found = load_known(root.path(), &known()).unwrap();
        assert_eq!(found.origin, Origin::FashionMnist);

        let root = written(&names(""), &fashion);
        let found = load_known(root.path(), &known()).unwrap();
        assert_eq!(found.origin, Origin::Unknown);
        assert!(found.origin.to_string().contains("of unknown origin"));
    }

    #[test]
    fn files_that_do_not_belong_together_are_named() {
        let fashion = four(50, [1, 2, 3]).map(|bytes| gzip(&bytes));
        let mut mixed = four(0, [9, 3, 5]);
        mixed[1] = fashion[1].clone();
        let root = written(&names(""), &mixed);
        let error = load_known(root.path(), &known()).unwrap_err().to_string();
        assert!(
            error.contains("train-images-idx3-ubyte is of MNIST"),
            "{error}"
        );
        assert!(
            error.contains("train-labels-idx1-ubyte is of Fashion-MNIST"),
            "{error}"
        );

        let mut damaged = fashion.clone();
        damaged[3] = gzip(&encode(&[1], &[7]));
        let root = written(&names(".gz"), &damaged);
        let error = load_known(root.path(), &known()).unwrap_err();
        assert!(matches!(error, DataError::Checksum { .. }), "{error}");

        let unknown = four(70, [1, 2, 3]);
        let mut counts = unknown.clone();
        counts[1] = encode(&[3], &[1, 2, 3]);
        let mut sizes = unknown;
        sizes[2] = encode(&[1, 1, 4], &[0; 4]);
        for (files, expected) in [
            (counts, "train-labels-idx1-ubyte has 3 labels"),
            (sizes, "of one size"),
        ] {
            let root = written(&names(""), &files);
            let error = load_known(root.path(), &known()).unwrap_err();
            assert!(matches!(error, DataError::Inconsistent(_)), "{error}");
            assert!(error.to_string().contains(expected), "{error}");
        }
    }

    #[test]
    fn letters_count_from_0_and_give_the_classes() {
        let letters =
            names("").map(|name| format!("emnist-letters-{}", name.replace("t10k", "test")));
        let root = written(&letters, &four(9, [26, 3, 1]));
        let found = load(root.path()).unwrap();
        assert_eq!(found.origin, Origin::Unknown);
        assert_eq!(found.train.labels(), Some(&[25, 2][..]));
        assert_eq!((found.test.label(0), found.test.classes()), (Some(0), 26));
        let options = crate::OpenOptions::new();
        let splits = crate::open(crate::DatasetKind::Mnist, Some(root.path()), &options).unwrap();
        let expected = "the test set of a set in the format of MNIST, of unknown origin";
        let description = splits.description;
        assert!(description.ends_with(expected), "{description}");
        let dotted = names("").map(|name| name.replace("-idx", ".idx"));
        let found = load(written(&dotted, &four(9, [0, 3, 1])).path()).unwrap();
        assert_eq!(found.train.labels(), Some(&[0, 3][..]));
        assert_eq!(found.test.classes(), 10);
    }

    #[test]
    fn the_real_set_is_whole() {
        let Some(root) = real_data("mnist") else {
            return;
        };
        let mnist = load(root.parent().unwrap()).unwrap();
        assert_eq!(mnist.origin, Origin::Mnist);
        assert_eq!((mnist.train.len(), mnist.test.len()), (60_000, 10_000));
        assert_eq!(mnist.train.shape(), [1, 28, 28]);
        assert_eq!(&mnist.train.labels().unwrap()[..5], [5, 0, 4, 1, 9]);
        // The mean that training recipes subtract: 0.1307.
        assert!((byte_means(&mnist.train)[0] / 255.0 - 0.1307).abs() < 1e-4);
    }
}

//! CIFAR-10 in its binary version: 60,000 colour photographs of 32 x 32 in ten classes.
//!
//! Source: A. Krizhevsky, *Learning Multiple Layers of Features from Tiny Images*, 2009,
//! <https://www.cs.toronto.edu/~kriz/cifar.html>.

use std::{fmt, path::Path};

use crate::{
    checksum::Checksum,
    cifar10_files::{NAMES, RECORD, hint, read},
    dataset::ImageDataset,
    error::{DataError, Result, format},
};

/// The names of the classes, in the order of the labels.
pub const CLASS_NAMES: [&str; 10] = [
    "airplane",
    "automobile",
    "bird",
    "cat",
    "deer",
    "dog",
    "frog",
    "horse",
    "ship",
    "truck",
];

const MD5: [&str; 6] = [
    "5dd7e06a14cb22eb9f671a540d1b7c25",
    "5ea93a67294ea407fff1d09f752e9692",
    "942cd6a4bcdd0dd3c604fbe906cb4421",
    "ae636b3ba5c66a11e91e8cb52e771fcb",
    "53f37980c15c3d472c316c40844f3f0d",
    "803d5f7f4d78ea53de84dbe85f74fb6d",
];

const SHAPE: [usize; 3] = [3, 32, 32];

/// The images of CIFAR-10 that [`load`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Cifar10 {
    /// The five training batches in order, 50,000 images.
    pub train: ImageDataset,
    /// The official test batch, 10,000 images, where it is there.
    pub test: Option<ImageDataset>,
}

/// The source of the images that [`Cifar10::hold_out`] holds out.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeldOutSource {
    /// The official test batch, whose results compare with published ones.
    TestBatch,
    /// The fifth training batch, because the test batch is missing.
    LastTrainingBatch,
}

impl fmt::Display for HeldOutSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TestBatch => "official test batch",
            Self::LastTrainingBatch => "data_batch_5 (the official test batch is missing)",
        })
    }
}

impl Cifar10 {
    /// Splits the images in the training set and the held-out set, which is the official test
    /// batch, or the last of the training batches where the test batch is missing.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the test batch is missing and the training set has fewer
    /// than five images; what [`load`] returns has more.
    pub fn hold_out(self) -> Result<(ImageDataset, ImageDataset, HeldOutSource)> {
        match self.test {
            Some(test) => Ok((self.train, test, HeldOutSource::TestBatch)),
            None => {
                let len = self.train.len();
                let (train, held_out) = self.train.split(len - len / 5..len)?;
                Ok((train, held_out, HeldOutSource::LastTrainingBatch))
            }
        }
    }
}

/// Reads CIFAR-10 from its official files. `path` is the folder of the batches, a folder that
/// contains `cifar-10-batches-bin/` or `cifar-10-binary.tar.gz`, or the archive itself. An archive
/// is read under any name, compressed or not; in a folder it may end in `.tgz` or `.tar` too.
///
/// # Errors
///
/// [`DataError::Missing`] if there is nothing of CIFAR-10, or an archive lacks a training batch,
/// [`DataError::Inconsistent`] if a folder has some training batches and lacks others (and there is
/// no archive to read instead), [`DataError::Checksum`] if a batch is not the official one bit for
/// bit, [`DataError::Format`] for a web page in the place of the archive, and [`DataError::Io`].
/// Only the test batch may be absent.
pub fn load(path: &Path) -> Result<Cifar10> {
    load_checked(path, &MD5)
}

/// Reads the bytes of a batch of any length, for files that are not the official ones: no checksum is
/// verified. A record is a label from 0 to 9 and the three planes of 32 x 32 levels, 3,073 bytes. `path`
/// serves for messages.
///
/// ```
/// use std::path::Path;
///
/// use pixel_iqn_data::cifar10;
///
/// let record = [&[7][..], &[255; 3072]].concat();
/// let set = cifar10::parse(Path::new("mine.bin"), &record)?;
/// assert_eq!((set.len(), set.shape(), set.label(0)), (1, [3, 32, 32], Some(7)));
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
///
/// # Errors
///
/// [`DataError::Empty`] without a record, [`DataError::Format`] for a cut record or a label above
/// nine.
pub fn parse(path: &Path, bytes: &[u8]) -> Result<ImageDataset> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    append(path, bytes, &mut images, &mut labels)?;
    dataset(images, labels)
}

fn load_checked(path: &Path, md5: &[impl AsRef<str>; 6]) -> Result<Cifar10> {
    let (base, files) = read(path)?;
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    let mut test = None;
    for (index, (name, bytes)) in NAMES.iter().zip(files).enumerate() {
        let file = base.join(name);
        let is_test = index == 5;
        let Some(bytes) = bytes else {
            if is_test {
                break;
            }
            return Err(DataError::Missing {
                path: file,
                hint: hint(),
            });
        };
        Checksum::Md5(md5[index].as_ref()).check(&file, &bytes)?;
        if is_test {
            test = Some(parse(&file, &bytes)?);
        } else {
            append(&file, &bytes, &mut images, &mut labels)?;
        }
    }
    Ok(Cifar10 {
        train: dataset(images, labels)?,
        test,
    })
}

fn append(path: &Path, bytes: &[u8], images: &mut Vec<u8>, labels: &mut Vec<u32>) -> Result<()> {
    if bytes.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let records = bytes.chunks_exact(RECORD);
    let rest = records.remainder().len();
    if rest > 0 {
        let expected = format!("a record of {RECORD} bytes");
        return Err(format(
            path,
            bytes.len() - rest,
            expected,
            format!("{rest} bytes"),
        ));
    }
    for (index, record) in records.enumerate() {
        let label = record[0];
        if usize::from(label) >= CLASS_NAMES.len() {
            return Err(format(
                path,
                index * RECORD,
                "a label below 10",
                label.to_string(),
            ));
        }
        labels.push(label.into());
        images.extend_from_slice(&record[1..]);
    }
    Ok(())
}

fn dataset(images: Vec<u8>, labels: Vec<u32>) -> Result<ImageDataset> {
    ImageDataset::new(images, SHAPE)?
        .with_labels(labels, CLASS_NAMES.len())?
        .with_class_names(CLASS_NAMES)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use std::fs;

    use super::*;
    use crate::cifar10_files::{ARCHIVE, ARCHIVES, FOLDER, OTHER_VERSIONS};
    use crate::{
        testing::{byte_means, mutate, real_data, refuses_every_cut},
        unpack::tests::gzip,
    };

    /// A batch of `records` images; every byte depends on `batch`.
    fn batch(batch: usize, records: usize) -> Vec<u8> {
        let record = |index: usize| {
            let pixels = (0..RECORD - 1).map(move |i| (batch * 41 + index * 7 + i) as u8);
            std::iter::once(((batch + index) % 10) as u8).chain(pixels)
        };
        (0..records).flat_map(record).collect()
    }

    /// Six batches of two images with their checksums.
    fn six() -> ([Vec<u8>; 6], [String; 6]) {
        let batches: [_; 6] = std::array::from_fn(|index| batch(index, 2));
        let md5 = std::array::from_fn(|index| crate::md5(&batches[index]));
        (batches, md5)
    }

    fn write_folder(folder: &Path, batches: &[Vec<u8>]) {
        fs::create_dir_all(folder).unwrap();
        for (name, bytes) in NAMES.iter().zip(batches) {
            fs::write(folder.join(name), bytes).unwrap();
        }
    }

    fn tar_of(folder: &Path) -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        tar.append_dir_all(FOLDER, folder).unwrap();
        tar.into_inner().unwrap()
    }

    #[test]
    fn folder_archive_and_parent_give_the_same_images() {
        let (batches, md5) = six();
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("a").join(FOLDER);
        write_folder(&folder, &batches);
        let archive = root.path().join("b").join(ARCHIVE);
        fs::create_dir_all(archive.parent().unwrap()).unwrap();
        fs::write(&archive, gzip(&tar_of(&folder))).unwrap();

        let expected: Vec<u8> = batches[..5]
            .iter()
            .flat_map(|batch| batch.chunks(RECORD).flat_map(|record| &record[1..]))
            .copied()
            .collect();
        let paths = [
            &folder,
            folder.parent().unwrap(),
            &archive,
            archive.parent().unwrap(),
        ];
        for path in paths {
            let cifar = load_checked(path, &md5).unwrap();
            assert_eq!(cifar.train.images(), expected, "{}", path.display());
            let test = cifar.test.as_ref().unwrap();
            assert_eq!(test.image(1), &batches[5][RECORD + 1..]);
            assert_eq!(test.labels(), Some(&[5, 6][..]));
            assert_eq!(cifar.hold_out().unwrap().2, HeldOutSource::TestBatch);
        }
    }

    #[test]
    fn without_the_test_batch_the_last_training_batch_is_held_out() {
        let (batches, md5) = six();
        let root = tempfile::tempdir().unwrap();
        write_folder(root.path(), &batches[..5]);
        let (train, held_out, from) = load_checked(root.path(), &md5).unwrap().hold_out().unwrap();
        assert_eq!(from, HeldOutSource::LastTrainingBatch);
        assert_eq!((train.len(), held_out.len()), (8, 2));
        assert_eq!(held_out.image(0), &batches[4][1..RECORD]);
    }

    #[test]
    fn an_archive_is_read_under_any_name_and_in_any_form() {
        let (batches, md5) = six();
        let root = tempfile::tempdir().unwrap();
        write_folder(root.path(), &batches);
        let plain = tar_of(root.path());
        let packed = gzip(&plain);
        let padded = [&packed[..], &[0; 700]].concat();
        let (first, second) = plain.split_at(5_000);
        let members = [gzip(first), gzip(second)].concat();
        for bytes in [plain, packed, padded, members] {
            for name in ARCHIVES.into_iter().chain(["cifar (1)"]) {
                let root = tempfile::tempdir().unwrap();
                let archive = root.path().join(name);
                fs::write(&archive, &bytes).unwrap();
                let direct = load_checked(&archive, &md5).unwrap();
                if ARCHIVES.contains(&name) {
                    let found = load_checked(root.path(), &md5).unwrap();
                    assert_eq!(found.train, direct.train);
                }
            }
        }
        let page = root.path().join(ARCHIVE);
        fs::write(&page, "<html>Moved</html>").unwrap();
        let error = load(&page).unwrap_err().to_string();
        assert!(error.contains("web page"), "{error}");
    }

    #[test]
    fn other_versions_are_told_from_the_binary_one() {
        for (name, what) in OTHER_VERSIONS {
            let root = tempfile::tempdir().unwrap();
            fs::write(root.path().join(name), "").unwrap();
            let error = load(root.path()).unwrap_err().to_string();
            assert!(error.contains(what) && error.contains(ARCHIVE), "{error}");
        }
    }

    #[test]
    fn missing_and_changed_batches_are_named() {
        let (mut batches, md5) = six();
        let root = tempfile::tempdir().unwrap();
        let error = load(root.path()).unwrap_err();
        assert!(matches!(&error, DataError::Missing { .. }), "{error}");

        write_folder(root.path(), &batches[..3]);
        let error = load_checked(root.path(), &md5).unwrap_err();
        assert!(matches!(&error, DataError::Inconsistent(text) if text.contains(NAMES[3])));

        // An archive beside them is whole.
        let whole = tempfile::tempdir().unwrap();
        write_folder(whole.path(), &batches);
        fs::write(root.path().join(ARCHIVE), gzip(&tar_of(whole.path()))).unwrap();
        assert!(load_checked(root.path(), &md5).unwrap().test.is_some());
        fs::remove_file(root.path().join(ARCHIVE)).unwrap();

        batches[2][77] ^= 1;
        write_folder(root.path(), &batches);
        let error = load_checked(root.path(), &md5).unwrap_err();
        assert!(matches!(&error, DataError::Checksum { path, .. } if path.ends_with(NAMES[2])));
    }

    #[test]
    fn errors_name_the_byte() {
        let offset = |bytes: &[u8]| match parse(Path::new("x"), bytes) {
            Err(DataError::Format { offset, .. }) => offset as usize,
            other => panic!("{other:?}"),
        };
        let mut bytes = batch(0, 3);
        assert_eq!(offset(&bytes[..2 * RECORD + 5]), 2 * RECORD);
        bytes[RECORD] = 10;
        assert_eq!(offset(&bytes), RECORD);
        assert!(matches!(
            parse(Path::new("x"), &[]),
            Err(DataError::Empty { .. })
        ));
    }

    #[test]
    fn a_record_cut_anywhere_is_refused() {
        refuses_every_cut(&batch(4, 1), |bytes| parse(Path::new("x"), bytes));
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_whole_or_refused(bytes in mutate(batch(3, 2))) {
            if let Ok(set) = parse(Path::new("x"), &bytes) {
                prop_assert_eq!(set.len() * RECORD, bytes.len());
            }
        }

        #[test]
        fn a_damaged_archive_is_refused(bytes in mutate(archive_of_one())) {
            let file = tempfile::Builder::new().suffix(".gz").tempfile().unwrap();
            fs::write(file.path(), bytes).unwrap();
            prop_assert!(load(file.path()).is_err());
        }
    }

    /// An archive with a single short batch, which no official checksum fits.
    fn archive_of_one() -> Vec<u8> {
        let mut tar = tar::Builder::new(Vec::new());
        let mut header = tar::Header::new_gnu();
        header.set_size(100);
        tar.append_data(&mut header, NAMES[0], &[1u8; 100][..])
            .unwrap();
        gzip(&tar.into_inner().unwrap())
    }

    #[test]
    fn the_real_set_is_whole() {
        let Some(root) = real_data("cifar-10-batches-bin") else {
            return;
        };
        let cifar = load(&root).unwrap();
        assert_eq!(cifar.train.len(), 50_000);
        let mut histogram = [0; 10];
        for &label in cifar.train.labels().unwrap() {
            histogram[label as usize] += 1;
        }
        assert_eq!(histogram, [5_000; 10]);
        // The channel means that training recipes subtract: 0.4914, 0.4822, 0.4465.
        for (mean, known) in byte_means(&cifar.train)
            .into_iter()
            .zip([0.4914, 0.4822, 0.4465])
        {
            assert!((mean / 255.0 - known).abs() < 1e-4, "{mean}");
        }
        assert_eq!(load(root.parent().unwrap()).unwrap().train, cifar.train);
    }
}

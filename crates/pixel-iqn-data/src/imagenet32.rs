//! ImageNet at 32 x 32: 1.28 million photographs in a thousand classes.
//!
//! Source: P. Chrabaszcz, I. Loshchilov and F. Hutter, *A Downsampled Variant of ImageNet as an
//! Alternative to the CIFAR datasets*, 2017, <https://arxiv.org/abs/1707.08819>. The files are
//! handed out at <https://image-net.org/download-images> after registration.

use std::{
    fmt,
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at},
    folder::Fit,
    folder_files::Files,
    imagenet32_batches::{Batches, first_label, refuse_other_content},
};

const TRAIN_BATCHES: usize = 10;
/// Below the given path, the folders that are looked into where it holds no image itself.
const FOLDERS: [&str; 2] = ["imagenet32", "imagenet-sample-32x32"];
/// The folders that the official archives make below that, beside which the other may lie.
const PARTS: [&str; 4] = [
    "Imagenet32_train",
    "Imagenet32_train_npz",
    "Imagenet32_val",
    "Imagenet32_val_npz",
];

/// The images of ImageNet 32x32 that [`load`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imagenet32 {
    /// The training images, or all that there are.
    pub train: ImageDataset,
    /// The official validation images, where they are there beside the training images.
    pub validation: Option<ImageDataset>,
    /// The files that `train` was read from.
    pub source: Source,
}

/// The files that [`Imagenet32::train`] was read from.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum Source {
    /// The ten official training batches.
    TrainingBatches,
    /// The official validation batch alone, since no training batch is there.
    ValidationBatch,
    /// Image files.
    ImageFiles,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::TrainingBatches => "official training batches",
            Self::ValidationBatch => "val_data.npz (the official training batches are missing)",
            Self::ImageFiles => "image files",
        })
    }
}

/// Reads ImageNet 32x32 from `path`, or from `imagenet32` or `imagenet-sample-32x32` below it. The
/// batches may lie in the folders of the official archives there, `Imagenet32_train` and
/// `Imagenet32_val` with or without `_npz`.
///
/// Three forms are read: the official `train_data_batch_1.npz` to `train_data_batch_10.npz` with or
/// without `val_data.npz`, `val_data.npz` alone, and image files of 32 x 32, in one folder per class
/// or in one folder with the class of WordNet in front of each name
/// (`n01592084_chickadee.png`), which may be split in `train` and `val`. The whole training set takes 3.9 GB of memory. About labels see
/// [`load_batches`].
///
/// # Errors
///
/// [`DataError::Missing`] if one of the ten training batches or the folder is not there,
/// [`DataError::Format`] for a damaged batch, a pickled batch or an image of another size,
/// [`DataError::Inconsistent`] for labels that count from 0 and from 1, and the errors of
/// [`folder::load`](crate::folder::load).
pub fn load(path: &Path) -> Result<Imagenet32> {
    let below = FOLDERS.map(|name| path.join(name));
    let root = below
        .iter()
        .find(|folder| folder.is_dir())
        .map_or(path, PathBuf::as_path);
    if root.is_file() {
        return Err(DataError::Inconsistent(format!(
            "{} is a file: give the folder that it is in, {}",
            root.display(),
            folder_of(root).display()
        )));
    }
    if !root.is_dir() {
        return Err(DataError::Missing {
            path: root.to_owned(),
            hint: "ImageNet 32x32 is a folder of train_data_batch_1.npz and so on from \
                   https://image-net.org/download-images, or of images"
                .to_owned(),
        });
    }
    let training: Vec<PathBuf> = (1..=TRAIN_BATCHES)
        .map(|number| batch_path(root, &format!("train_data_batch_{number}")))
        .collect();
    let validation = batch_path(root, "val_data");
    let there = training.iter().filter(|file| file.exists()).count();
    if let (1.., Some(missing)) = (there, training.iter().find(|file| !file.exists())) {
        for file in training.iter().filter(|file| file.exists()) {
            let mut reader = BufReader::new(File::open(file).map_err(at(file))?);
            refuse_other_content(file, &mut reader)?;
        }
        return Err(DataError::Missing {
            path: missing.clone(),
            hint: format!(
                "the training set of ImageNet 32x32 is {TRAIN_BATCHES} batches, of which {there} are here"
            ),
        });
    }
    if there > 0 {
        let train = Batches::read(training)?;
        let validation = match validation.exists() {
            true => Some(Batches::read([validation])?),
            false => None,
        };
        let first = first_label([Some(&train), validation.as_ref()].into_iter().flatten())?;
        return Ok(Imagenet32 {
            train: train.into_set(first)?,
            validation: validation.map(|batch| batch.into_set(first)).transpose()?,
            source: Source::TrainingBatches,
        });
    }
    if validation.exists() {
        return Ok(Imagenet32 {
            train: load_batches([validation])?,
            validation: None,
            source: Source::ValidationBatch,
        });
    }
    let read = |files: Files| files.read(32, 3, Fit::Exact);
    let (train, validation) = match Files::find_split(root)? {
        Some((train, validation, _)) => (train, Some(validation)),
        None => (Files::find(root)?, None),
    };
    Ok(Imagenet32 {
        train: read(train)?,
        validation: validation.map(read).transpose()?,
        source: Source::ImageFiles,
    })
}

/// The folder that a file is in.
fn folder_of(file: &Path) -> &Path {
    match file.parent() {
        Some(folder) if folder != Path::new("") => folder,
        _ => Path::new("."),
    }
}

/// Returns the path of a batch in the folder or in those of the archives: with `.npz`, or the bare
/// name where only that is there, as the pickled batches have it.
fn batch_path(root: &Path, name: &str) -> PathBuf {
    let npz = format!("{name}.npz");
    let below = PARTS.map(|part| root.join(part));
    let folders = || [root].into_iter().chain(below.iter().map(PathBuf::as_path));
    let files = folders().map(|folder| folder.join(&npz));
    let mut all = files.chain(folders().map(|folder| folder.join(name)));
    all.find(|file| file.is_file())
        .unwrap_or_else(|| root.join(npz))
}

/// Reads the given `.npz` batches into one set, for those who want only some of them.
///
/// Labels may count from 1, as in the official files, or from 0. All labels of the given files
/// decide: they count from 0 where one is 0, and from 1 where one is 1000. Where neither occurs,
/// they count from 1, which is our choice.
///
/// # Errors
///
/// [`DataError::Missing`] for a file that is not there, [`DataError::Io`] or
/// [`DataError::Format`] for one that is damaged, pickled or no batch of 32 x 32 images, and
/// [`DataError::Inconsistent`] without a file and for labels of both 0 and 1000.
pub fn load_batches(files: impl IntoIterator<Item = PathBuf>) -> Result<ImageDataset> {
    let batches = Batches::read(files)?;
    let first = first_label([&batches])?;
    batches.into_set(first)
}

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor};

    use proptest::prelude::*;

    use super::*;
    use crate::imagenet32_batches::IMAGE;
    use crate::testing::{mutate, npy_header, npz, real_data, refuses_every_cut};

    /// A batch of images filled with their label, labels as little-endian 64-bit integers.
    fn batch(labels: &[u8]) -> Vec<u8> {
        let data: Vec<u8> = labels.iter().flat_map(|&label| [label; IMAGE]).collect();
        let bytes: Vec<u8> = labels
            .iter()
            .flat_map(|&l| i64::from(l).to_le_bytes())
            .collect();
        let count = labels.len();
        npz(&[
            (
                "data",
                &npy_header("|u1", &format!("({count}, {IMAGE})")),
                &data,
            ),
            ("labels", &npy_header("<i8", &format!("({count},)")), &bytes),
        ])
    }

    fn parse(bytes: Vec<u8>) -> Result<(Vec<u8>, Vec<u32>)> {
        let mut batches = Batches::default();
        batches.append(Path::new("x.npz"), Cursor::new(bytes))?;
        let first = first_label([&batches])?;
        let set = batches.into_set(first)?;
        Ok((set.images().to_vec(), set.labels().unwrap().to_vec()))
    }

    #[test]
    fn all_ten_batches_or_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("imagenet32");
        assert!(matches!(load(&folder), Err(DataError::Missing { .. })));
        fs::create_dir(&folder).unwrap();
        for number in 1..=10 {
            if number > 1 {
                let error = load(root.path()).unwrap_err().to_string();
                let expected = format!("is 10 batches, of which {} are here", number - 1);
                assert!(error.contains(&expected), "{error}");
            }
            let file = folder.join(format!("train_data_batch_{number}.npz"));
            fs::write(file, batch(&[number, 99])).unwrap();
        }
        let found = load(root.path()).unwrap();
        let expected: Vec<u32> = (0..10).flat_map(|label| [label, 98]).collect();
        assert_eq!(found.train.labels(), Some(&expected[..]));
        assert!(found.validation.is_none());
        fs::write(folder.join("val_data.npz"), batch(&[7])).unwrap();
        assert_eq!(
            load(root.path()).unwrap().validation.unwrap().label(0),
            Some(6)
        );
    }

    #[test]
    fn the_validation_batch_is_a_set_of_its_own() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("val_data.npz"), batch(&[7; 20])).unwrap();
        let found = load(root.path()).unwrap();
        assert_eq!((found.train.len(), found.validation), (20, None));
        assert_eq!(found.source, Source::ValidationBatch);
        let splits = crate::open(
            crate::DatasetKind::Imagenet32,
            Some(root.path()),
            &crate::OpenOptions::new(),
        )
        .unwrap();
        assert_eq!((splits.train.len(), splits.held_out.len()), (18, 2));
        let expected = "every ten images of val_data.npz";
        assert!(
            splits.description.contains(expected),
            "{}",
            splits.description
        );
    }

    #[test]
    fn the_folders_of_the_archives_are_looked_into() {
        for ending in ["", "_npz"] {
            let root = tempfile::tempdir().unwrap();
            let [train, val] = ["train", "val"].map(|part| {
                let folder = root.path().join(format!("Imagenet32_{part}{ending}"));
                fs::create_dir(&folder).unwrap();
                folder
            });
            for number in 1..=10 {
                let file = train.join(format!("train_data_batch_{number}.npz"));
                fs::write(file, batch(&[number])).unwrap();
            }
            fs::write(val.join("val_data.npz"), batch(&[7])).unwrap();
            let found = load(root.path()).unwrap();
            assert_eq!(
                (found.train.len(), found.validation.unwrap().len()),
                (10, 1)
            );
            let found = load(&val).unwrap();
            assert_eq!(found.source, Source::ValidationBatch);
            let error = load(&val.join("val_data.npz")).unwrap_err().to_string();
            let expected = format!("give the folder that it is in, {}", val.display());
            assert!(error.ends_with(&expected), "{error}");
        }
    }

    #[test]
    fn image_files_may_be_split() {
        let root = tempfile::tempdir().unwrap();
        for (part, level) in [("train", 1), ("val", 2)] {
            let folder = root.path().join(part);
            fs::create_dir(&folder).unwrap();
            crate::ImageGrid::new(&[level; 1024], [1, 1, 32, 32])
                .and_then(|image| image.save(folder.join("n01440764_a.png")))
                .unwrap();
        }
        let found = load(root.path()).unwrap();
        assert_eq!(found.train.images(), [1; IMAGE]);
        assert_eq!(found.validation.unwrap().images(), [2; IMAGE]);
    }

    #[test]
    fn all_labels_decide_whether_they_count_from_0() {
        let root = tempfile::tempdir().unwrap();
        let batch_at = |number: usize| root.path().join(format!("train_data_batch_{number}.npz"));
        for number in 1..=10 {
            fs::write(batch_at(number), batch(&[5])).unwrap();
        }
        let validation = root.path().join("val_data.npz");
        fs::write(&validation, batch(&[5, 0])).unwrap();
        let found = load(root.path()).unwrap();
        assert_eq!(found.train.label(0), Some(5));
        assert_eq!(found.validation.unwrap().labels(), Some(&[5, 0][..]));
        // Without that label, the files count as the official ones do.
        let set = load_batches([batch_at(1)]).unwrap();
        assert_eq!(set.labels(), Some(&[4][..]));

        let data = npy_header("|u1", &format!("(1, {IMAGE})"));
        let last = npz(&[
            ("data", &data, &[0; IMAGE]),
            ("labels", &npy_header("<u2", "(1,)"), &[0xe8, 3]),
        ]);
        fs::write(batch_at(3), last).unwrap();
        let error = load(root.path()).unwrap_err().to_string();
        assert!(error.contains("val_data.npz has the label 0"), "{error}");
        assert!(error.contains("train_data_batch_3.npz has 1000"), "{error}");
    }

    #[test]
    fn pickled_batches_and_web_pages_are_told() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("train_data_batch_1");
        fs::write(&path, b"\x80\x03}q\x00(X\x04\x00\x00\x00data").unwrap();
        let error = load(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("open('train_data_batch_1', 'rb')"),
            "{error}"
        );
        assert!(error.contains("savez('train_data_batch_1.npz'"), "{error}");
        for (old, protocol) in [(&b"(dp0\nVdata\n"[..], 0), (b"}q\x00(X", 1)] {
            fs::write(&path, old).unwrap();
            let error = load(root.path()).unwrap_err().to_string();
            let expected = format!("a pickle (protocol {protocol})");
            assert!(error.contains(&expected), "{error}");
        }
        fs::write(&path, "<!doctype html>").unwrap();
        let error = load(root.path()).unwrap_err().to_string();
        assert!(error.contains("web page"), "{error}");
    }

    #[test]
    fn the_real_sample_is_whole() {
        let Some(root) = real_data("imagenet-sample-32x32") else {
            return;
        };
        let found = load(&root).unwrap();
        assert_eq!((found.train.len(), found.train.classes()), (1_000, 1_000));
        assert_eq!(found.train.class_names().unwrap()[0], "n01440764");
        assert_eq!(load(root.parent().unwrap()).unwrap().train, found.train);
    }

    #[test]
    fn what_is_written_is_read() {
        let (images, labels) = parse(batch(&[3, 1, 200])).unwrap();
        assert_eq!(labels, [2, 0, 199]);
        assert_eq!(images, [[3; IMAGE], [1; IMAGE], [200; IMAGE]].concat());
    }

    /// One image with one label of the given type.
    fn labelled(kind: &str, label: &[u8]) -> Result<Vec<u32>> {
        let data = npy_header("|u1", &format!("(1, {IMAGE})"));
        parse(npz(&[
            ("data", &data, &[0; IMAGE]),
            ("labels", &npy_header(kind, "(1,)"), label),
        ]))
        .map(|(_, labels)| labels)
    }

    #[test]
    fn labels_of_every_integer_type_are_read() {
        assert_eq!(labelled("|u1", &[7]).unwrap(), [6]);
        assert_eq!(labelled("<i2", &[0, 0]).unwrap(), [0]);
        assert_eq!(labelled("<u2", &[0xe8, 3]).unwrap(), [999]);
        assert_eq!(labelled(">i4", &[0, 0, 1, 0]).unwrap(), [255]);
        assert_eq!(labelled(">u8", &[0, 0, 0, 0, 0, 0, 0, 1]).unwrap(), [0]);
        for (kind, label) in [
            ("|i1", &[0xff][..]),
            ("<u2", &[0xe9, 3]),
            (">u8", &[0, 0, 0, 1, 0, 0, 0, 1]),
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
            npy_header("|u1", "(9223372036854775807, 3072)"),
            npy_header("|u1", "(1000000000000000, 3072)"),
            npy_header("|u1", "(2, 3072)"),
            npy_header("|u1", "(0, 3072)"),
            npy_header("|u1", "(1, 3071)"),
            npy_header("|S3072", "(1,)"),
            nested,
        ] {
            let labels = npy_header("|u1", "(1,)");
            let bytes = npz(&[("data", &data, &[0; IMAGE]), ("labels", &labels, &[1])]);
            let result = parse(bytes);
            assert!(result.is_err(), "{data:.80}");
        }
        let error = parse(npz(&[("labels", &npy_header("|u1", "(1,)"), &[1])])).unwrap_err();
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

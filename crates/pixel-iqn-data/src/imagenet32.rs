//! ImageNet at 32 x 32: 1.28 million photographs in a thousand classes.
//!
//! Source: P. Chrabaszcz, I. Loshchilov and F. Hutter, *A Downsampled Variant of ImageNet as an
//! Alternative to the CIFAR datasets*, 2017, <https://arxiv.org/abs/1707.08819>. The files are
//! handed out at <https://image-net.org/download-images> after registration.

use std::{
    fs::File,
    io::{BufReader, Read, Seek},
    path::{Path, PathBuf},
};

use npyz::{TypeChar, npz::NpzArchive};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    folder::{self, Fit},
    npz::{array, integer},
};

const TRAIN_BATCHES: usize = 10;
/// The labels of the files count from 1 to this.
const CLASSES: i64 = 1000;
/// Bytes of one image, planar RGB.
const IMAGE: usize = 3 * 32 * 32;
/// Below the given path, the folders that are looked into where it holds no image itself.
const FOLDERS: [&str; 2] = ["imagenet32", "imagenet-sample-32x32"];

/// The images of ImageNet 32x32 that [`load`] found.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Imagenet32 {
    /// The training images.
    pub train: ImageDataset,
    /// The official validation images, where they are there.
    pub validation: Option<ImageDataset>,
}

/// Reads ImageNet 32x32 from `path`, or from `imagenet32` or `imagenet-sample-32x32` below it.
///
/// Two forms are read: the official `train_data_batch_1.npz` to `train_data_batch_10.npz` with or
/// without `val_data.npz`, and image files of 32 x 32, in one folder per class or in one folder
/// with the class of WordNet in front of each name (`n01592084_chickadee.png`). The whole training
/// set takes 3.9 GB of memory.
///
/// # Errors
///
/// [`DataError::Missing`] if one of the ten training batches or the folder is not there,
/// [`DataError::Format`] for a damaged batch or an image of another size, and the errors of
/// [`folder::load`].
pub fn load(path: &Path) -> Result<Imagenet32> {
    let below = FOLDERS.map(|name| path.join(name));
    let root = below
        .iter()
        .find(|folder| folder.is_dir())
        .map_or(path, PathBuf::as_path);
    if !root.is_dir() {
        return Err(DataError::Missing {
            path: root.to_owned(),
            hint: "ImageNet 32x32 is a folder of train_data_batch_1.npz and so on from \
                   https://image-net.org/download-images, or of images"
                .to_owned(),
        });
    }
    let batch = |number: usize| root.join(format!("train_data_batch_{number}.npz"));
    if !(1..=TRAIN_BATCHES).any(|number| batch(number).exists()) {
        let train = folder::load(root, 32, 3, Fit::Exact)?;
        return Ok(Imagenet32 {
            train,
            validation: None,
        });
    }
    let validation = root.join("val_data.npz");
    Ok(Imagenet32 {
        train: load_batches((1..=TRAIN_BATCHES).map(batch))?,
        validation: validation
            .exists()
            .then(|| load_batches([validation]))
            .transpose()?,
    })
}

/// Reads the given `.npz` batches into one set, for those who want only some of them.
///
/// # Errors
///
/// [`DataError::Missing`] for a file that is not there, [`DataError::Io`] or
/// [`DataError::Format`] for one that is damaged or is no batch of 32 x 32 images, and
/// [`DataError::Inconsistent`] without a file.
pub fn load_batches(files: impl IntoIterator<Item = PathBuf>) -> Result<ImageDataset> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        if !file.exists() {
            let hint = "a batch of ImageNet 32x32 belongs here".to_owned();
            return Err(DataError::Missing { path: file, hint });
        }
        let reader = BufReader::new(File::open(&file).map_err(at(&file))?);
        append(&file, reader, &mut images, &mut labels)?;
    }
    ImageDataset::new(images, [3, 32, 32])?.with_labels(labels, CLASSES as usize)
}

/// Appends the images and labels (from 0) of one batch, which are its arrays `data` and `labels`.
/// `path` serves for messages.
fn append(
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

#[cfg(test)]
mod tests {
    use std::{fs, io::Cursor};

    use proptest::prelude::*;

    use super::*;
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
    fn all_ten_batches_or_none() {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("imagenet32");
        assert!(matches!(load(&folder), Err(DataError::Missing { .. })));
        fs::create_dir(&folder).unwrap();
        for number in 1..=10 {
            if number > 1 {
                let error = load(root.path()).unwrap_err();
                assert!(matches!(error, DataError::Missing { .. }), "{error}");
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
            npy_header("|u1", "(9223372036854775807, 3072)"),
            npy_header("|u1", "(1000000000000000, 3072)"),
            npy_header("|u1", "(2, 3072)"),
            npy_header("|u1", "(0, 3072)"),
            npy_header("|u1", "(1, 3071)"),
            npy_header("|S3072", "(1,)"),
            npy_header("|u1", "(1, 3072)").replace("False", "True"),
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

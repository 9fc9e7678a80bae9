//! ImageNet at 32 x 32: 1.28 million photographs in a thousand classes.
//!
//! P. Chrabaszcz, I. Loshchilov and F. Hutter, *A Downsampled Variant of ImageNet as an
//! Alternative to the CIFAR datasets*, 2017, <https://arxiv.org/abs/1707.08819>. The files are
//! handed out at <https://image-net.org/download-images> after registration.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at},
    folder::{self, Fit, FlatClasses},
    npz,
};

const TRAIN_BATCHES: usize = 10;
const CLASSES: usize = 1000;
/// Below the given path, the folders that are looked into where it holds no image itself.
const FOLDERS: [&str; 2] = ["imagenet32", "imagenet-sample-32x32"];

/// The parts of ImageNet 32x32 that were found.
#[derive(Clone, Debug)]
pub struct Imagenet32 {
    /// The training images.
    pub train: ImageDataset,
    /// The official validation images, where they are there.
    pub validation: Option<ImageDataset>,
}

/// Reads ImageNet 32x32 from `path`, or from `imagenet32` or `imagenet-sample-32x32` below it.
///
/// Either form will do: the official `train_data_batch_1.npz` to `train_data_batch_10.npz` with
/// or without `val_data.npz`, or image files of 32 x 32, in one folder per class or in one folder
/// with the class in front of the first `_` of each name (`n01592084_chickadee.png`). The whole
/// training set takes 3.9 GB of memory.
///
/// # Errors
///
/// [`DataError::Missing`] if one of the ten training batches or the folder is not there,
/// [`DataError::Format`] for a damaged batch or an image of another size, and those of
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
        let train = folder::load_with(root, 32, 3, Fit::Exact, FlatClasses::NamePrefix)?;
        return Ok(Imagenet32 {
            train,
            validation: None,
        });
    }
    let validation = root.join("val_data.npz");
    Ok(Imagenet32 {
        train: load_npz((1..=TRAIN_BATCHES).map(batch))?,
        validation: validation
            .exists()
            .then(|| load_npz([validation]))
            .transpose()?,
    })
}

/// Reads the given `.npz` batches into one set, for those who want but some of them.
///
/// # Errors
///
/// [`DataError::Missing`] for a file that is not there, [`DataError::Io`] or
/// [`DataError::Format`] for one that is damaged or is no batch of 32 x 32 images, and
/// [`DataError::Inconsistent`] without a file.
pub fn load_npz(files: impl IntoIterator<Item = PathBuf>) -> Result<ImageDataset> {
    let (mut images, mut labels) = (Vec::new(), Vec::new());
    for file in files {
        if !file.exists() {
            let hint = "a batch of ImageNet 32x32 belongs here".to_owned();
            return Err(DataError::Missing { path: file, hint });
        }
        let reader = BufReader::new(File::open(&file).map_err(at(&file))?);
        npz::append(&file, reader, &mut images, &mut labels)?;
    }
    ImageDataset::new(images, [3, 32, 32])?.with_labels(labels, CLASSES)
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::*;
    use crate::testing::real_data;

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
            fs::write(file, npz::tests::batch(&[number, 99])).unwrap();
        }
        let found = load(root.path()).unwrap();
        let expected: Vec<u32> = (0..10).flat_map(|label| [label, 98]).collect();
        assert_eq!(found.train.labels(), Some(&expected[..]));
        assert!(found.validation.is_none());
        fs::write(folder.join("val_data.npz"), npz::tests::batch(&[7])).unwrap();
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
}

//! The function that opens every data set, for programs that let the user choose.

use std::path::Path;

use crate::{
    builtin, cifar10,
    dataset::ImageDataset,
    error::{DataError, Result},
    folder::Fit,
    folder_files::Files,
    imagenet32,
    kind::DatasetKind,
    mnist,
    sizes::check_image_options,
};

/// The images held out where the source has no test set of its own: one in this many.
const HELD_OUT_ONE_IN: usize = 10;

/// The options of [`open`]: the size of the images, and what the built-in set draws.
///
/// ```
/// use pixel_iqn_data::OpenOptions;
///
/// let options = OpenOptions::new().with_size(16).with_count(1_000);
/// assert_eq!((options.size, options.channels), (Some(16), 3));
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct OpenOptions {
    /// The height and width of the images, from 1 to 4096. `folder` and `builtin` make them of this
    /// size, 32 without it; the images of the other sets are [reduced](ImageDataset::reduce) to it,
    /// and stay as they are without it.
    pub size: Option<usize>,
    /// The number of channels of the images of `folder` and `builtin`: 3 for colour, 1 for grey.
    pub channels: usize,
    /// The number of training images of `builtin`; a tenth as many, but at least one, are held out.
    pub count: usize,
    /// The seed of `builtin`.
    pub seed: u64,
}

impl OpenOptions {
    /// Creates the options for colour images of the usual size, 10,000 of them from the built-in
    /// set with seed 0.
    pub fn new() -> Self {
        Self {
            size: None,
            channels: 3,
            count: 10_000,
            seed: 0,
        }
    }

    /// Sets the height and width of the images; `None` is the usual size of the set.
    pub fn with_size(self, size: impl Into<Option<usize>>) -> Self {
        Self {
            size: size.into(),
            ..self
        }
    }

    /// Sets the number of channels of the images of `folder` and `builtin`: 3 for colour, 1 for
    /// grey.
    pub fn with_channels(self, channels: usize) -> Self {
        Self { channels, ..self }
    }

    /// Sets the number of training images of `builtin`.
    pub fn with_count(self, count: usize) -> Self {
        Self { count, ..self }
    }

    /// Sets the seed of `builtin`.
    pub fn with_seed(self, seed: u64) -> Self {
        Self { seed, ..self }
    }
}

impl Default for OpenOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// A data set, split in training images and held-out images.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Splits {
    /// The images to train on.
    pub train: ImageDataset,
    /// The images to evaluate on, none of which is in `train`.
    pub held_out: ImageDataset,
    /// A line for reports: the set, its sizes, and what was held out.
    pub description: String,
}

/// Opens a data set and splits it in training images and held-out images.
///
/// `path` is the folder of the files, or the folder that contains the set's own folder; `builtin`
/// ignores it. The held-out images are the official test set of MNIST, CIFAR-10 and ImageNet 32x32
/// where it is there. Without it, they are the last training batch of CIFAR-10. A folder with the
/// subfolders `train` and `val`, each read as [`folder::load`](crate::folder::load) does, is split
/// already; in place of `val`, the names `valid`, `validation`, `test` and `testing` count, the first
/// of these that is there, and `training` for `train`. ImageNet 32x32 as image files may be split so,
/// too. For all other sets, they are the last of every ten images, in the natural order of
/// their names; `builtin` draws them in addition.
///
/// # Errors
///
/// [`DataError::PathNeeded`] if the kind needs a path, [`DataError::Inconsistent`] if the images
/// cannot be reduced to the size asked for or if `val` has a class that `train` has not, and the errors
/// of the module that reads the set.
pub fn open(kind: DatasetKind, path: Option<&Path>, options: &OpenOptions) -> Result<Splits> {
    let &OpenOptions {
        size,
        channels,
        count,
        seed,
    } = options;
    let path = || path.ok_or(DataError::PathNeeded(kind));
    let side = size.unwrap_or(32);
    let tenth = |set: ImageDataset| -> Result<_> {
        if set.len() < HELD_OUT_ONE_IN {
            return Err(DataError::Inconsistent(format!(
                "{} images are too few to hold one in {HELD_OUT_ONE_IN} out: add some, or say which are \
                 held out by subfolders `train` and `val`",
                set.len()
            )));
        }
        let (train, held_out) = set.split_every(HELD_OUT_ONE_IN)?;
        Ok((train, held_out, "the last of every ten images".to_owned()))
    };
    let (train, held_out, what) = match kind {
        DatasetKind::Cifar10 => {
            let (train, held_out, from) = cifar10::load(path()?)?.hold_out()?;
            (train, held_out, from.to_string())
        }
        DatasetKind::Mnist => {
            let mnist = mnist::load(path()?)?;
            let what = match mnist.origin {
                mnist::Origin::Mnist => "official test set".to_owned(),
                other => format!("the test set of {other}"),
            };
            (mnist.train, mnist.test, what)
        }
        DatasetKind::Imagenet32 => {
            let found = imagenet32::load(path()?)?;
            match found.validation {
                Some(held_out) => {
                    let what = match found.source {
                        imagenet32::Source::ImageFiles => "its own folder",
                        _ => "official validation set",
                    };
                    (found.train, held_out, what.to_owned())
                }
                None => {
                    let (train, held_out, mut what) = tenth(found.train)?;
                    if found.source == imagenet32::Source::ValidationBatch {
                        what = format!("{what} of {}", found.source);
                    }
                    (train, held_out, what)
                }
            }
        }
        DatasetKind::Folder => {
            check_image_options(side, channels)?;
            let read = |files: Files| files.read(side, channels, Fit::CropAndScale);
            match Files::find_split(path()?)? {
                Some((train, held_out, name)) => {
                    (read(train)?, read(held_out)?, format!("the folder {name}"))
                }
                None => tenth(read(Files::find(path()?)?)?)?,
            }
        }
        DatasetKind::Builtin => {
            let count = count as u64;
            let end = count.saturating_add((count / HELD_OUT_ONE_IN as u64).max(1));
            let train = builtin::generate(seed, 0..count, side, channels)?;
            let held_out = builtin::generate(seed, count..end, side, channels)?;
            (
                train,
                held_out,
                format!("images {count} to {} of seed {seed}", end - 1),
            )
        }
    };
    let (train, held_out) = match size {
        Some(side) => (train.reduce([side, side])?, held_out.reduce([side, side])?),
        None => (train, held_out),
    };
    let [channels, height, width] = train.shape();
    let description = format!(
        "{kind}: {} training images and {} held-out images of {channels} x {height} x {width}; \
         held out: {what}",
        train.len(),
        held_out.len()
    );
    Ok(Splits {
        train,
        held_out,
        description,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{image_grid::ImageGrid, testing::real_data};

    #[test]
    fn the_built_in_set_needs_no_path() {
        let options = OpenOptions::new().with_size(8).with_count(30);
        let splits = open(DatasetKind::Builtin, None, &options).unwrap();
        assert_eq!((splits.train.len(), splits.held_out.len()), (30, 3));
        assert_eq!(
            splits.description,
            "builtin: 30 training images and 3 held-out images of 3 x 8 x 8; \
             held out: images 30 to 32 of seed 0"
        );
        for kind in [DatasetKind::Cifar10, DatasetKind::Folder] {
            let error = open(kind, None, &options).unwrap_err();
            assert!(matches!(error, DataError::PathNeeded(named) if named == kind));
        }
    }

    #[test]
    fn a_folder_holds_out_one_image_in_ten() {
        let root = tempfile::tempdir().unwrap();
        for index in 0..20 {
            let path = root.path().join(format!("{index:02}.png"));
            ImageGrid::new(&[index; 16], [1, 1, 4, 4])
                .and_then(|image| image.save(&path))
                .unwrap();
        }
        let options = OpenOptions::new().with_size(4).with_channels(1);
        let splits = open(DatasetKind::Folder, Some(root.path()), &options).unwrap();
        assert_eq!(splits.train.len(), 18);
        assert_eq!(splits.held_out.images(), [[9; 16], [19; 16]].concat());
    }

    #[test]
    fn a_folder_may_hold_its_split() {
        let root = tempfile::tempdir().unwrap();
        let save = |path: &str, level: u8| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            ImageGrid::new(&[level; 4], [1, 1, 2, 2])
                .and_then(|image| image.save(path))
                .unwrap();
        };
        let options = OpenOptions::new().with_size(2).with_channels(1);
        let open = || open(DatasetKind::Folder, Some(root.path()), &options);
        let images = [
            ("train/a/1", 1),
            ("train/b/1", 2),
            ("test/a/1", 3),
            ("test/b/1", 4),
        ];
        for (name, level) in images {
            save(&format!("{name}.png"), level);
        }
        let splits = open().unwrap();
        assert_eq!(splits.train.images(), [[1; 4], [2; 4]].concat());
        assert_eq!(splits.held_out.images(), [[3; 4], [4; 4]].concat());
        assert_eq!(splits.held_out.labels(), Some(&[0, 1][..]));
        let description = splits.description;
        assert!(
            description.ends_with("held out: the folder test"),
            "{description}"
        );
        // The validation images come before those of the test, and may lack a class.
        save("val/b/1.png", 6);
        let held_out = open().unwrap().held_out;
        assert_eq!(
            (held_out.images(), held_out.labels()),
            (&[6; 4][..], Some(&[1][..]))
        );
        assert_eq!(held_out.class_names().unwrap(), ["a", "b"]);
        save("val/c/1.png", 5);
        let error = open().unwrap_err().to_string();
        assert!(error.contains("val has the classes c, and "), "{error}");
        std::fs::remove_dir_all(root.path().join("val/c")).unwrap();
        save("val/b/2.png", 6);
        let elsewhere = tempfile::tempdir().unwrap();
        std::fs::rename(root.path().join("val"), elsewhere.path().join("kept")).unwrap();
        save("val/1.png", 6);
        let error = open().unwrap_err().to_string();
        assert!(
            error.contains("val has none: both must have them"),
            "{error}"
        );
        std::fs::remove_dir_all(root.path().join("val")).unwrap();
        std::fs::rename(
            elsewhere.path().join("kept"),
            root.path().join("Validation"),
        )
        .unwrap();
        assert!(
            open()
                .unwrap()
                .description
                .ends_with("the folder Validation")
        );
        // A reader of one set does not take the two for classes.
        let error = crate::folder::load(root.path(), 2, 1, Fit::Exact).unwrap_err();
        let error = error.to_string();
        assert!(
            error.contains("found two: give ") && error.contains("/train or "),
            "{error}"
        );
        save("banner.png", 7);
        let error = open().unwrap_err().to_string();
        assert!(error.contains("banner.png and "), "{error}");
        std::fs::remove_file(root.path().join("banner.png")).unwrap();
        save("other/1.png", 7);
        let error = open().unwrap_err().to_string();
        assert!(error.contains("other next to"), "{error}");
    }

    #[test]
    fn tiny_imagenet_is_read_as_it_comes() {
        let root = tempfile::tempdir().unwrap();
        let save = |path: &str, level: u8| {
            let path = root.path().join(path);
            std::fs::create_dir_all(path.parent().unwrap()).unwrap();
            ImageGrid::new(&[level; 4], [1, 1, 2, 2])
                .and_then(|image| image.save(path))
                .unwrap();
        };
        for (class, level) in [("n01443537", 1), ("n01629819", 2), ("n01641577", 3)] {
            save(&format!("train/{class}/images/{class}_0.png"), level);
            let boxes = root.path().join(format!("train/{class}/{class}_boxes.txt"));
            std::fs::write(boxes, "0 0 1 1").unwrap();
        }
        for (name, level) in [("val_0", 4), ("val_1", 5), ("val_10", 6)] {
            save(&format!("val/images/{name}.png"), level);
        }
        save("test/images/test_0.png", 7);
        for list in ["wnids.txt", "words.txt"] {
            std::fs::write(root.path().join(list), "n01443537\n").unwrap();
        }
        let annotations = root.path().join("val/val_annotations.txt");
        let lines = "val_10.png\tn01443537\t0\t0\t1\t1\nval_0.png\tn01641577\t0\t0\t1\t1\n";
        std::fs::write(&annotations, lines).unwrap();
        let options = OpenOptions::new().with_size(2).with_channels(1);
        let open = || open(DatasetKind::Folder, Some(root.path()), &options);
        let error = open().unwrap_err().to_string();
        assert!(error.contains("a line for val_1.png"), "{error}");
        let lines = format!("{lines}val_1.png\tn01443537\t0\t0\t1\t1\n");
        std::fs::write(&annotations, lines).unwrap();
        let splits = open().unwrap();
        assert_eq!(splits.train.labels(), Some(&[0, 1, 2][..]));
        assert_eq!(splits.held_out.images(), [[4; 4], [5; 4], [6; 4]].concat());
        assert_eq!(splits.held_out.labels(), Some(&[2, 0, 0][..]));
        // Images in one folder without such a file have no classes.
        let read = |part: &str| crate::folder::load(&root.path().join(part), 2, 1, Fit::Exact);
        let test = read("test").unwrap();
        assert_eq!((test.images(), test.labels()), (&[7; 4][..], None));
        assert_eq!(
            crate::folder::first_size(&root.path().join("val")).unwrap(),
            [2, 2]
        );
    }

    #[test]
    fn training_images_alone_are_the_set() {
        let root = tempfile::tempdir().unwrap();
        for class in ["a", "b"] {
            let folder = root.path().join("Training").join(class);
            std::fs::create_dir_all(&folder).unwrap();
            for index in 0..5 {
                ImageGrid::new(&[index; 4], [1, 1, 2, 2])
                    .and_then(|image| image.save(folder.join(format!("{index}.png"))))
                    .unwrap();
            }
        }
        let options = OpenOptions::new().with_size(2).with_channels(1);
        let splits = open(DatasetKind::Folder, Some(root.path()), &options).unwrap();
        assert_eq!((splits.train.len(), splits.held_out.len()), (9, 1));
        assert_eq!(splits.train.class_names().unwrap(), ["a", "b"]);
    }

    #[test]
    fn every_real_set_opens_from_the_folder_above() {
        let folders = [
            ("cifar-10-batches-bin", DatasetKind::Cifar10),
            ("mnist", DatasetKind::Mnist),
            ("imagenet-sample-32x32", DatasetKind::Imagenet32),
        ];
        for (folder, kind) in folders {
            let Some(path) = real_data(folder) else {
                return;
            };
            let splits = open(kind, path.parent(), &OpenOptions::new()).unwrap();
            assert!(splits.description.starts_with(kind.name()));
            assert!(splits.held_out.len() * 11 >= splits.train.len());
        }
    }
}

use std::path::{Path, PathBuf};
use std::sync::Arc;

use pixel_iqn_data::{DataError, DatasetKind, ImageDataset, OpenOptions, Splits};
#[cfg(feature = "download")]
use pixel_iqn_train::with_causes;
use pixel_iqn_train::{DataConfig, Drawn};

use crate::Error;

/// The name of a data set that a program gave from memory.
const IN_MEMORY: &str = "images";

/// Height and width of the pictures that stand in for a data set: a quarter of the pixels of CIFAR-10,
/// so that four times as many images are seen in the same time.
const STAND_IN_SIZE: usize = 16;

/// The images to train on, those to evaluate on, and where they come from.
#[derive(Debug, Clone)]
pub struct TrainingImages {
    /// The images to train on.
    pub train: Arc<ImageDataset>,
    /// The images to evaluate on, none of which is in `train`.
    pub held_out: Arc<ImageDataset>,
    source: DataConfig,
    flip: bool,
    stand_in: bool,
}

impl TrainingImages {
    /// Opens a data set. `folder` is where its files are; the built-in pictures need none.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where it cannot be read, and [`Error::Request`] for a folder whose name a config
    /// cannot hold.
    pub fn open(
        kind: DatasetKind,
        folder: Option<&Path>,
        options: &OpenOptions,
    ) -> Result<Self, Error> {
        let splits = pixel_iqn_data::open(kind, folder, options)?;
        let path = match (kind, folder) {
            (DatasetKind::Builtin, _) | (_, None) => None,
            (_, Some(folder)) => Some(absolute(folder)?),
        };
        let source = DataConfig::new(kind.name(), &splits.train, &splits.held_out)
            .with_path(path)
            .with_drawn(
                (kind == DatasetKind::Builtin).then(|| Drawn::new(options.count, options.seed)),
            )
            .with_description(splits.description);
        Ok(Self {
            train: Arc::new(splits.train),
            held_out: Arc::new(splits.held_out),
            source,
            // Digits and letters do not survive mirroring.
            flip: kind != DatasetKind::Mnist,
            stand_in: false,
        })
    }

    /// Opens CIFAR-10, which is downloaded where it is missing, or else the built-in pictures as a
    /// [stand-in](Self::stand_in): what a program trains on that was not told. `notice` is called with a line for each thing that a user
    /// should know.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open), where CIFAR-10 is there and cannot be read.
    pub fn open_default(
        folder: &Path,
        options: &OpenOptions,
        mut notice: impl FnMut(&str),
    ) -> Result<Self, Error> {
        match Self::open(DatasetKind::Cifar10, Some(folder), options) {
            Err(Error::Data(DataError::Missing { .. })) => (),
            opened => return opened,
        }
        #[cfg(feature = "download")]
        {
            notice(&format!(
                "no CIFAR-10 in {}: downloading it",
                folder.display()
            ));
            match pixel_iqn_data::download(DatasetKind::Cifar10, folder) {
                Ok(()) => return Self::open(DatasetKind::Cifar10, Some(folder), options),
                Err(error) => notice(&format!("WARNING: {}", with_causes(&error))),
            }
        }
        notice(
            "WARNING: training on the built-in pictures instead of CIFAR-10. To use it, put\n\
             WARNING: cifar-10-binary.tar.gz from https://www.cs.toronto.edu/~kriz/cifar.html into a\n\
             WARNING: folder, and give that with --data DIR",
        );
        Self::stand_in(options)
    }

    /// The built-in pictures in the place of a data set that cannot be had, at 16 x 16 pixels unless the
    /// options say otherwise. A [training](crate::Training) on them has defaults with which their shapes
    /// come out within three minutes.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open).
    pub fn stand_in(options: &OpenOptions) -> Result<Self, Error> {
        let size = options.size.or(Some(STAND_IN_SIZE));
        let options = (*options).with_size(size);
        let images = Self::open(DatasetKind::Builtin, None, &options)?;
        Ok(Self {
            stand_in: true,
            ..images
        })
    }

    /// Whether they are a [stand-in](Self::stand_in).
    pub(crate) fn are_stand_in(&self) -> bool {
        self.stand_in
    }

    /// Holds the last of every ten images out.
    ///
    /// # Errors
    ///
    /// [`Error::Data`] where there are too few images.
    pub fn split(images: ImageDataset) -> Result<Self, Error> {
        let (train, held_out) = images.split_every(10)?;
        Ok(Self::new(train, held_out))
    }

    /// Images that were split before, none of them in both parts.
    pub fn new(train: ImageDataset, held_out: ImageDataset) -> Self {
        Self {
            source: DataConfig::new(IN_MEMORY, &train, &held_out),
            train: Arc::new(train),
            held_out: Arc::new(held_out),
            flip: true,
            stand_in: false,
        }
    }

    /// Opens the images of a run again, in another folder where one is given, and makes sure that they
    /// are the same.
    ///
    /// # Errors
    ///
    /// [`Error::Request`] where a program gave them from memory, or where they are other images;
    /// [`Error::Data`] where they cannot be read.
    pub fn of_run(source: &DataConfig, folder: Option<&Path>) -> Result<Self, Error> {
        if source.dataset == IN_MEMORY {
            return Err(Error::Request(
                "the run was trained on images that a program held in memory, which no folder leads \
                 to: the program has to give them again, or train on a data set that it opens by name"
                    .into(),
            ));
        }
        let kind: DatasetKind = source
            .dataset
            .parse()
            .map_err(|error| Error::Data(DataError::from(error)))?;
        let [height, width] = source.size;
        let mut options = OpenOptions::new()
            .with_size((height == width).then_some(height))
            .with_channels(source.channels);
        if let Some(Drawn { count, seed, .. }) = source.drawn {
            options = options.with_count(count).with_seed(seed);
        }
        let folder = folder.or(source.path.as_deref());
        let images = Self::open(kind, folder, &options)?;
        if images.source.digest != source.digest {
            return Err(Error::Request(format!(
                "these are not the images of the run: {} ({}), but the folder has {} ({}){}",
                source.description,
                source.digest,
                images.source.description,
                images.source.digest,
                other_classes(source, &images.source)
            )));
        }
        Ok(images)
    }

    /// Returns where the images come from, as a run keeps it.
    pub fn source(&self) -> &DataConfig {
        &self.source
    }

    /// Whether they may be mirrored left to right in training.
    pub(crate) fn may_flip(&self) -> bool {
        self.flip
    }
}

/// Says which classes are others, in the order of their labels; nothing where they are the same.
fn other_classes(run: &DataConfig, found: &DataConfig) -> String {
    let [of_run, of_found] = [run, found].map(|source| match &source.class_names {
        Some(names) => names.join(", "),
        None => "none".to_owned(),
    });
    match of_run == of_found {
        true => String::new(),
        false => format!("; the classes were {of_run} and are {of_found}"),
    }
}

impl From<Splits> for TrainingImages {
    fn from(splits: Splits) -> Self {
        Self::new(splits.train, splits.held_out)
    }
}

/// The path from the root, as TOML can hold it.
fn absolute(folder: &Path) -> Result<PathBuf, Error> {
    let path = std::path::absolute(folder).map_err(|source| Error::Io {
        path: folder.to_owned(),
        source,
    })?;
    match path.to_str() {
        Some(_) => Ok(path),
        None => Err(Error::Request(format!(
            "the name of {} is not UTF-8: rename it, or give a link to it",
            path.display()
        ))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::data::ImageGrid;

    #[test]
    fn classes_of_other_names_are_told() {
        let root = tempfile::tempdir().unwrap();
        let save = |class: &str, index: u8| {
            let folder = root.path().join(class);
            std::fs::create_dir_all(&folder).unwrap();
            ImageGrid::new(&[index; 4], [1, 1, 2, 2])
                .and_then(|image| image.save(folder.join(format!("{index}.png"))))
                .unwrap();
        };
        for index in 0..10 {
            save(["cat", "dog"][usize::from(index > 5)], index);
        }
        let options = OpenOptions::new().with_size(2).with_channels(1);
        let images = TrainingImages::open(DatasetKind::Folder, Some(root.path()), &options);
        let source = images.unwrap().source().clone();
        TrainingImages::of_run(&source, None).unwrap();
        std::fs::rename(root.path().join("cat"), root.path().join("kitten")).unwrap();
        let error = TrainingImages::of_run(&source, None).unwrap_err();
        let error = error.to_string();
        let expected = "the classes were cat, dog and are dog, kitten";
        assert!(error.ends_with(expected), "{error}");
    }
}

//! The image files of a folder and their classes, by the names of files and folders.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    image_file::{self, Fit},
    listing::{file_name, list},
    natural,
};

/// The image files of a folder, before any of them is opened.
pub(crate) struct Files {
    /// The names of the classes in the order of the labels; none where the images have no classes.
    classes: Vec<String>,
    /// The files with their labels, 0 without classes.
    pub(crate) images: Vec<(PathBuf, u32)>,
}

impl Files {
    /// Finds the images of a folder and their classes.
    pub(crate) fn find(path: &Path) -> Result<Self> {
        let (files, folders) = list(path)?;
        let Some(folder) = folders.first() else {
            return Self::flat(path, files);
        };
        if let Some(file) = files.first() {
            return Err(images_beside(path, file, folder));
        }
        if let Some(parts) = split_of(path, &folders)? {
            let [train, held_out] = parts.map(|part| part.display().to_string());
            let found = format!("two: give {train} or {held_out}");
            return Err(format(path, 0, "one set of images", found));
        }
        if let [folder] = &folders[..] {
            if is_named(folder, &TRAIN) {
                return Self::find(folder);
            }
            if is_named(folder, &["images"]) {
                return Self::annotated(path, folder);
            }
        }
        let (mut classes, mut images) = (Vec::new(), Vec::new());
        for folder in &folders {
            let label = classes.len() as u32;
            images.extend(of_class(folder)?.into_iter().map(|file| (file, label)));
            classes.push(file_name(folder));
        }
        Ok(Self { classes, images })
    }

    /// Takes the images of a folder without subfolders, whose names may hold classes.
    fn flat(path: &Path, files: Vec<PathBuf>) -> Result<Self> {
        if files.is_empty() {
            return Err(DataError::Empty {
                path: path.to_owned(),
            });
        }
        let of_files: Vec<_> = files.iter().map(|file| wordnet_class(file)).collect();
        let without = of_files.iter().filter(|class| class.is_none()).count();
        let odd = files
            .iter()
            .zip(&of_files)
            .find(|(_, class)| class.is_none());
        match odd {
            None => Ok(Self::labelled(
                files,
                of_files.into_iter().flatten().collect(),
            )),
            // One name that was mistyped must not take the classes of all others.
            Some((odd, _)) if 2 * without < files.len() => {
                let found = format!(
                    "{}: rename or move it, or put each class in a folder of its own",
                    odd.display()
                );
                let expected = "a class of WordNet in front of each name, as most have one";
                Err(format(path, 0, expected, found))
            }
            Some(_) => Ok(Self {
                classes: Vec::new(),
                images: files.into_iter().map(|file| (file, 0)).collect(),
            }),
        }
    }

    /// Takes the images of a set that keeps them in one folder, as `val` of Tiny ImageNet does, whose
    /// classes are in the file beside it; without that file they have none.
    fn annotated(path: &Path, folder: &Path) -> Result<Self> {
        let (files, nested) = list(folder)?;
        if let Some(nested) = nested.first() {
            return Err(too_deep(folder, nested));
        }
        let annotations = path.join(ANNOTATIONS);
        let text = match fs::read_to_string(&annotations) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Self::flat(folder, files);
            }
            Err(error) => return Err(at(&annotations)(error)),
        };
        // The name of a file, its class, and the box of the object, between tabs.
        let lines = text.lines().map(|line| line.split('\t'));
        let class_of: BTreeMap<&str, &str> = lines
            .filter_map(|mut fields| Some((fields.next()?, fields.next()?)))
            .collect();
        let classes = files.iter().map(|file| {
            let class = class_of.get(&*file_name(file)).copied();
            class.map(str::to_owned).ok_or_else(|| {
                let expected = format!("a line for {}", file_name(file));
                format(&annotations, 0, expected, "none")
            })
        });
        let classes = classes.collect::<Result<Vec<_>>>()?;
        Ok(Self::labelled(files, classes))
    }

    /// Takes files with the name of the class of each.
    fn labelled(files: Vec<PathBuf>, of_files: Vec<String>) -> Self {
        let mut classes = of_files.clone();
        classes.sort_by(|a, b| natural::compare(a, b));
        classes.dedup();
        let labels = of_files.iter().map(|class| {
            let before = |other: &String| natural::compare(other, class).is_lt();
            classes.partition_point(before) as u32
        });
        let images = files.into_iter().zip(labels).collect();
        Self { classes, images }
    }

    /// Finds the two sets of a folder that is split in training images and held-out images, and the
    /// folder of the latter; `None` for a folder that is one set.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if a held-out image has a class that no training image has, or if
    /// one set has classes and the other has none.
    pub(crate) fn find_split(path: &Path) -> Result<Option<(Self, Self, String)>> {
        let (files, folders) = list(path)?;
        let Some([train, held_out]) = split_of(path, &folders)? else {
            return Ok(None);
        };
        if let Some(file) = files.first() {
            return Err(images_beside(path, file, &train));
        }
        let (of_train, mut of_held_out) = (Self::find(&train)?, Self::find(&held_out)?);
        if of_train.classes.is_empty() != of_held_out.classes.is_empty() {
            let [with, without] = match of_train.classes.is_empty() {
                true => [&held_out, &train],
                false => [&train, &held_out],
            };
            return Err(DataError::Inconsistent(format!(
                "{} has classes and {} has none: both must have them, or neither; or give {} alone, of \
                 which one image in ten is held out",
                with.display(),
                without.display(),
                train.display()
            )));
        }
        let alone = |class: &&String| !of_train.classes.contains(class);
        let alone: Vec<&str> = of_held_out
            .classes
            .iter()
            .filter(alone)
            .map(|s| &**s)
            .collect();
        if !alone.is_empty() {
            let some = alone[..alone.len().min(5)].join(", ");
            let more = if alone.len() > 5 { " and more" } else { "" };
            return Err(DataError::Inconsistent(format!(
                "{} has the classes {some}{more}, and {} has not: nothing can be learned of them; move \
                 them away, or give the latter alone, of which one image in ten is held out",
                held_out.display(),
                train.display()
            )));
        }
        of_held_out.relabel(of_train.classes.clone());
        Ok(Some((of_train, of_held_out, file_name(&held_out))))
    }

    /// Gives the images the labels that their classes have among others, which hold them all.
    fn relabel(&mut self, classes: Vec<String>) {
        let new = |class: &String| classes.iter().position(|other| other == class);
        let labels: Vec<u32> = self
            .classes
            .iter()
            .filter_map(new)
            .map(|i| i as u32)
            .collect();
        for (_, label) in &mut self.images {
            *label = labels.get(*label as usize).copied().unwrap_or(0);
        }
        self.classes = classes;
    }

    /// Reads the images.
    pub(crate) fn read(self, size: usize, channels: usize, fit: Fit) -> Result<ImageDataset> {
        let files = self.images.iter().map(|(file, _)| file);
        let set = image_file::load(files, size, channels, fit)?;
        if self.classes.is_empty() {
            return Ok(set);
        }
        let labels = self.images.into_iter().map(|(_, label)| label).collect();
        set.with_labels(labels, self.classes.len())?
            .with_class_names(self.classes)
    }
}

/// The names of the folder of training images.
const TRAIN: [&str; 2] = ["train", "training"];
/// The names of the folder of held-out images, in this order: of a set with a validation and a test
/// folder, the former is held out.
const HELD_OUT: [&str; 5] = ["val", "valid", "validation", "test", "testing"];
/// The file with the classes of the validation images of Tiny ImageNet.
const ANNOTATIONS: &str = "val_annotations.txt";

/// Returns the folders of the training images and of the held-out images, where `folders`, those of
/// `path`, are such a split.
fn split_of(path: &Path, folders: &[PathBuf]) -> Result<Option<[PathBuf; 2]>> {
    let named = |name: &&str| folders.iter().find(|folder| is_named(folder, &[*name]));
    let train = TRAIN.iter().find_map(named);
    let held_out = HELD_OUT.iter().find_map(named);
    let (Some(train), Some(held_out)) = (train, held_out) else {
        return Ok(None);
    };
    let is_other = |folder: &&PathBuf| !is_named(folder, &TRAIN) && !is_named(folder, &HELD_OUT);
    if let Some(other) = folders.iter().find(is_other) {
        let found = format!("{} next to {}", other.display(), train.display());
        return Err(format(
            path,
            0,
            "one folder per class, or the folders of a split alone",
            found,
        ));
    }
    Ok(Some([train.clone(), held_out.clone()]))
}

/// Returns whether a folder has one of these names, in capitals or not.
fn is_named(folder: &Path, names: &[&str]) -> bool {
    let own = file_name(folder);
    names.iter().any(|name| own.eq_ignore_ascii_case(name))
}

/// Lists the images of one class: those of its folder, or of a folder `images` in it.
fn of_class(folder: &Path) -> Result<Vec<PathBuf>> {
    let (mut files, mut nested) = list(folder)?;
    if let ([], [images]) = (&files[..], &nested[..])
        && file_name(images) == "images"
    {
        (files, nested) = list(images)?;
    }
    if let Some(nested) = nested.first() {
        return Err(too_deep(folder, nested));
    }
    if files.is_empty() {
        return Err(DataError::Empty {
            path: folder.to_owned(),
        });
    }
    Ok(files)
}

/// The error for an image beside folders, which would be left out.
fn images_beside(path: &Path, file: &Path, folder: &Path) -> DataError {
    let found = format!("both {} and {}", file.display(), folder.display());
    format(path, 0, "either images or folders of images", found)
}

/// The error for a folder in the folder of a class.
fn too_deep(folder: &Path, nested: &Path) -> DataError {
    let found = format!(
        "the folder {}, which is too deep: if it is a class, give the folder that it is in",
        nested.display()
    );
    format(folder, 0, "the image files of one class", found)
}

/// Returns the class of WordNet that the name of a file begins with: `n` and eight digits, in front
/// of a `_`.
fn wordnet_class(file: &Path) -> Option<String> {
    let name = file_name(file);
    let (class, _) = name.split_once('_')?;
    let digits = class.strip_prefix('n')?;
    let is_class = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_class.then(|| class.to_owned())
}

//! Folders of image files, with or without classes.

use std::{
    collections::BTreeMap,
    fs, io,
    path::{Path, PathBuf},
};

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    image_file,
    listing::{file_name, list},
    natural,
    sizes::check_image_options,
};

pub use crate::image_file::Fit;

/// Reads a folder with one subfolder per class, or a folder of images.
///
/// Classes and, within a class, files are taken in the natural order of their names, in which
/// numbers count as numbers: 0, 1, 2, ..., 10, 11. A folder without subfolders has no classes,
/// unless the names of all images begin with a class of WordNet, as `n01440764_tench.png` does: `n`,
/// eight digits and `_`.
///
/// The images of a class may lie in a folder `images` of its own, as in Tiny ImageNet, whose `val` is
/// read too: all images in one folder `images`, their classes in `val_annotations.txt`. A folder with
/// the subfolders `train` and `val` is two sets, which [`open`](crate::open) opens; where `train` is
/// there alone, it is the set.
///
/// A file is an image if its ending names an image format or, where it has none, its first bytes do;
/// PNG, JPEG, WebP and BMP can be decoded. Other files are passed over, and so are `__MACOSX` and
/// all names that begin with a dot. Photographs are turned as their EXIF orientation says, as viewers
/// do. Levels of 16 bits become 8 bits, and transparency is dropped. `channels` is 3 for colour and
/// 1 for grey.
///
/// # Errors
///
/// [`DataError::Option`] for a size of 0 or above 4096 or for a number of channels other than 1 and
/// 3, [`DataError::Memory`] for more images than fit in memory, [`DataError::Empty`] for a folder or
/// a class without an image, [`DataError::Image`] for a file that cannot be decoded,
/// [`DataError::Inconsistent`] for an image in a format that this crate does not know, and
/// [`DataError::Size`] for a wrong size under [`Fit::Exact`], and [`DataError::Format`] for a file that
/// is no image in spite of its ending, for a JPEG of which a part is missing, for images next to
/// subfolders, for folders in a class, for classes of WordNet in most names but not in all, and for a
/// folder that holds a split: no file and no class is left out silently.
pub fn load(path: &Path, size: usize, channels: usize, fit: Fit) -> Result<ImageDataset> {
    check_image_options(size, channels)?;
    Files::find(path)?.read(size, channels, fit)
}

/// Reads the height and width of the first image of a folder, in the order of [`load`].
///
/// # Errors
///
/// Those of [`load`] for the names of files and folders and for this image.
pub fn first_size(path: &Path) -> Result<[usize; 2]> {
    let files = Files::find(path)?;
    let (file, _) = files.images.first().ok_or_else(|| DataError::Empty {
        path: path.to_owned(),
    })?;
    image_file::size(file)
}

impl ImageDataset {
    /// Reads a folder of image files as a set of colour images, `[N, 3, size, size]`.
    ///
    /// Subfolders are classes, in the natural order of their names; a folder without subfolders has
    /// none, unless all its names begin with one of WordNet.
    /// This is [`folder::load`](load) with 3 channels and [`Fit::CropAndScale`]; for grey images
    /// call [`into_grey`](Self::into_grey) on the set.
    ///
    /// ```no_run
    /// use pixel_iqn_data::ImageDataset;
    ///
    /// let images = ImageDataset::from_folder("photos", 32)?;
    /// println!("{} images of {} classes", images.len(), images.classes());
    /// # Ok::<(), pixel_iqn_data::DataError>(())
    /// ```
    ///
    /// # Errors
    ///
    /// The errors of [`folder::load`](load).
    pub fn from_folder(path: impl AsRef<Path>, size: usize) -> Result<Self> {
        load(path.as_ref(), size, 3, Fit::CropAndScale)
    }
}

/// The image files of a folder, before any of them is opened.
pub(crate) struct Files {
    /// The names of the classes in the order of the labels; none where the images have no classes.
    classes: Vec<String>,
    /// The files with their labels, 0 without classes.
    images: Vec<(PathBuf, u32)>,
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

#[cfg(test)]
mod tests {
    use image::RgbImage;

    use super::*;

    fn save(path: &Path, width: u32, height: u32, pixel: impl Fn(u32, u32) -> [u8; 3]) {
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        RgbImage::from_fn(width, height, |x, y| image::Rgb(pixel(x, y)))
            .save(path)
            .unwrap();
    }

    #[test]
    fn subfolders_are_classes_in_the_order_of_their_names() {
        let root = tempfile::tempdir().unwrap();
        save(&root.path().join("b/1.png"), 2, 2, |x, y| {
            [x as u8, y as u8, 9]
        });
        save(&root.path().join("a/2.png"), 2, 2, |_, _| [3, 4, 5]);
        save(&root.path().join("a/1.bmp"), 2, 2, |_, _| [6, 7, 8]);
        fs::write(root.path().join("a/notes.txt"), "no image").unwrap();
        let set = load(root.path(), 2, 3, Fit::Exact).unwrap();
        assert_eq!(set.labels(), Some(&[0, 0, 1][..]));
        assert_eq!(set.class_names().unwrap(), ["a", "b"]);
        assert_eq!(set.image(0), [6, 6, 6, 6, 7, 7, 7, 7, 8, 8, 8, 8]);
        assert_eq!(set.image(2), [0, 1, 0, 1, 0, 0, 1, 1, 9, 9, 9, 9]);
        assert_eq!(ImageDataset::from_folder(root.path(), 2).unwrap(), set);
        assert_eq!(first_size(root.path()).unwrap(), [2, 2]);
    }

    #[test]
    fn from_folder_crops_and_scales_in_colour() {
        let root = tempfile::tempdir().unwrap();
        save(&root.path().join("wide.png"), 8, 4, |x, _| {
            [if (2..6).contains(&x) { 40 } else { 255 }, 50, 60]
        });
        let set = ImageDataset::from_folder(root.path(), 2).unwrap();
        assert_eq!((set.shape(), set.labels()), ([3, 2, 2], None));
        assert_eq!(set.image(0), [[40; 4], [50; 4], [60; 4]].concat());
    }

    #[test]
    fn a_flat_folder_has_classes_only_in_names_of_wordnet() {
        let root = tempfile::tempdir().unwrap();
        let names = ["n01440764_a_b.png", "n01440764_c.png", "n00000007_d.png"];
        for name in names {
            save(&root.path().join(name), 2, 2, |_, _| [1, 2, 3]);
        }
        let load = || load(root.path(), 2, 1, Fit::Exact).unwrap();
        assert_eq!(load().labels(), Some(&[0, 1, 1][..]));
        assert_eq!(load().class_names().unwrap(), ["n00000007", "n01440764"]);
        // Where most names have a class, those that have none are mistakes.
        let others = [
            "0000001.png",
            "ILSVRC2012_val_1.png",
            "n0144076_e.png",
            "n01440764.png",
        ];
        for other in others {
            let other = root.path().join(other);
            save(&other, 2, 2, |_, _| [1, 2, 3]);
            let error = super::load(root.path(), 2, 1, Fit::Exact).unwrap_err();
            let error = error.to_string();
            assert!(error.contains(&other.display().to_string()), "{error}");
            fs::remove_file(other).unwrap();
        }
        // Where most have none, nobody has one.
        for other in others {
            save(&root.path().join(other), 2, 2, |_, _| [1, 2, 3]);
        }
        assert_eq!(load().labels(), None);
    }

    #[test]
    fn numbers_in_names_count_as_numbers() {
        let root = tempfile::tempdir().unwrap();
        for class in 0..12 {
            for file in [10, 9] {
                let path = root.path().join(format!("{class}/{file}.png"));
                save(&path, 1, 1, |_, _| [class * 16 + file; 3]);
            }
        }
        let set = load(root.path(), 1, 1, Fit::Exact).unwrap();
        let expected: Vec<u8> = (0..12).flat_map(|c| [c * 16 + 9, c * 16 + 10]).collect();
        assert_eq!(set.images(), expected);
        assert_eq!(set.label(23), Some(11));
        assert_eq!(set.class_names().unwrap()[9..], ["9", "10", "11"]);
    }

    #[test]
    fn the_images_of_a_class_may_lie_one_folder_deeper() {
        let root = tempfile::tempdir().unwrap();
        save(&root.path().join("a/images/1.JPEG"), 2, 2, |_, _| [9; 3]);
        fs::write(root.path().join("a/boxes.txt"), "no image").unwrap();
        save(&root.path().join("b/1.png"), 2, 2, |_, _| [7; 3]);
        let load = || load(root.path(), 2, 1, Fit::Exact);
        assert_eq!(load().unwrap().labels(), Some(&[0, 1][..]));
        assert_eq!(load().unwrap().class_names().unwrap(), ["a", "b"]);
        assert_eq!(first_size(root.path()).unwrap(), [2, 2]);
        for deep in ["a/images/deep", "b/other"] {
            fs::create_dir(root.path().join(deep)).unwrap();
            let error = load().unwrap_err().to_string();
            assert!(
                error.contains(deep) && error.contains("too deep"),
                "{error}"
            );
            fs::remove_dir(root.path().join(deep)).unwrap();
        }
    }

    #[test]
    fn ambiguous_empty_and_broken_folders_are_refused() {
        let root = tempfile::tempdir().unwrap();
        let load = || load(root.path(), 4, 3, Fit::CropAndScale);
        assert!(matches!(load(), Err(DataError::Empty { .. })));
        let class = root.path().join("class");
        fs::create_dir(&class).unwrap();
        assert!(matches!(load(), Err(DataError::Empty { path }) if path == class));
        fs::create_dir(class.join("nested")).unwrap();
        assert!(matches!(load(), Err(DataError::Format { .. })));
        fs::remove_dir(class.join("nested")).unwrap();
        save(&class.join("a.png"), 4, 4, |_, _| [0; 3]);
        assert!(load().is_ok());
        fs::write(class.join("b.png"), "<html>").unwrap();
        let error = load().unwrap_err().to_string();
        assert!(
            error.contains("b.png") && error.contains("a web page"),
            "{error}"
        );
        // A format that is known but not compiled in must not vanish from the set.
        fs::remove_file(class.join("b.png")).unwrap();
        for name in ["b.tiff", "b.pnm", "b.png"] {
            fs::write(class.join(name), b"P5\n1 1\n255\n0").unwrap();
            let error = load().unwrap_err().to_string();
            let expected = format!("{name} is an image of a kind that cannot be read");
            assert!(error.contains(&expected), "{error}");
            fs::remove_file(class.join(name)).unwrap();
        }
        save(&root.path().join("next_to_classes.png"), 4, 4, |_, _| {
            [0; 3]
        });
        assert!(matches!(load(), Err(DataError::Format { .. })));
        assert!(matches!(
            super::load(root.path(), 4, 2, Fit::Exact),
            Err(DataError::Option {
                name: "channels",
                ..
            })
        ));
    }
}

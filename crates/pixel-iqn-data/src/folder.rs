//! Folders of image files, with or without classes.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use image::ImageFormat;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result, at, format},
    image_file, natural,
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
/// A file is an image if
/// its extension or its first bytes name an image format; PNG, JPEG, WebP and BMP can be decoded.
/// Other files, and names that begin with a dot, are passed over. Levels of 16 bits become 8 bits,
/// and transparency is dropped. `channels` is 3 for colour and 1 for grey.
///
/// # Errors
///
/// [`DataError::Option`] for a size of 0 or above 4096 or for a number of channels other than 1 and
/// 3, [`DataError::Empty`] for a folder or a class without an image, [`DataError::Image`] for a
/// file that cannot be decoded, [`DataError::Inconsistent`] for an image in a format that this
/// crate does not know, and [`DataError::Format`] for a wrong size under [`Fit::Exact`], for images
/// next to subfolders and for folders in a class: no file is left out silently.
pub fn load(path: &Path, size: usize, channels: usize, fit: Fit) -> Result<ImageDataset> {
    check_image_options(size, channels)?;
    let (files, folders) = list(path)?;
    let mut classes: Vec<String> = Vec::new();
    let mut images: Vec<(PathBuf, u32)> = Vec::new();
    if let Some(folder) = folders.first() {
        if let Some(file) = files.first() {
            let found = format!("both {} and {}", file.display(), folder.display());
            return Err(format(
                path,
                0,
                "either images or one folder per class",
                found,
            ));
        }
        for folder in &folders {
            let (files, nested) = list(folder)?;
            if let Some(nested) = nested.first() {
                let found = format!("the folder {}", nested.display());
                return Err(format(folder, 0, "image files", found));
            }
            if files.is_empty() {
                return Err(DataError::Empty {
                    path: folder.clone(),
                });
            }
            let label = classes.len() as u32;
            images.extend(files.into_iter().map(|file| (file, label)));
            classes.push(file_name(folder));
        }
    } else {
        let of_files: Option<Vec<String>> = files.iter().map(|file| wordnet_class(file)).collect();
        let of_files = of_files.unwrap_or_default();
        classes.clone_from(&of_files);
        classes.sort();
        classes.dedup();
        let label = |class: &String| classes.partition_point(|other| other < class) as u32;
        let labels = of_files.iter().map(label).chain(std::iter::repeat(0));
        images = files.into_iter().zip(labels).collect();
    }
    if images.is_empty() {
        return Err(DataError::Empty {
            path: path.to_owned(),
        });
    }
    let set = image_file::load(images.iter().map(|(file, _)| file), size, channels, fit)?;
    if classes.is_empty() {
        return Ok(set);
    }
    let labels = images.into_iter().map(|(_, label)| label).collect();
    set.with_labels(labels, classes.len())?
        .with_class_names(classes)
}

/// Reads the height and width of the first image of a folder, in the order of [`load`].
///
/// # Errors
///
/// [`DataError::Empty`] where there is none, [`DataError::Image`] where it cannot be read, and
/// [`DataError::Io`].
pub fn first_size(path: &Path) -> Result<[usize; 2]> {
    let (mut files, folders) = list(path)?;
    if let Some(folder) = folders.first() {
        files = list(folder)?.0;
    }
    let file = files.first().ok_or_else(|| DataError::Empty {
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

/// Returns the class of WordNet that the name of a file begins with: `n` and eight digits, in front
/// of a `_`.
fn wordnet_class(file: &Path) -> Option<String> {
    let name = file_name(file);
    let (class, _) = name.split_once('_')?;
    let digits = class.strip_prefix('n')?;
    let is_class = digits.len() == 8 && digits.bytes().all(|digit| digit.is_ascii_digit());
    is_class.then(|| class.to_owned())
}

/// Lists the image files and the subfolders of a folder, each in the natural order of names.
fn list(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if file_name(&path).starts_with('.') {
            continue;
        }
        if path.is_dir() {
            folders.push(path);
        } else if is_image(&path)? {
            files.push(path);
        }
    }
    natural::sort(&mut files);
    natural::sort(&mut folders);
    Ok((files, folders))
}

/// Returns whether a file is an image, by its name or, where that says nothing, by its first bytes.
///
/// An image of a kind that cannot be read is an error, because leaving it out would make the set
/// smaller without a word.
fn is_image(path: &Path) -> Result<bool> {
    const OTHER_KINDS: [&str; 6] = ["heic", "heif", "jp2", "jxl", "psd", "svg"];
    if ImageFormat::from_path(path).is_ok() {
        return Ok(true);
    }
    let mut start = Vec::new();
    let file = File::open(path).map_err(at(path))?;
    file.take(64).read_to_end(&mut start).map_err(at(path))?;
    if image::guess_format(&start).is_ok() {
        return Ok(true);
    }
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    if OTHER_KINDS.contains(&extension.to_lowercase().as_str()) {
        return Err(DataError::Inconsistent(format!(
            "{}: images of this kind cannot be read: make PNG or JPEG of them",
            path.display()
        )));
    }
    Ok(false)
}

fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
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
    fn images_without_a_known_ending_are_read_or_refused() {
        let root = tempfile::tempdir().unwrap();
        save(&root.path().join("a.png"), 2, 2, |_, _| [1, 2, 3]);
        fs::rename(root.path().join("a.png"), root.path().join("a")).unwrap();
        fs::write(root.path().join("README"), "no image").unwrap();
        assert_eq!(load(root.path(), 2, 1, Fit::Exact).unwrap().len(), 1);
        fs::write(root.path().join("b.HEIC"), "an image").unwrap();
        let error = load(root.path(), 2, 1, Fit::Exact).unwrap_err().to_string();
        assert!(error.contains("b.HEIC"), "{error}");
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
        // One name of another pattern, and none has a class.
        for other in [
            "0000001.png",
            "ILSVRC2012_val_1.png",
            "n0144076_e.png",
            "n01440764.png",
        ] {
            let other = root.path().join(other);
            save(&other, 2, 2, |_, _| [1, 2, 3]);
            assert_eq!(load().labels(), None, "{}", other.display());
            fs::remove_file(other).unwrap();
        }
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
        fs::write(class.join("b.png"), "no image").unwrap();
        assert!(matches!(load(), Err(DataError::Image { path, .. }) if path.ends_with("b.png")));
        // A format that is known but not compiled in must not vanish from the set.
        fs::rename(class.join("b.png"), class.join("b.tiff")).unwrap();
        assert!(matches!(load(), Err(DataError::Image { .. })));
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

//! Folders of image files, with or without classes.

use std::path::Path;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result},
    folder_files::Files,
    image_file,
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

#[cfg(test)]
mod tests {
    use std::fs;

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

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::bail;
use pixel_iqn::DatasetKind;
use pixel_iqn::data::folder::{self, Fit};
use pixel_iqn::data::{DataError, ImageDataset, OpenOptions, array_names};
use pixel_iqn_eval::FeatureSet;

/// Where a set of images comes from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ImageSource {
    /// An npz file of images, or of the statistics of their features.
    Npz(PathBuf),
    /// The training images of a data set, or its held-out ones.
    Dataset {
        kind: DatasetKind,
        folder: PathBuf,
        held_out: bool,
    },
    /// A folder of image files, or a file of an unusual name, whose content says what it is.
    Folder(PathBuf),
}

impl FromStr for ImageSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let path = PathBuf::from(text);
        if is_archive(&path) {
            return Ok(Self::Npz(path));
        }
        let Some((kind, folder)) = text.split_once(':') else {
            return Ok(Self::Folder(path));
        };
        // Any other name with a colon is a folder.
        let Ok(kind) = kind.parse() else {
            return Ok(Self::Folder(path));
        };
        let held_out = folder.strip_suffix(":held-out");
        Ok(Self::Dataset {
            kind,
            folder: held_out.unwrap_or(folder).into(),
            held_out: held_out.is_some(),
        })
    }
}

impl ImageSource {
    /// The file or folder.
    pub fn path(&self) -> &Path {
        match self {
            Self::Npz(path) | Self::Folder(path) => path,
            Self::Dataset { folder, .. } => folder,
        }
    }

    /// Reads the statistics of an npz file that has them in the place of images, and not beside them.
    pub fn statistics(&self) -> anyhow::Result<Option<FeatureSet>> {
        let path = match self {
            Self::Npz(path) => path,
            Self::Folder(path) if path.is_file() => path,
            _ => return Ok(None),
        };
        let names = array_names(path)?;
        let has = |name: &str| names.iter().any(|other| other == name);
        Ok(match has("mu") && !has("arr_0") {
            true => Some(FeatureSet::load_statistics(path)?),
            false => None,
        })
    }

    /// Reads the images; those of folders, archives of image files and data sets at `size`, where one
    /// is given.
    pub fn images(&self, size: Option<usize>) -> anyhow::Result<ImageDataset> {
        match self {
            Self::Npz(path) => of_archive(path, size),
            Self::Dataset {
                kind,
                folder,
                held_out,
            } => {
                let options = OpenOptions::new().with_size(size);
                let splits = pixel_iqn::data::open(*kind, Some(folder), &options)?;
                Ok(match held_out {
                    true => splits.held_out,
                    false => splits.train,
                })
            }
            Self::Folder(path) if path.is_file() => of_archive(path, size),
            Self::Folder(path) => of_folder(path, size),
        }
    }
}

/// Whether a name is that of a file of arrays, or of an archive of images.
fn is_archive(path: &Path) -> bool {
    let extension = path.extension().unwrap_or_default().to_string_lossy();
    ["npz", "npy", "zip"].contains(&extension.to_lowercase().as_str())
}

fn of_archive(path: &Path, size: Option<usize>) -> anyhow::Result<ImageDataset> {
    let images = match size {
        Some(size) => ImageDataset::from_archive_scaled(path, size),
        None => ImageDataset::from_archive(path),
    };
    images.map_err(with_advice)
}

/// Adds to the error for images of several sizes what brings them to one.
fn with_advice(error: DataError) -> anyhow::Error {
    match error {
        DataError::Size { .. } => {
            anyhow::Error::from(error).context("images of several sizes: --size brings them to one")
        }
        error => error.into(),
    }
}

fn of_folder(path: &Path, size: Option<usize>) -> anyhow::Result<ImageDataset> {
    if let Some(size) = size {
        return Ok(folder::load(path, size, 3, Fit::CropAndScale)?);
    }
    let [height, width] = folder::first_size(path)?;
    if height != width {
        bail!(
            "the images in {} are of {height} x {width}: --size cuts and scales them to a square",
            path.display()
        );
    }
    folder::load(path, height, 3, Fit::Exact).map_err(with_advice)
}

#[cfg(test)]
mod tests {
    use pixel_iqn::data::{ImageGrid, NpzArray, write_npz};

    use super::*;

    #[test]
    fn a_name_says_what_it_is() {
        let source = |text: &str| text.parse::<ImageSource>().unwrap();
        for name in ["a/b.npz", "B.NPZ", "a.npy", "a.zip"] {
            assert_eq!(source(name), ImageSource::Npz(name.into()));
        }
        assert_eq!(source("photos"), ImageSource::Folder("photos".into()));
        assert_eq!(source("a:b"), ImageSource::Folder("a:b".into()));
        let dataset = |folder: &str, held_out| ImageSource::Dataset {
            kind: DatasetKind::Cifar10,
            folder: folder.into(),
            held_out,
        };
        assert_eq!(source("cifar10:data"), dataset("data", false));
        assert_eq!(source("cifar10:a:b:held-out"), dataset("a:b", true));
    }

    #[test]
    fn the_content_of_a_file_says_what_it_is_and_only_sizes_are_called_sizes() {
        let folder = tempfile::tempdir().unwrap();
        let save = |name: &str, side: usize| {
            let levels = vec![7; side * side];
            ImageGrid::new(&levels, [1, 1, side, side])
                .and_then(|image| image.save(folder.path().join(name)))
                .unwrap();
        };
        let source: ImageSource = folder.path().to_str().unwrap().parse().unwrap();
        save("a.png", 2);
        save("b.png", 3);
        let error = format!("{:#}", source.images(None).unwrap_err());
        assert!(
            error.starts_with("images of several sizes: --size"),
            "{error}"
        );
        assert!(error.contains("b.png is an image of 3 x 3"), "{error}");
        std::fs::write(folder.path().join("b.png"), "no image").unwrap();
        let error = format!("{:#}", source.images(None).unwrap_err());
        assert!(!error.contains("sizes"), "{error}");

        // A file of arrays without an ending.
        let path = folder.path().join("samples");
        let one = NpzArray {
            shape: vec![1],
            values: vec![1.0],
        };
        write_npz(&path, &[("mu", &one), ("sigma", &one)]).unwrap();
        let source: ImageSource = path.to_str().unwrap().parse().unwrap();
        assert_eq!(source, ImageSource::Folder(path));
        let error = format!("{:#}", source.images(None).unwrap_err());
        assert!(error.contains("arr_0"), "{error}");
    }

    #[test]
    fn statistics_beside_images_are_left_alone() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("reference.npz");
        let array = |shape: &[usize]| NpzArray {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        let (mu, sigma) = (array(&[2]), array(&[2, 2]));
        let source = ImageSource::Npz(path.clone());
        write_npz(&path, &[("mu", &mu), ("sigma", &sigma)]).unwrap();
        assert!(source.statistics().unwrap().is_some());
        write_npz(&path, &[("mu", &mu), ("sigma", &sigma), ("arr_0", &mu)]).unwrap();
        assert!(source.statistics().unwrap().is_none());
    }
}

use std::convert::Infallible;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use anyhow::{Context, bail};
use pixel_iqn::DatasetKind;
use pixel_iqn::data::folder::{self, Fit};
use pixel_iqn::data::{ImageDataset, OpenOptions, read_npz};
use pixel_iqn_eval::GaussianStatistics;

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
    /// A folder of image files.
    Folder(PathBuf),
}

impl FromStr for ImageSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let path = PathBuf::from(text);
        if path.extension().is_some_and(|extension| extension == "npz") {
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
    /// Reads the statistics of an npz file that has them in the place of images.
    pub fn statistics(&self) -> anyhow::Result<Option<GaussianStatistics>> {
        let Self::Npz(path) = self else {
            return Ok(None);
        };
        let [mu] = read_npz(path, ["mu"])?;
        Ok(match mu {
            Some(_) => Some(GaussianStatistics::load(path)?),
            None => None,
        })
    }

    /// Reads the images; those of folders and data sets at `size`, where one is given.
    pub fn images(&self, size: Option<usize>) -> anyhow::Result<ImageDataset> {
        match self {
            Self::Npz(path) => Ok(ImageDataset::from_npz(path)?),
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
            Self::Folder(path) => of_folder(path, size),
        }
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
    folder::load(path, height, 3, Fit::Exact)
        .context("images of several sizes: --size brings them to one")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_says_what_it_is() {
        let source = |text: &str| text.parse::<ImageSource>().unwrap();
        assert_eq!(source("a/b.npz"), ImageSource::Npz("a/b.npz".into()));
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
}

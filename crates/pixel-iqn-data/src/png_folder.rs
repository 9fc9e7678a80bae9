//! A folder of PNG files for large sets of images, which continues where an interrupted job
//! stopped.

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use crate::atomic::{replace, sync_folder_of, write_atomically};
use crate::error::{Result, at, at_write, other_job};
use crate::image_grid::ImageGrid;

/// A folder of single PNG files, which are named `000000.png` and so on by the index of the image.
///
/// Several jobs may fill one folder at once, each with its own indices.
#[derive(Debug)]
pub struct PngFolder {
    path: PathBuf,
    /// The shape of one image, `[C, H, W]`.
    shape: [usize; 3],
}

impl PngFolder {
    /// Opens or creates the folder. `job` says all that the images depend on; it is kept in
    /// `job.txt`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`](crate::DataError::Inconsistent) if the folder holds the images
    /// of another job, [`DataError::Io`](crate::DataError::Io) and
    /// [`DataError::Write`](crate::DataError::Write).
    pub fn open(path: &Path, shape: [usize; 3], job: &str) -> Result<Self> {
        fs::create_dir_all(path).map_err(at_write(path))?;
        let note = path.join("job.txt");
        let text = format!("{shape:?} {job}\n");
        match fs::read_to_string(&note) {
            Ok(found) if found == text => {}
            Ok(_) => return Err(other_job(path)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                write_atomically(&note, text.as_bytes())?;
            }
            Err(error) => return Err(at(&note)(error)),
        }
        Ok(Self {
            path: path.to_owned(),
            shape,
        })
    }

    /// Returns whether image `index` is there.
    pub fn contains(&self, index: usize) -> bool {
        self.file(index).exists()
    }

    /// Writes the images from `first` on, `[n, C, H, W]`. Each file appears whole or not at all.
    ///
    /// # Errors
    ///
    /// [`DataError::Option`](crate::DataError::Option) if the number of channels is neither 1 nor
    /// 3, [`DataError::Inconsistent`](crate::DataError::Inconsistent) if the levels are no whole
    /// number of images, and [`DataError::Write`](crate::DataError::Write).
    pub fn save(&self, first: usize, levels: &[u8]) -> Result<()> {
        let images = levels.chunks(self.shape.iter().product());
        let [channels, height, width] = self.shape;
        for (i, image) in images.enumerate() {
            let file = self.file(first + i);
            let png = ImageGrid::new(image, [1, channels, height, width])?.encode(&file)?;
            replace(&file, |part| part.write_all(&png)).map_err(at_write(&file))?;
        }
        // Once for all of them: a flush of the folder takes as long as one of a file.
        sync_folder_of(&self.file(first)).map_err(at_write(&self.path))
    }

    fn file(&self, index: usize) -> PathBuf {
        self.path.join(format!("{index:06}.png"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 2 x 3 pixels.
    const IMAGES: [u8; 12] = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32];

    #[test]
    fn a_folder_takes_the_images_of_one_job() {
        let folder = tempfile::tempdir().unwrap();
        let pngs = PngFolder::open(folder.path(), [1, 2, 3], "a").unwrap();
        pngs.save(7, &IMAGES).unwrap();
        assert!(pngs.contains(7) && pngs.contains(8) && !pngs.contains(9));
        let image = image::open(folder.path().join("000008.png")).unwrap();
        assert_eq!(image.to_luma8().into_raw(), IMAGES[6..]);
        PngFolder::open(folder.path(), [1, 2, 3], "a").unwrap();
        let error = PngFolder::open(folder.path(), [1, 2, 3], "b").unwrap_err();
        assert!(error.to_string().contains("another job"), "{error}");
    }
}

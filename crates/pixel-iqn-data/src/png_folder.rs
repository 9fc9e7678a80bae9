//! A folder of PNG files for large sets of images, which continues where an interrupted job
//! stopped.

use std::collections::{BTreeMap, HashMap};
use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use crate::atomic::{link_atomically, remove_leftovers, replace, sync_folder_of, write_atomically};
use crate::checksum::md5;
use crate::claim::{Claim, is_locked};
use crate::error::{DataError, Result, at, at_write, other_job};
use crate::image_grid::ImageGrid;

/// The file that says what the images are.
const NOTE: &str = "job.txt";

/// A folder of single PNG files, which are named `000000.png` and so on by the index of the image.
///
/// Its `job.txt` has the job in the first line, and below it the MD5 checksum of each image that is
/// done. An image that is not there, or not as it was written, counts as not done.
///
/// Several jobs may fill one folder at once, each with its own indices.
#[derive(Debug)]
pub struct PngFolder {
    path: PathBuf,
    /// The shape of one image, `[C, H, W]`.
    shape: [usize; 3],
    /// The checksums of the images that were there when the folder was opened, by index.
    sums: HashMap<usize, String>,
    /// Whether the last line of `job.txt` has no end, as a process that is killed leaves it.
    torn: bool,
}

/// What a [`PngFolder`] holds beside the images that a job is to draw.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub struct FolderContent {
    /// Files in the place of images of this job which it did not write, or which were changed since.
    pub replaced: usize,
    /// Images under indices that the job does not have.
    pub beyond: usize,
    /// Files of other names.
    pub others: usize,
}

impl PngFolder {
    /// Opens or creates the folder. `job` says all that the images depend on; it is kept in
    /// `job.txt`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`](crate::DataError::Inconsistent) if the folder holds the images
    /// of another job, or files and no `job.txt` that says what they are, and
    /// [`DataError::Io`](crate::DataError::Io) and [`DataError::Write`](crate::DataError::Write).
    pub fn open(path: &Path, shape: [usize; 3], job: &str) -> Result<Self> {
        fs::create_dir_all(path).map_err(at_write(path))?;
        let note = path.join(NOTE);
        let first = format!("{shape:?} {job}\n");
        let mut text = read(&note)?;
        if text.is_none() {
            let is_empty = visible(path)?.is_empty();
            // Other processes that fill the folder may have begun between the two looks at it.
            text = read(&note)?;
            match (&text, is_empty) {
                (None, true) => {
                    link_atomically(&note, first.as_bytes())?;
                    text = read(&note)?;
                }
                (None, false) => {
                    return Err(DataError::Inconsistent(format!(
                        "{} has files and no {NOTE} that says what they are: choose a new or an empty \
                         folder",
                        path.display()
                    )));
                }
                (Some(_), _) => {}
            }
        }
        let text = text.unwrap_or_default();
        let lines = text.strip_prefix(&first).ok_or_else(|| other_job(path))?;
        Ok(Self {
            path: path.to_owned(),
            shape,
            sums: sums(lines).collect(),
            torn: !text.ends_with('\n'),
        })
    }

    /// Returns whether image `index` is there as it was written before the folder was opened.
    pub fn contains(&self, index: usize) -> bool {
        let expected = self.sums.get(&index);
        expected.is_some_and(|sum| fs::read(self.file(index)).is_ok_and(|file| md5(&file) == *sum))
    }

    /// Claims the images of `part`, which no other process may draw at the same time, and removes what
    /// killed processes were writing of them.
    ///
    /// # Errors
    ///
    /// [`DataError::InUse`](crate::DataError::InUse) where another process has claimed some of them, and
    /// [`DataError::Write`](crate::DataError::Write).
    pub fn claim(&self, part: &Range<usize>) -> Result<Claim> {
        // One process at a time looks for the claims of others, so that of two that begin at once the
        // second one is told. Without locks on the file system no other is noticed.
        let note = File::open(self.path.join(NOTE)).map_err(at_write(&self.path))?;
        note.lock().ok();
        for name in names(&self.path)? {
            if let Some(other) = claimed(&name)
                && other.start < part.end
                && part.start < other.end
                && is_locked(&self.path.join(&name))
            {
                return Err(DataError::InUse(self.file(other.start.max(part.start))));
            }
        }
        let name = format!("{:06}-{:06}.png", part.start, part.end - 1);
        let claim = Claim::file(&self.path.join(name))?;
        remove_leftovers(&self.path, |target| {
            index_of(target).is_some_and(|index| part.contains(&index))
        });
        Ok(claim)
    }

    /// Says what else than its images a job finds that draws those of `part`, of which all processes
    /// together draw `whole`.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`](crate::DataError::Io) where the folder cannot be read.
    pub fn content(&self, part: &Range<usize>, whole: &Range<usize>) -> Result<FolderContent> {
        let mut content = FolderContent::default();
        for name in visible(&self.path)? {
            match index_of(&name) {
                Some(index) if part.contains(&index) => {
                    content.replaced += usize::from(!self.contains(index));
                }
                Some(index) => content.beyond += usize::from(!whole.contains(&index)),
                None => content.others += usize::from(name != NOTE),
            }
        }
        Ok(content)
    }

    /// Writes the images from `first` on, `[n, C, H, W]`. Each file appears whole or not at all, and
    /// then its checksum in `job.txt`.
    ///
    /// # Errors
    ///
    /// [`DataError::Option`](crate::DataError::Option) if the number of channels is neither 1 nor
    /// 3, [`DataError::Inconsistent`](crate::DataError::Inconsistent) if the levels are no whole
    /// number of images, and [`DataError::Write`](crate::DataError::Write).
    pub fn save(&mut self, first: usize, levels: &[u8]) -> Result<()> {
        let images = levels.chunks(self.shape.iter().product());
        let [channels, height, width] = self.shape;
        let mut lines = String::new();
        for (i, image) in images.enumerate() {
            let file = self.file(first + i);
            let png = ImageGrid::new(image, [1, channels, height, width])?.encode(&file)?;
            replace(&file, |part| part.write_all(&png)).map_err(at_write(&file))?;
            lines += &line(first + i, &md5(&png));
        }
        // Once for all of them: a flush of the folder takes as long as one of a file.
        sync_folder_of(&self.file(first)).map_err(at_write(&self.path))?;
        self.append(lines)
    }

    /// Adds lines to the note, which other processes may do at the same time: each adds all of its lines
    /// at once. A file system that lets them collide loses checksums, and the images are drawn again.
    fn append(&mut self, mut lines: String) -> Result<()> {
        if core::mem::take(&mut self.torn) {
            lines.insert(0, '\n');
        }
        let note = self.path.join(NOTE);
        let mut file = OpenOptions::new()
            .append(true)
            .open(&note)
            .map_err(at_write(&note))?;
        let written = file.write_all(lines.as_bytes());
        written
            .and_then(|()| file.sync_data())
            .inspect_err(|_| self.torn = true)
            .map_err(at_write(&note))
    }

    /// Puts the lines of the note in order, each once, as a job leaves them that was never interrupted. Only
    /// where no other process fills the folder: lines that it adds meanwhile are lost, and their images are
    /// drawn again.
    ///
    /// # Errors
    ///
    /// [`DataError::Io`](crate::DataError::Io).
    pub fn tidy(&self) -> Result<()> {
        remove_leftovers(&self.path, |target| target == NOTE);
        let note = self.path.join(NOTE);
        let text = read(&note)?.unwrap_or_default();
        let Some((first, lines)) = text.split_once('\n') else {
            return Ok(());
        };
        let sums: BTreeMap<usize, String> = sums(lines).collect();
        let mut tidy = format!("{first}\n");
        for (index, sum) in sums {
            tidy += &line(index, &sum);
        }
        match tidy == text {
            true => Ok(()),
            false => write_atomically(&note, tidy.as_bytes()),
        }
    }

    fn file(&self, index: usize) -> PathBuf {
        self.path.join(format!("{index:06}.png"))
    }
}

/// The line of an image in the note.
fn line(index: usize, sum: &str) -> String {
    format!("{index:06}.png {sum}\n")
}

/// The checksums of the lines of a note, by the index of the image.
fn sums(lines: &str) -> impl Iterator<Item = (usize, String)> {
    lines.split_inclusive('\n').filter_map(|line| {
        // A line without its end may have lost a part of the checksum.
        let (name, sum) = line.strip_suffix('\n')?.split_once(' ')?;
        Some((index_of(name)?, sum.to_owned()))
    })
}

/// The index of the image that a file name stands for.
fn index_of(name: &str) -> Option<usize> {
    let index = name.strip_suffix(".png")?.parse().ok()?;
    (name == format!("{index:06}.png")).then_some(index)
}

/// The images that the name of a lock file stands for.
fn claimed(name: &str) -> Option<Range<usize>> {
    let range = name.strip_prefix('.')?.strip_suffix(".png.lock")?;
    let (first, last) = range.split_once('-')?;
    Some(first.parse().ok()?..last.parse::<usize>().ok()?.checked_add(1)?)
}

/// Reads the note; `None` where there is none.
fn read(note: &Path) -> Result<Option<String>> {
    match fs::read(note) {
        Ok(bytes) => Ok(Some(String::from_utf8_lossy(&bytes).into_owned())),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(at(note)(error)),
    }
}

/// The names of all that is in a folder but hidden files, such as those that a killed process was
/// writing.
fn visible(folder: &Path) -> Result<Vec<String>> {
    let mut names = names(folder)?;
    names.retain(|name| !name.starts_with('.'));
    Ok(names)
}

fn names(folder: &Path) -> Result<Vec<String>> {
    let entries = fs::read_dir(folder).map_err(at(folder))?;
    let name = |entry: io::Result<fs::DirEntry>| {
        let name = entry.map_err(at(folder))?.file_name();
        Ok(name.to_string_lossy().into_owned())
    };
    entries.map(name).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two images of 2 x 3 pixels.
    const IMAGES: [u8; 12] = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32];

    fn open(folder: &Path, job: &str) -> Result<PngFolder> {
        PngFolder::open(folder, [1, 2, 3], job)
    }

    #[test]
    fn a_folder_takes_the_images_of_one_job() {
        let folder = tempfile::tempdir().unwrap();
        let mut pngs = open(folder.path(), "a").unwrap();
        pngs.save(7, &IMAGES).unwrap();
        let image = image::open(folder.path().join("000008.png")).unwrap();
        assert_eq!(image.to_luma8().into_raw(), IMAGES[6..]);
        let pngs = open(folder.path(), "a").unwrap();
        assert!(pngs.contains(7) && pngs.contains(8) && !pngs.contains(9));
        let error = open(folder.path(), "b").unwrap_err();
        assert!(error.to_string().contains("another job"), "{error}");
    }

    #[test]
    fn files_without_a_job_are_taken_for_nothing() {
        let folder = tempfile::tempdir().unwrap();
        // What a killed process leaves of its first file, and what a file manager leaves.
        for hidden in [".job.txt.7-0.part", ".DS_Store"] {
            fs::write(folder.path().join(hidden), "").unwrap();
        }
        open(folder.path(), "a").unwrap();
        fs::remove_file(folder.path().join(NOTE)).unwrap();
        fs::write(folder.path().join("000000.png"), "").unwrap();
        let error = open(folder.path(), "a").unwrap_err();
        assert!(error.to_string().contains("no job.txt"), "{error}");
        assert!(!folder.path().join(NOTE).exists());
    }

    #[test]
    fn an_image_counts_only_as_it_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        open(folder.path(), "a").unwrap().save(0, &IMAGES).unwrap();
        // One of another picture, one that no line of the note knows, one beyond, and one of another
        // name.
        fs::copy(file("000000.png"), file("000001.png")).unwrap();
        for other in ["000002.png", "000009.png", "cat.png", "7.png"] {
            fs::copy(file("000000.png"), file(other)).unwrap();
        }
        let mut pngs = open(folder.path(), "a").unwrap();
        let done = [0, 1, 2].map(|index| pngs.contains(index));
        assert_eq!(done, [true, false, false]);
        let content = pngs.content(&(0..4), &(0..8)).unwrap();
        let expected = FolderContent {
            replaced: 2,
            beyond: 1,
            others: 2,
        };
        assert_eq!(content, expected);
        // A process that was killed within a line.
        let note = fs::read_to_string(file(NOTE)).unwrap();
        fs::write(file(NOTE), &note[..note.len() - 5]).unwrap();
        assert!(!open(folder.path(), "a").unwrap().contains(1));
        pngs = open(folder.path(), "a").unwrap();
        pngs.save(1, &IMAGES[6..]).unwrap();
        let pngs = open(folder.path(), "a").unwrap();
        assert!(pngs.contains(0) && pngs.contains(1));
        // The line that was torn is put in order.
        pngs.tidy().unwrap();
        assert_eq!(fs::read_to_string(file(NOTE)).unwrap(), note);
    }

    #[test]
    fn two_jobs_never_draw_the_same_images_at_once() {
        let folder = tempfile::tempdir().unwrap();
        let pngs = open(folder.path(), "a").unwrap();
        let first = pngs.claim(&(10..20)).unwrap();
        for overlapping in [10..20, 0..11, 19..30, 12..13, 0..100] {
            let error = open(folder.path(), "a").unwrap().claim(&overlapping);
            assert!(matches!(error, Err(DataError::InUse(_))), "{overlapping:?}");
        }
        let others = [0..10, 20..30].map(|others| pngs.claim(&others).unwrap());
        drop((first, others));
        // What a killed process leaves.
        fs::write(folder.path().join(".000000-000099.png.lock"), "").unwrap();
        drop(pngs.claim(&(10..20)).unwrap());
    }

    #[test]
    fn many_begin_one_folder() {
        let folder = tempfile::tempdir().unwrap();
        std::thread::scope(|scope| {
            for part in 0..8 {
                let folder = folder.path();
                scope.spawn(move || {
                    let mut pngs = open(folder, "a").unwrap();
                    pngs.save(2 * part, &IMAGES).unwrap();
                });
            }
        });
        let pngs = open(folder.path(), "a").unwrap();
        assert!((0..16).all(|index| pngs.contains(index)));
    }
}

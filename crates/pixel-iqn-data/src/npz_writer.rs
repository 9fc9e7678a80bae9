//! A writer of large sets of images to an `.npz` file, in bounded memory, which continues where an
//! interrupted job stopped.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::path::{Path, PathBuf};

use npyz::npz::file_name_from_array_name;
use npyz::zip::{CompressionMethod, DateTime, ZipArchive, ZipWriter, write::FileOptions};

use crate::atomic::{is_special, remove_leftovers, replace, sync_folder_of};
use crate::checksum::md5;
use crate::content::cut_off_archive;
use crate::error::{DataError, Result, at, at_write, format, option, other_job};

/// A writer of uint8 images `[N, H, W, C]`, the array `arr_0` of an `.npz` file, as the evaluation
/// tools of this field read it.
///
/// Until [`finish`](Self::finish), the images gather in a file beside it that ends in `.part`, each with
/// its checksum.
#[derive(Debug)]
pub struct NpzWriter {
    path: PathBuf,
    part_path: PathBuf,
    part: File,
    /// The shape of all images, `[N, C, H, W]`.
    shape: [usize; 4],
    /// The position in the `.part` file at which the images begin.
    start: u64,
    done: usize,
    /// What tells the job in the archive.
    mark: String,
}

impl NpzWriter {
    /// Returns whether the file at `path` is there and the whole result of this job, so that there is
    /// nothing left to write. `shape` and `job` are those of [`open`](Self::open).
    ///
    /// The comment of the archive, which readers of arrays pass over, tells the job.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the file is anything else, such as the result of another job,
    /// and [`DataError::Io`].
    pub fn is_finished(path: &Path, shape: [usize; 4], job: &str) -> Result<bool> {
        if is_special(path) {
            return Err(no_file(path));
        }
        let file = match File::open(path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(false),
            file => file.map_err(at(path))?,
        };
        let expected = mark(&header(shape, job));
        let whole = || {
            let mut archive = ZipArchive::new(io::BufReader::new(file)).ok()?;
            let same_job = archive.comment() == expected.as_bytes();
            let mut array = archive.by_name(&file_name_from_array_name("arr_0")).ok()?;
            // Its checksum is compared at its end.
            io::copy(&mut array, &mut io::sink()).ok()?;
            same_job.then_some(())
        };
        whole()
            .map(|()| true)
            .ok_or_else(|| match cut_off_archive(path) {
                Some(found) => format(path, 0, "the archive of this job", found),
                None => other_job(path),
            })
    }

    /// Begins the file at `path`, or continues what an interrupted job left. `job` is one line that
    /// says all that the images depend on; `shape` is `[N, C, H, W]`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if another job left its `.part` file there,
    /// [`DataError::InUse`] if another process is writing it, [`DataError::Option`] if `job` is not one
    /// line or the shape is empty, and [`DataError::Io`] and [`DataError::Write`].
    pub fn open(path: &Path, shape: [usize; 4], job: &str) -> Result<Self> {
        if job.contains('\n') {
            return Err(option("job", job, "one line"));
        }
        if is_special(path) {
            return Err(no_file(path));
        }
        if shape.contains(&0) {
            return Err(option(
                "shape",
                format!("{shape:?}"),
                "of one number or more",
            ));
        }
        let mut part_path = path.as_os_str().to_owned();
        part_path.push(".part");
        let part_path = PathBuf::from(part_path);
        let header = header(shape, job);
        let mut part = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&part_path)
            .map_err(at_write(&part_path))?;
        match part.try_lock() {
            Err(TryLockError::WouldBlock) => return Err(DataError::InUse(path.to_owned())),
            // Another process has just finished.
            Ok(()) if !part_path.exists() => return Err(DataError::InUse(path.to_owned())),
            // An error says that the file system has no locks.
            Ok(()) | Err(TryLockError::Error(_)) => {}
        }
        if let (Some(folder), Some(name)) = (path.parent(), path.file_name()) {
            let folder = match folder.as_os_str().is_empty() {
                true => Path::new("."),
                false => folder,
            };
            remove_leftovers(folder, |target| target == name);
        }
        let mut found = Vec::new();
        Read::by_ref(&mut part)
            .take(header.len() as u64)
            .read_to_end(&mut found)
            .map_err(at(&part_path))?;
        // A job that was killed while it began may have left a piece of its header.
        if !header.as_bytes().starts_with(&found) {
            return Err(other_job(&part_path));
        }
        let start = header.len() as u64;
        let record = image_bytes(shape) + CHECKSUM;
        // An image counts only as it was written: a crash of the machine may leave zeros.
        let mut records = io::BufReader::new(&part);
        let mut found = vec![0; record];
        let mut done = 0;
        while done < shape[0] && records.read_exact(&mut found).is_ok() && is_whole(&found) {
            done += 1;
        }
        let mut begin = || {
            part.rewind()?;
            part.write_all(header.as_bytes())?;
            part.set_len(start + (done * record) as u64)?;
            part.seek(SeekFrom::End(0))
        };
        begin().map_err(at_write(&part_path))?;
        Ok(Self {
            path: path.to_owned(),
            part_path,
            part,
            shape,
            start,
            done,
            mark: mark(&header),
        })
    }

    /// Returns the number of images written so far, including those of an interrupted job.
    pub fn done(&self) -> usize {
        self.done
    }

    /// Writes the next images, `[n, C, H, W]`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if they are not whole images or too many, and
    /// [`DataError::Write`].
    pub fn append(&mut self, levels: &[u8]) -> Result<()> {
        let image = image_bytes(self.shape);
        let count = levels.len() / image;
        if !levels.len().is_multiple_of(image) || self.done + count > self.shape[0] {
            return Err(DataError::Inconsistent(format!(
                "{} bytes after {} images are not some of the images {:?}",
                levels.len(),
                self.done,
                self.shape
            )));
        }
        let [_, channels, height, width] = self.shape;
        let plane = height * width;
        let mut bytes = Vec::with_capacity(levels.len() + count * CHECKSUM);
        for image in levels.chunks_exact(image) {
            let first = bytes.len();
            bytes.extend((0..plane * channels).map(|i| image[i % channels * plane + i / channels]));
            let checksum = md5(&bytes[first..]);
            bytes.extend_from_slice(checksum.as_bytes());
        }
        self.part
            .write_all(&bytes)
            .map_err(at_write(&self.part_path))?;
        self.done += count;
        Ok(())
    }

    /// Writes the archive, which appears at its path whole or not at all, and removes the `.part`
    /// file.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if images are missing, and [`DataError::Write`].
    pub fn finish(mut self) -> Result<()> {
        if self.done < self.shape[0] {
            return Err(DataError::Inconsistent(format!(
                "{} of {} images are there",
                self.done, self.shape[0]
            )));
        }
        let Self {
            path, part_path, ..
        } = &self;
        let (path, part_path) = (path.clone(), part_path.clone());
        replace(&path, |file| self.archive(file))
            .and_then(|()| sync_folder_of(&path))
            .map_err(at_write(&path))?;
        fs::remove_file(&part_path).map_err(at_write(&part_path))
    }

    fn archive(&mut self, file: &mut File) -> io::Result<()> {
        let [count, channels, height, width] = self.shape;
        let header = format!(
            "{{'descr': '|u1', 'fortran_order': False, 'shape': ({count}, {height}, {width}, \
             {channels}), }}"
        );
        // The npy format (version 1): magic, length, header; padded so that the data is aligned.
        let padded = (10 + header.len() + 1).next_multiple_of(64) - 10;
        let header = format!("{header:<width$}\n", width = padded - 1);
        let options = FileOptions::default()
            .compression_method(CompressionMethod::Stored)
            // The same images make the same bytes, at whatever time.
            .last_modified_time(DateTime::default())
            .large_file(true);
        let mut zip = ZipWriter::new(file);
        zip.set_comment(&*self.mark);
        zip.start_file(file_name_from_array_name("arr_0"), options)?;
        zip.write_all(b"\x93NUMPY\x01\x00")?;
        zip.write_all(&(header.len() as u16).to_le_bytes())?;
        zip.write_all(header.as_bytes())?;
        self.part.seek(SeekFrom::Start(self.start))?;
        let image = image_bytes(self.shape);
        let mut records = io::BufReader::new(&self.part);
        let mut record = vec![0; image + CHECKSUM];
        for _ in 0..count {
            records.read_exact(&mut record)?;
            if !is_whole(&record) {
                let message = "an image in it is not what was written: delete it and begin again";
                return Err(io::Error::new(io::ErrorKind::InvalidData, message));
            }
            zip.write_all(&record[..image])?;
        }
        zip.finish()?;
        Ok(())
    }
}

/// The length of the checksum behind each image in the `.part` file, an MD5 in hexadecimal.
const CHECKSUM: usize = 32;

/// Returns whether the checksum behind an image is that of the image.
fn is_whole(record: &[u8]) -> bool {
    let (image, checksum) = record.split_at(record.len() - CHECKSUM);
    md5(image).as_bytes() == checksum
}

/// The error for a pipe or a device: an archive is written here and there, and gathers in a file beside it.
fn no_file(path: &Path) -> DataError {
    DataError::Inconsistent(format!(
        "cannot write {}: it is a pipe or a device, and an npz file needs to be a file",
        path.display()
    ))
}

/// The first line of the `.part` file.
fn header(shape: [usize; 4], job: &str) -> String {
    format!("{shape:?} {job}\n")
}

/// The comment of the archive: comments are short, and jobs may be long.
fn mark(header: &str) -> String {
    format!("pixel-iqn, job {}", md5(header.as_bytes()))
}

fn image_bytes([_, channels, height, width]: [usize; 4]) -> usize {
    channels * height * width
}

#[cfg(test)]
mod tests {
    use super::*;
    use npyz::npz::NpzArchive;

    /// Two images of two channels, 1 x 3 pixels.
    const SHAPE: [usize; 4] = [2, 2, 1, 3];
    const LEVELS: [u8; 12] = [0, 1, 2, 10, 11, 12, 20, 21, 22, 30, 31, 32];

    fn read(path: &Path) -> (Vec<u64>, Vec<u8>) {
        let mut archive = NpzArchive::open(path).unwrap();
        let array = archive.by_name("arr_0").unwrap().unwrap();
        (array.shape().to_vec(), array.into_vec().unwrap())
    }

    #[test]
    fn an_interrupted_job_goes_on() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let mut writer = NpzWriter::open(&path, SHAPE, "seed 1").unwrap();
        writer.append(&LEVELS[..6]).unwrap();
        // Killed within the second image.
        writer.part.write_all(&[99; 4]).unwrap();
        drop(writer);
        assert!(NpzWriter::open(&path, SHAPE, "seed 2").is_err());
        let mut writer = NpzWriter::open(&path, SHAPE, "seed 1").unwrap();
        assert_eq!(writer.done(), 1);
        assert!(writer.append(&LEVELS).is_err());
        writer.append(&LEVELS[6..]).unwrap();
        writer.finish().unwrap();
        let (shape, levels) = read(&path);
        assert_eq!(shape, [2, 1, 3, 2]);
        assert_eq!(levels, [0, 10, 1, 11, 2, 12, 20, 30, 21, 31, 22, 32]);
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn images_that_a_crash_damaged_are_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let mut writer = NpzWriter::open(&path, SHAPE, "seed 1").unwrap();
        writer.append(&LEVELS).unwrap();
        let (part, first) = (writer.part_path.clone(), writer.start as usize);
        drop(writer);
        let whole = fs::read(&part).unwrap();
        for (zeroed, done) in [(first + 1, 0), (first + 6 + CHECKSUM + 1, 1)] {
            let mut damaged = whole.clone();
            damaged[zeroed..zeroed + 3].fill(0);
            fs::write(&part, damaged).unwrap();
            let mut writer = NpzWriter::open(&path, SHAPE, "seed 1").unwrap();
            assert_eq!(writer.done(), done);
            writer.append(&LEVELS[6 * done..]).unwrap();
            drop(writer);
            assert_eq!(fs::read(&part).unwrap(), whole);
        }
    }

    #[test]
    fn a_finished_job_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let finished = |job: &str| NpzWriter::is_finished(&path, SHAPE, job);
        assert!(!finished("seed 1").unwrap());
        let mut writer = NpzWriter::open(&path, SHAPE, "seed 1").unwrap();
        // Two processes would write into one file.
        let error = NpzWriter::open(&path, SHAPE, "seed 1").unwrap_err();
        assert!(matches!(error, DataError::InUse(_)), "{error}");
        writer.append(&LEVELS).unwrap();
        writer.finish().unwrap();
        assert!(finished("seed 1").unwrap());
        // Its bytes do not tell the time.
        let mut archive = ZipArchive::new(File::open(&path).unwrap()).unwrap();
        let time = archive.by_name("arr_0.npy").unwrap().last_modified();
        assert_eq!(time.year(), 1980);
        let error = finished("seed 2").unwrap_err();
        assert!(error.to_string().contains("another job"), "{error}");
        // A bit of an image changed, and a piece of the file.
        let mut bytes = fs::read(&path).unwrap();
        let at = bytes.windows(3).position(|w| w == [0, 10, 1]).unwrap();
        bytes[at] ^= 1;
        fs::write(&path, &bytes).unwrap();
        assert!(finished("seed 1").is_err());
        fs::write(&path, &bytes[..bytes.len() / 2]).unwrap();
        assert!(finished("seed 1").is_err());
    }

    #[cfg(unix)]
    #[test]
    fn a_device_is_refused_before_the_work() {
        let null = Path::new("/dev/null");
        for error in [
            NpzWriter::is_finished(null, SHAPE, "").unwrap_err(),
            NpzWriter::open(null, SHAPE, "").unwrap_err(),
        ] {
            assert!(error.to_string().contains("a pipe or a device"), "{error}");
        }
    }

    #[test]
    fn an_unfinished_archive_never_appears() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.npz");
        let writer = NpzWriter::open(&path, SHAPE, "").unwrap();
        assert!(writer.finish().is_err());
        assert!(!path.exists());
    }
}

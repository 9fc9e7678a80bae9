//! The files of CIFAR-10: their names, and where they lie.

use std::{
    fs,
    io::Read,
    path::{Path, PathBuf},
};

use crate::{
    error::{DataError, Result, at},
    unpack,
};

/// Name of the official archive.
pub(crate) const ARCHIVE: &str = "cifar-10-binary.tar.gz";
/// The names of the archive in a folder: browsers shorten the ending, or unpack the archive on the
/// way.
pub(crate) const ARCHIVES: [&str; 3] = [ARCHIVE, "cifar-10-binary.tgz", "cifar-10-binary.tar"];
pub(crate) const FOLDER: &str = "cifar-10-batches-bin";

/// What is often there in the place of [`FOLDER`] or [`ARCHIVE`], and what it is.
pub(crate) const OTHER_VERSIONS: [(&str, &str); 10] = [
    ("cifar-10-batches-py", PYTHON),
    ("cifar-10-python.tar.gz", PYTHON),
    ("cifar-10-python.tgz", PYTHON),
    ("data_batch_1", PYTHON),
    ("cifar-10-batches-mat", MATLAB),
    ("cifar-10-matlab.tar.gz", MATLAB),
    ("cifar-100-binary", CIFAR_100),
    ("cifar-100-binary.tar.gz", CIFAR_100),
    ("cifar-100-python", CIFAR_100),
    ("cifar-100-python.tar.gz", CIFAR_100),
];
const PYTHON: &str = "the version for Python, which is not read";
const MATLAB: &str = "the version for Matlab, which is not read";
const CIFAR_100: &str = "CIFAR-100, which is not read";

/// The files in the order of reading, the test batch last.
pub(crate) const NAMES: [&str; 6] = [
    "data_batch_1.bin",
    "data_batch_2.bin",
    "data_batch_3.bin",
    "data_batch_4.bin",
    "data_batch_5.bin",
    "test_batch.bin",
];
/// One label byte, then the three planes.
pub(crate) const RECORD: usize = 1 + 3 * 32 * 32;
const PER_BATCH: usize = 10_000;

pub(crate) fn hint() -> String {
    format!(
        "CIFAR-10 in its binary version is the archive {ARCHIVE} of \
         https://www.cs.toronto.edu/~kriz/cifar.html or the folder {FOLDER} in it"
    )
}

pub(crate) type Batches = [Option<Vec<u8>>; 6];

/// The bytes of the files that are there, and the path to name them by.
pub(crate) fn read(path: &Path) -> Result<(PathBuf, Batches)> {
    if path.is_file() {
        return Ok((path.to_owned(), read_archive(path)?));
    }
    let mut incomplete = None;
    for folder in [path.to_owned(), path.join(FOLDER)] {
        let training = NAMES[..5].iter().map(|name| folder.join(name));
        let (there, missing): (Vec<_>, Vec<_>) = training.partition(|file| file.is_file());
        if missing.is_empty() {
            let batches = read_folder(&folder)?;
            return Ok((folder, batches));
        }
        if !there.is_empty() {
            incomplete = Some(missing[0].clone());
        }
    }
    let mut archives = ARCHIVES.iter().map(|name| path.join(name));
    if let Some(archive) = archives.find(|archive| archive.is_file()) {
        let batches = read_archive(&archive)?;
        return Ok((archive, batches));
    }
    if let Some(file) = incomplete {
        return Err(DataError::Inconsistent(format!(
            "{} is missing beside the other batches: {}",
            file.display(),
            hint()
        )));
    }
    for (name, what) in OTHER_VERSIONS {
        let other = path.join(name);
        if other.exists() {
            return Err(DataError::Missing {
                path: path.join(FOLDER),
                hint: format!("{} is {what}; {}", other.display(), hint()),
            });
        }
    }
    Err(DataError::Missing {
        path: path.join(FOLDER),
        hint: hint(),
    })
}

fn read_folder(folder: &Path) -> Result<Batches> {
    let mut batches = Batches::default();
    for (batch, name) in batches.iter_mut().zip(NAMES) {
        let file = folder.join(name);
        if file.exists() {
            *batch = Some(fs::read(&file).map_err(at(&file))?);
        }
    }
    Ok(batches)
}

fn read_archive(archive: &Path) -> Result<Batches> {
    let mut tar = tar::Archive::new(unpack::open(archive)?);
    let mut batches = Batches::default();
    for entry in tar.entries().map_err(at(archive))? {
        let entry = entry.map_err(at(archive))?;
        let path = entry.path().map_err(at(archive))?.into_owned();
        let name = path.file_name().and_then(|name| name.to_str());
        if let Some(index) = NAMES.iter().position(|&known| name == Some(known)) {
            // One byte more than a batch has, so that a longer file fails its checksum while a
            // header that claims terabytes costs nothing.
            let mut bytes = Vec::new();
            let limit = (PER_BATCH * RECORD + 1) as u64;
            entry
                .take(limit)
                .read_to_end(&mut bytes)
                .map_err(at(archive))?;
            batches[index] = Some(bytes);
        }
    }
    Ok(batches)
}

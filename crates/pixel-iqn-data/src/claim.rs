//! Output files that belong to one process while it works.

use std::fs::{self, File, OpenOptions, TryLockError};
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};

use crate::atomic::{is_special, remove_leftovers};
use crate::error::{DataError, Result, at_write};

/// The right to write a file, which one process at a time has.
///
/// A program claims its output files before it works, so that what would fail at the end fails at the
/// beginning: a folder that is not there or cannot be written to, and another process that writes the
/// same file. The claim ends when the value is dropped or the process ends, however it ends.
///
/// It is a locked file `.NAME.lock` beside the output, which a killed process leaves behind without its
/// lock. What such a process was writing of the output is removed. On a file system without locks no other process is noticed.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("scores.json");
/// use pixel_iqn_data::{Claim, write_atomically};
///
/// let claim = Claim::file(&path)?;
/// assert!(Claim::file(&path).is_err()); // as for another process
/// write_atomically(&path, b"{}")?;
/// drop(claim);
/// assert!(Claim::file(&path).is_ok());
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
#[derive(Debug)]
#[must_use = "a claim ends when it is dropped"]
pub struct Claim {
    /// The lock with its path; devices have none.
    lock: Option<(File, PathBuf)>,
}

impl Claim {
    /// Claims the file at `path`, which need not exist.
    ///
    /// # Errors
    ///
    /// [`DataError::InUse`] where another process has it, [`DataError::Inconsistent`] where its folder
    /// is not there or it is a folder itself, and [`DataError::Write`] where its folder cannot be written
    /// to.
    pub fn file(path: &Path) -> Result<Self> {
        if is_special(path) {
            return match is_socket(path) {
                true => Err(DataError::Inconsistent(format!(
                    "cannot write {}: it is a socket",
                    path.display()
                ))),
                false => Ok(Self { lock: None }),
            };
        }
        let folder = path
            .parent()
            .filter(|folder| !folder.as_os_str().is_empty());
        if !folder.is_none_or(Path::is_dir) {
            return Err(DataError::Inconsistent(format!(
                "cannot write {}: there is no such folder",
                path.display()
            )));
        }
        let (Some(name), false) = (path.file_name(), path.is_dir()) else {
            return Err(DataError::Inconsistent(format!(
                "cannot write {}: it is a folder",
                path.display()
            )));
        };
        let mut lock = std::ffi::OsString::from(".");
        lock.push(name);
        lock.push(".lock");
        let lock_path = path.with_file_name(lock);
        loop {
            let lock = open(&lock_path).map_err(at_write(path))?;
            match lock.try_lock() {
                Err(TryLockError::WouldBlock) => return Err(DataError::InUse(path.to_owned())),
                // Another process may have removed the file at the end of its work after it was opened
                // here.
                Ok(()) if !lock_path.exists() => continue,
                // An error says that the file system has no locks.
                Ok(()) | Err(TryLockError::Error(_)) => {
                    let folder = folder.unwrap_or(Path::new("."));
                    remove_leftovers(folder, |target| target == name);
                    let lock = Some((lock, lock_path));
                    return Ok(Self { lock });
                }
            }
        }
    }
}

/// Whether a path leads to a socket, which cannot be opened as files and pipes are.
#[cfg(unix)]
fn is_socket(path: &Path) -> bool {
    use std::os::unix::fs::FileTypeExt;
    fs::metadata(path).is_ok_and(|found| found.file_type().is_socket())
}

#[cfg(not(unix))]
fn is_socket(_: &Path) -> bool {
    false
}

/// Whether a process that lives has the lock of a lock file.
pub(crate) fn is_locked(path: &Path) -> bool {
    let lock = OpenOptions::new().write(true).open(path);
    lock.is_ok_and(|lock| matches!(lock.try_lock(), Err(TryLockError::WouldBlock)))
}

fn open(path: &Path) -> io::Result<File> {
    let open = OpenOptions::new()
        .write(true)
        .create(true)
        .truncate(false)
        .open(path);
    match open {
        // The folder of the output is there.
        Err(error) if error.kind() == ErrorKind::NotFound => {
            Err(ErrorKind::PermissionDenied.into())
        }
        open => open,
    }
}

impl Drop for Claim {
    fn drop(&mut self) {
        if let Some((_, path)) = &self.lock {
            // Before the lock ends; a lock file that stays harms nobody.
            fs::remove_file(path).ok();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_has_one_writer_at_a_time() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x.json");
        let first = Claim::file(&path).unwrap();
        let error = Claim::file(&path).unwrap_err();
        assert!(matches!(&error, DataError::InUse(file) if *file == path));
        assert!(Claim::file(&folder.path().join("y.json")).is_ok());
        drop(first);
        // What a killed process leaves, of whose number there is none.
        fs::write(folder.path().join(".x.json.lock"), "").unwrap();
        #[cfg(target_os = "linux")]
        fs::write(folder.path().join(".x.json.4294967295-0.part"), "").unwrap();
        drop(Claim::file(&path).unwrap());
        assert_eq!(fs::read_dir(folder.path()).unwrap().count(), 0);
    }

    #[test]
    fn what_cannot_be_written_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| Claim::file(path).unwrap_err().to_string();
        assert!(refused(&folder.path().join("no/x.json")).contains("no such folder"));
        assert!(refused(folder.path()).contains("it is a folder"));
        #[cfg(unix)]
        {
            drop(Claim::file(Path::new("/dev/null")).unwrap());
            let socket = folder.path().join("x.png");
            let _listener = std::os::unix::net::UnixListener::bind(&socket).unwrap();
            assert!(refused(&socket).contains("it is a socket"));
        }
        #[cfg(target_os = "linux")]
        assert!(matches!(
            Claim::file(Path::new("/proc/x.json")),
            Err(DataError::Write { .. })
        ));
    }
}

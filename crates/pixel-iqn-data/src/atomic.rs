//! Writing files atomically: a file is there whole or not at all, also after a power cut.

use std::{
    fs::{self, File, OpenOptions},
    io::{self, Write},
    path::{Path, PathBuf},
    process,
    sync::atomic::{AtomicU64, Ordering},
};

use crate::error::{Result, at_write};

/// Writes a file so that it is there whole or not at all.
///
/// The bytes go to a new temporary file in the same folder, which is flushed to the disk and then
/// renamed to `path`; on Unix, the folder is flushed too. A reader sees the old file or the new
/// one, never a piece, whatever happens in between: an error, a kill or a power cut. Several
/// threads or processes may write the same path at once, and the last rename wins.
///
/// The temporary file is named `.NAME.PROCESS-NUMBER.part`. An error removes it; a kill leaves it
/// behind, and the next [`Claim`](crate::Claim) of the file removes it. A symbolic link at `path` is replaced, not followed, and a
/// device or a pipe, such as `/dev/stdout`, is written to in place.
///
/// ```
/// # let folder = tempfile::tempdir().unwrap();
/// # let path = folder.path().join("config.toml");
/// pixel_iqn_data::write_atomically(&path, b"steps = 1000\n")?;
/// assert_eq!(std::fs::read(&path).unwrap(), b"steps = 1000\n");
/// # Ok::<(), pixel_iqn_data::DataError>(())
/// ```
///
/// # Errors
///
/// [`DataError::Write`](crate::DataError::Write) if the system refuses to create, write, flush or rename
/// a file; what was at `path` before is still there, except where only the flush of the folder
/// failed.
pub fn write_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    replace(path, |file| file.write_all(bytes))
        .and_then(|()| sync_folder_of(path))
        .map_err(at_write(path))
}

/// Writes a file that is not there yet, whole or not at all; one that is there stays.
///
/// Several processes may do so at once, and the first one wins.
pub(crate) fn link_atomically(path: &Path, bytes: &[u8]) -> Result<()> {
    let part = temporary(path);
    let write = || {
        replace(&part, |file| file.write_all(bytes))?;
        match fs::hard_link(&part, path) {
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => Ok(()),
            // A file system without links: the last one wins.
            Err(_) => fs::rename(&part, path),
            Ok(()) => Ok(()),
        }
    };
    let written = write().and_then(|()| sync_folder_of(path));
    fs::remove_file(&part).ok();
    written.map_err(at_write(path))
}

/// Whether a path leads to a device, a pipe or the like, which are written to in place: a rename would
/// put a file where they are.
pub(crate) fn is_special(path: &Path) -> bool {
    let is_in = |folder: &str| cfg!(unix) && path.starts_with(folder);
    // A link such as /dev/stdout may lead to a file.
    is_in("/dev/fd")
        || is_in("/proc/self/fd")
        || ["/dev/stdout", "/dev/stderr"]
            .iter()
            .any(|name| is_in(name))
        || fs::metadata(path).is_ok_and(|found| !found.is_file() && !found.is_dir())
}

/// Replaces the file at `path` by what `write` writes, without flushing the folder: the new name
/// may still be lost in a power cut, but never half the content.
pub(crate) fn replace(
    path: &Path,
    write: impl FnOnce(&mut File) -> io::Result<()>,
) -> io::Result<()> {
    if is_special(path) {
        return OpenOptions::new()
            .write(true)
            .open(path)
            .and_then(|mut device| write(&mut device));
    }
    let part = temporary(path);
    // A new file, so that a link which somebody put there is not followed.
    let mut file = OpenOptions::new()
        .read(true)
        .write(true)
        .create_new(true)
        .open(&part)?;
    let written = write(&mut file).and_then(|()| file.sync_all());
    // Windows renames no open file.
    drop(file);
    written
        .and_then(|()| fs::rename(&part, path))
        .inspect_err(|_| {
            // The write has failed already; that the rest cannot be removed adds nothing.
            fs::remove_file(&part).ok();
        })
}

/// Flushes the folder that a path is in, so that a new name in it survives a power cut: for those who
/// rename folders. [`write_atomically`] does it by itself.
///
/// # Errors
///
/// The error of the operating system that refuses to open or flush the folder.
// Public for the other crates of the workspace, which write files too.
#[doc(hidden)]
pub fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Only Unix opens folders as files; elsewhere the rename has to do.
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    match File::open(folder.unwrap_or(Path::new(".")))?.sync_all() {
        // Some network file systems flush files alone.
        Err(error) if error.kind() == io::ErrorKind::InvalidInput => Ok(()),
        result => result,
    }
}

/// Removes the temporary files that killed processes left in a folder, of the targets whose names are
/// `wanted`. Those of a process that lives stay, and where the system does not tell which processes live, all
/// do.
///
/// That a folder cannot be read or a file not be removed is no error: such files harm nobody.
// Public for the other crates of the workspace, which write files too.
#[doc(hidden)]
pub fn remove_leftovers(folder: &Path, wanted: impl Fn(&str) -> bool) {
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        let name = entry.file_name();
        if let Some((target, process)) = name.to_str().and_then(target_of)
            && wanted(target)
            && has_ended(process)
        {
            fs::remove_file(entry.path()).ok();
        }
    }
}

/// The target of a temporary file, and the process that wrote it.
fn target_of(name: &str) -> Option<(&str, u32)> {
    let (target, number) = name
        .strip_prefix('.')?
        .strip_suffix(".part")?
        .rsplit_once('.')?;
    let (process, count) = number.split_once('-')?;
    count.parse::<u64>().ok()?;
    Some((target, process.parse().ok()?))
}

fn has_ended(process: u32) -> bool {
    // Only Linux tells without a call of the system.
    cfg!(target_os = "linux")
        && Path::new("/proc/self").exists()
        && !Path::new(&format!("/proc/{process}")).exists()
}

/// Returns a name beside the target that no other process and no other thread uses.
fn temporary(path: &Path) -> PathBuf {
    static NUMBER: AtomicU64 = AtomicU64::new(0);
    let number = NUMBER.fetch_add(1, Ordering::Relaxed);
    let mut name = std::ffi::OsString::from(".");
    name.push(path.file_name().unwrap_or_default());
    name.push(format!(".{}-{number}.part", process::id()));
    path.with_file_name(name)
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::error::DataError;

    fn names(folder: &Path) -> Vec<String> {
        let entries = fs::read_dir(folder).unwrap();
        let name = |entry: io::Result<fs::DirEntry>| entry.unwrap().file_name();
        entries
            .map(|entry| name(entry).into_string().unwrap())
            .collect()
    }

    #[test]
    fn a_file_is_created_and_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        for bytes in [&b"first"[..], b"2", b""] {
            write_atomically(&path, bytes).unwrap();
            assert_eq!(fs::read(&path).unwrap(), bytes);
            assert_eq!(names(folder.path()), ["x"]);
        }
    }

    #[test]
    fn what_fails_leaves_the_old_file_and_nothing_else() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        fs::write(&path, "old").unwrap();
        let error = replace(&path, |file| {
            file.write_all(b"half of the new")?;
            Err(io::ErrorKind::StorageFull.into())
        });
        assert_eq!(error.unwrap_err().kind(), io::ErrorKind::StorageFull);
        assert_eq!(fs::read(&path).unwrap(), b"old");
        assert_eq!(names(folder.path()), ["x"]);

        // A file cannot take the place of a folder.
        fs::create_dir(folder.path().join("y")).unwrap();
        let error = write_atomically(&folder.path().join("y"), b"new").unwrap_err();
        assert!(matches!(error, DataError::Write { path, .. } if path.ends_with("y")));
        assert_eq!(names(folder.path()).len(), 2);
        assert!(write_atomically(&folder.path().join("no/folder"), b"").is_err());
    }

    #[cfg(target_os = "linux")]
    #[test]
    fn what_killed_processes_left_is_removed_and_what_others_write_is_not() {
        let folder = tempfile::tempdir().unwrap();
        let mut ended = process::Command::new("true").spawn().unwrap();
        ended.wait().unwrap();
        let of = |name: &str, process: u32| format!(".{name}.{process}-0.part");
        let kept = [
            of("x.png", process::id()),
            of("y.png", ended.id()),
            ".x.png.lock".to_owned(),
            ".x.png.old.part".to_owned(),
            "x.png.part".to_owned(),
        ];
        let left = of("x.png", ended.id());
        for name in kept.iter().chain([&left]) {
            fs::write(folder.path().join(name), "").unwrap();
        }
        remove_leftovers(folder.path(), |name| name == "x.png");
        let mut found = names(folder.path());
        found.sort();
        let mut expected = kept.to_vec();
        expected.sort();
        assert_eq!(found, expected);
    }

    #[cfg(unix)]
    #[test]
    fn a_device_stays_a_device() {
        let null = Path::new("/dev/null");
        write_atomically(null, b"nothing").unwrap();
        assert!(!fs::metadata(null).unwrap().is_file());
    }

    #[test]
    fn many_writers_of_one_file_leave_one_whole_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("x");
        thread::scope(|scope| {
            for byte in 0..8 {
                let path = &path;
                scope.spawn(move || write_atomically(path, &vec![byte; 100_000]).unwrap());
            }
        });
        let bytes = fs::read(&path).unwrap();
        assert_eq!(bytes, vec![bytes[0]; 100_000]);
        assert_eq!(names(folder.path()), ["x"]);
    }
}

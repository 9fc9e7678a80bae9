//! Files and folders that are there whole or not at all, also after a power cut.

use std::fs::{self, File};
use std::io::{self, Write};
use std::path::Path;

use crate::error::{RunError, at};

/// Writes beside the target, waits for the disk and renames, so that no reader ever sees half a
/// file. What fails leaves the old file as it was, and no other.
pub(crate) fn write(path: &Path, bytes: &[u8]) -> Result<(), RunError> {
    let part = path.with_added_extension("part");
    write_synced(&part, bytes)
        .and_then(|()| fs::rename(&part, path))
        .and_then(|()| sync_folder_of(path))
        .map_err(|error| {
            fs::remove_file(&part).ok();
            at(path)(error)
        })
}

/// Writes a file and waits for the disk.
pub(crate) fn write_synced(path: &Path, bytes: &[u8]) -> io::Result<()> {
    let mut file = File::create(path)?;
    file.write_all(bytes)?;
    file.sync_all()
}

/// Waits until the disk knows the names in the folder that a path is in.
pub(crate) fn sync_folder_of(path: &Path) -> io::Result<()> {
    // Only Unix opens folders as files; elsewhere the rename has to do.
    if !cfg!(unix) {
        return Ok(());
    }
    let folder = path
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    File::open(folder.unwrap_or(Path::new(".")))?.sync_all()
}

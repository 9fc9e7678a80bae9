use std::path::Path;

use anyhow::ensure;

/// Checks that a file can be put where it is asked for, before the work that fills it.
pub fn check_folder_of(file: &Path) -> anyhow::Result<()> {
    let folder = file
        .parent()
        .filter(|folder| !folder.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "cannot write {}: there is no such folder",
        file.display()
    );
    Ok(())
}

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

/// Checks that a picture can be put where it is asked for, as PNG, before the work that it shows.
pub fn check_picture(file: &Path) -> anyhow::Result<()> {
    let ending = file.extension().unwrap_or_default();
    ensure!(
        ending.eq_ignore_ascii_case("png"),
        "cannot write {}: pictures are PNG, give FILE.png",
        file.display()
    );
    check_folder_of(file)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_picture_is_a_png_in_a_folder_that_exists() {
        let check = |file: &str| check_picture(Path::new(file));
        assert!(check("a.png").is_ok());
        assert!(check("a.PNG").is_ok());
        for wrong in ["a.jpg", "a", "no/such/folder/a.png"] {
            assert!(check(wrong).is_err(), "{wrong}");
        }
    }
}

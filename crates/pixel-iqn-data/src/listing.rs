//! The image files and the subfolders of a folder.

use std::{
    fs::{self, File},
    io::Read,
    path::{Path, PathBuf},
};

use image::ImageFormat;

use crate::{
    error::{DataError, Result, at},
    natural,
};

/// Folders that programs and systems leave behind and that hold no images of the set. Those whose
/// names begin with a dot, as `.ipynb_checkpoints`, are passed over too.
const LEFT_BEHIND: [&str; 5] = [
    "__MACOSX",
    "@eaDir",
    "lost+found",
    "$RECYCLE.BIN",
    "System Volume Information",
];

/// Lists the image files and the subfolders of a folder, each in the natural order of names.
pub(crate) fn list(folder: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>)> {
    let (mut files, mut folders) = (Vec::new(), Vec::new());
    for entry in fs::read_dir(folder).map_err(at(folder))? {
        let path = entry.map_err(at(folder))?.path();
        if is_passed_over(&file_name(&path)) {
            continue;
        }
        let start = || {
            let mut start = Vec::new();
            let file = File::open(&path).map_err(at(&path))?;
            file.take(64).read_to_end(&mut start).map_err(at(&path))?;
            Ok(start)
        };
        if path.is_dir() {
            folders.push(path);
        } else if is_image(&path, start)? {
            files.push(path);
        }
    }
    natural::sort(&mut files);
    natural::sort(&mut folders);
    Ok((files, folders))
}

/// Returns whether a file or folder of this name is none of the set: a hidden one, or what a program left
/// behind.
pub(crate) fn is_passed_over(name: &str) -> bool {
    name.starts_with('.') || LEFT_BEHIND.contains(&name)
}

/// Returns the name of a file or folder without its path.
pub(crate) fn file_name(path: &Path) -> String {
    path.file_name()
        .unwrap_or_default()
        .to_string_lossy()
        .into_owned()
}

/// Returns whether a file is an image, by the ending of its name or, where it has none, by its
/// first bytes, which `start` reads. Whoever decodes it checks its content.
///
/// An image of a kind that cannot be read is an error, because leaving it out would make the set
/// smaller without a word.
pub(crate) fn is_image(path: &Path, start: impl FnOnce() -> Result<Vec<u8>>) -> Result<bool> {
    const OTHER_KINDS: [&str; 11] = [
        "avif", "gif", "heic", "heif", "jp2", "jxl", "psd", "svg", "tif", "tiff", "tga",
    ];
    let Some(ending) = path.extension() else {
        return Ok(image::guess_format(&start()?).is_ok());
    };
    let ending = ending.to_string_lossy().to_lowercase();
    if OTHER_KINDS.contains(&ending.as_str()) {
        return Err(unreadable(path));
    }
    Ok(ImageFormat::from_extension(ending).is_some())
}

/// The error for an image of a kind that cannot be decoded.
pub(crate) fn unreadable(path: &Path) -> DataError {
    DataError::Inconsistent(format!(
        "{} is an image of a kind that cannot be read: make PNG or JPEG of it",
        path.display()
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_programs_leave_behind_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        for folder in [
            "__MACOSX",
            ".ipynb_checkpoints",
            "@eaDir",
            "lost+found",
            "class",
        ] {
            fs::create_dir(root.path().join(folder)).unwrap();
        }
        for file in [
            ".DS_Store",
            "._a.png",
            "Thumbs.db",
            "a.jpg.crdownload",
            "a.png.part",
            "a.PNG",
        ] {
            // Even with the first bytes of a PNG, the ending decides.
            fs::write(root.path().join(file), b"\x89PNG\r\n\x1a\n").unwrap();
        }
        let (files, folders) = list(root.path()).unwrap();
        assert_eq!(files, [root.path().join("a.PNG")]);
        assert_eq!(folders, [root.path().join("class")]);
    }

    #[test]
    fn files_without_an_ending_are_judged_by_content_and_other_kinds_refused() {
        let root = tempfile::tempdir().unwrap();
        fs::write(root.path().join("a"), b"\x89PNG\r\n\x1a\n").unwrap();
        fs::write(root.path().join("README"), "no image").unwrap();
        assert_eq!(list(root.path()).unwrap().0, [root.path().join("a")]);
        for name in ["b.HEIC", "c.gif", "d.TIFF"] {
            let other = root.path().join(name);
            fs::write(&other, "an image").unwrap();
            let error = list(root.path()).unwrap_err().to_string();
            assert!(
                error.contains(name) && error.contains("make PNG"),
                "{error}"
            );
            fs::remove_file(other).unwrap();
        }
    }
}

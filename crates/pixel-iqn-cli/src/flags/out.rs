use std::path::{Path, PathBuf};

use anyhow::ensure;
use pixel_iqn::data::Claim;

/// Claims the output files of a command before the work that fills them: pictures, which are PNG, and
/// others. The files must stay claimed until they are written.
pub fn claim<const P: usize, const N: usize>(
    pictures: [Option<&PathBuf>; P],
    others: [Option<&PathBuf>; N],
) -> anyhow::Result<Vec<Claim>> {
    for picture in pictures.into_iter().flatten() {
        check_picture(picture)?;
    }
    let files: Vec<&PathBuf> = pictures.into_iter().chain(others).flatten().collect();
    for (i, file) in files.iter().enumerate() {
        ensure!(
            !files[..i].contains(file),
            "{} is named for two different outputs: give each its own file",
            file.display()
        );
    }
    let claims = files.into_iter().map(|file| Ok(Claim::file(file)?));
    claims.collect()
}

fn check_picture(file: &Path) -> anyhow::Result<()> {
    let ending = file.extension().unwrap_or_default();
    ensure!(
        ending.eq_ignore_ascii_case("png"),
        "cannot write {}: pictures are PNG, give FILE.png",
        file.display()
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_can_be_written_and_are_different_files() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str| folder.path().join(name);
        let claim = |picture: &str, other: &str| {
            claim([Some(&file(picture))], [Some(&file(other))]).map(|claims| claims.len())
        };
        assert_eq!(claim("a.png", "b.json").unwrap(), 2);
        assert_eq!(claim("a.PNG", "b").unwrap(), 2);
        for (picture, other) in [
            ("a.jpg", "b.json"),
            ("a", "b.json"),
            ("a.png", "no/folder/b.json"),
            ("a.png", "a.png"),
        ] {
            assert!(claim(picture, other).is_err(), "{picture} {other}");
        }
    }
}

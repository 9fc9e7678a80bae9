//! The page: its own files, the program and the models.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use flate2::Compression;
use flate2::write::GzEncoder;

use crate::program::{Cargo, FORMS, bind};
use crate::{models, say};

/// The file that says that a folder is a page of this program, which may be replaced.
const MARK: &str = "manifest.json";

pub fn build(
    root: &Path,
    out: &Path,
    further: &[PathBuf],
    cargo: &Cargo<'_>,
) -> anyhow::Result<()> {
    cargo.expect_target()?;
    clear(out)?;
    let manifest = models::copy(root, further, out)?;
    for form in FORMS {
        let compiled = cargo.compile(form)?;
        let folder = out.join("program").join(form.name);
        bind(&compiled, &folder)?;
        report(&folder)?;
    }
    copy_tree(&root.join("web/page"), out)?;
    fs::write(out.join(MARK), serde_json::to_string_pretty(&manifest)?)?;
    say(&format!("the page is in {}", out.display()));
    Ok(())
}

/// Removes an earlier page, and nothing else.
fn clear(out: &Path) -> anyhow::Result<()> {
    if let Ok(mut entries) = fs::read_dir(out) {
        ensure!(
            out.join(MARK).exists() || entries.next().is_none(),
            "{} has other files than those of the page: choose another folder by --out",
            out.display()
        );
        fs::remove_dir_all(out)?;
    }
    fs::create_dir_all(out).with_context(|| out.display().to_string())
}

/// Says how large a program is, with what a browser loads of it.
fn report(folder: &Path) -> anyhow::Result<()> {
    let (mut plain, mut small) = (0, 0);
    for entry in fs::read_dir(folder)? {
        let bytes = fs::read(entry?.path())?;
        let mut gzip = GzEncoder::new(Vec::new(), Compression::best());
        gzip.write_all(&bytes)?;
        plain += bytes.len();
        small += gzip.finish()?.len();
    }
    say(&format!(
        "{}: {plain} bytes, {small} gzipped",
        folder.display()
    ));
    Ok(())
}

fn copy_tree(from: &Path, to: &Path) -> anyhow::Result<()> {
    let entries = fs::read_dir(from)
        .with_context(|| format!("{}: start at the root of the repository", from.display()))?;
    fs::create_dir_all(to)?;
    for entry in entries {
        let entry = entry?;
        let target = to.join(entry.file_name());
        match entry.file_type()?.is_dir() {
            true => copy_tree(&entry.path(), &target)?,
            false => {
                fs::copy(entry.path(), target)?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_a_page_is_replaced() {
        let folder = tempfile::tempdir().unwrap();
        let out = folder.path().join("out");
        clear(&out).unwrap();
        fs::write(out.join("notes.txt"), "mine").unwrap();
        assert!(clear(&out).is_err());
        assert!(out.join("notes.txt").exists());
        fs::write(out.join(MARK), "{}").unwrap();
        clear(&out).unwrap();
        assert!(!out.join("notes.txt").exists());
    }
}

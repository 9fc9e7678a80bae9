use std::fmt;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::workspace::{cargo, name};

/// The bytes that a crate may have before it is packed: what is downloaded is smaller still. Our choice.
const LARGEST: u64 = 1_000_000;

/// The files of a package as the registry will have it.
#[derive(Debug)]
pub struct Contents {
    name: String,
    /// Paths in the package, and their bytes.
    files: Vec<(PathBuf, u64)>,
}

/// Asks cargo which files it would pack.
pub fn of(package: &Value, allow_dirty: bool) -> anyhow::Result<Contents> {
    let mut command = cargo();
    command.args(["package", "--list", "--offline", "--package", name(package)]);
    if allow_dirty {
        command.arg("--allow-dirty");
    }
    let output = command.output().context("cannot start cargo")?;
    ensure!(
        output.status.success(),
        "{command:?} failed: {}",
        String::from_utf8_lossy(&output.stderr)
    );
    let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
    let folder = manifest.parent().context("a manifest lies in a folder")?;
    // What cargo writes itself has no file yet.
    let size = |file: &str| folder.join(file).metadata().map_or(0, |file| file.len());
    let listing = String::from_utf8(output.stdout)?;
    let files = listing.lines().map(|file| (file.into(), size(file)));
    Ok(Contents {
        name: name(package).to_owned(),
        files: files.collect(),
    })
}

impl Contents {
    fn bytes(&self) -> u64 {
        self.files.iter().map(|(_, bytes)| bytes).sum()
    }

    /// What is too large, missing, or does not belong into a package, one sentence each.
    pub fn faults(&self) -> Vec<String> {
        let mut faults = Vec::new();
        let bytes = self.bytes();
        if bytes > LARGEST {
            let (path, most) = self
                .files
                .iter()
                .max_by_key(|(_, bytes)| bytes)
                .expect("some are large");
            faults.push(format!(
                "its files have {bytes} bytes, and may have {LARGEST}; the largest is {} with {most}",
                path.display()
            ));
        }
        for needed in ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"] {
            if !self.files.iter().any(|(path, _)| path == Path::new(needed)) {
                faults.push(format!("it lacks {needed}"));
            }
        }
        for (path, _) in &self.files {
            let first = path
                .components()
                .next()
                .map(|part| part.as_os_str().to_string_lossy());
            if matches!(first.as_deref(), Some("tests" | "benches" | "examples")) {
                faults.push(format!(
                    "{} belongs to the repository alone",
                    path.display()
                ));
            }
        }
        faults
    }
}

impl fmt::Display for Contents {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(
            f,
            "{}: {} files, {} bytes",
            self.name,
            self.files.len(),
            self.bytes()
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn contents(more: &[(&str, u64)]) -> Contents {
        let always = ["Cargo.toml", "README.md", "LICENSE-MIT", "LICENSE-APACHE"];
        let always = always.iter().map(|file| (PathBuf::from(file), 1));
        let more = more
            .iter()
            .map(|(file, bytes)| (PathBuf::from(file), *bytes));
        Contents {
            name: "a".to_owned(),
            files: always.chain(more).collect(),
        }
    }

    #[test]
    fn too_much_and_too_little_are_told() {
        assert_eq!(
            contents(&[("src/lib.rs", 10)]).faults(),
            Vec::<String>::new()
        );
        let large = contents(&[("models/a.safetensors", LARGEST)]).faults();
        assert!(
            large.len() == 1 && large[0].contains("models/a.safetensors"),
            "{large:?}"
        );
        let fixture = contents(&[("tests/fixtures/a.json", 10)]).faults();
        assert!(
            fixture.len() == 1 && fixture[0].contains("repository alone"),
            "{fixture:?}"
        );
        let mut bare = contents(&[]);
        bare.files.clear();
        assert_eq!(bare.faults().len(), 4);
    }

    /// The crates of this repository as they are now.
    #[test]
    fn every_crate_is_small_and_complete() {
        let workspace = crate::workspace::Workspace::read(false).unwrap();
        for package in workspace.published().unwrap() {
            let faults = [
                super::super::metadata::faults(package),
                of(package, true).unwrap().faults(),
            ];
            assert_eq!(faults.concat(), Vec::<String>::new(), "{}", name(package));
        }
    }
}

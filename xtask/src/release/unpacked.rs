//! What an earlier rehearsal left in cargo's own folder.

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use serde_json::Value;

use crate::workspace::name;

/// Cargo's own folder, `~/.cargo` unless the variable `CARGO_HOME` says otherwise.
pub fn cargo_home() -> Option<PathBuf> {
    let home = || std::env::home_dir().map(|home| home.join(".cargo"));
    std::env::var_os("CARGO_HOME")
        .map(PathBuf::from)
        .or_else(home)
}

/// Removes the sources of our crates that an earlier rehearsal unpacked: cargo knows them by name and version
/// alone, and would verify the next crates with them instead of with those that it has just packaged.
pub fn remove(cargo_home: &Path, crates: &[&Value]) -> anyhow::Result<()> {
    let Ok(registries) = fs::read_dir(cargo_home.join("registry/src")) else {
        return Ok(());
    };
    for registry in registries {
        let registry = registry?;
        // A registry that is a folder has no host, which the names of others begin with.
        if !registry.file_name().to_string_lossy().starts_with('-') {
            continue;
        }
        for package in crates {
            let version = package["version"].as_str().unwrap_or("");
            let folder = registry.path().join(format!("{}-{version}", name(package)));
            if folder.exists() {
                fs::remove_dir_all(&folder)
                    .with_context(|| format!("cannot remove {}", folder.display()))?;
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_rehearsal_unpacked_is_removed_and_nothing_else() {
        let home = tempfile::tempdir().unwrap();
        remove(home.path(), &[]).unwrap();
        let src = home.path().join("registry/src");
        let [ours, other, of_registry] = [
            "-0123/pixel-iqn-0.1.0",
            "-0123/pixel-iqn-0.0.9",
            "index.crates.io-0123/pixel-iqn-0.1.0",
        ]
        .map(|path| src.join(path));
        for folder in [&ours, &other, &of_registry] {
            fs::create_dir_all(folder.join("src")).unwrap();
        }
        let package = json!({ "name": "pixel-iqn", "version": "0.1.0" });
        remove(home.path(), &[&package]).unwrap();
        assert!(!ours.exists());
        assert!(other.exists() && of_registry.exists());
    }
}

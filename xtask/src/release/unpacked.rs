//! What an earlier rehearsal left in cargo's own folder, and in that of its builds.

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

/// Makes cargo forget in the folder `target` how it built our crates from what an earlier rehearsal packaged,
/// which it would take for the same, too.
pub fn forget_builds(target: &Path, crates: &[&Value]) -> anyhow::Result<()> {
    let Ok(builds) = fs::read_dir(target.join("debug/.fingerprint")) else {
        return Ok(());
    };
    for build in builds {
        let build = build?;
        let file = build.file_name();
        // The name of the crate and a hash.
        let of = file.to_str().and_then(|file| file.rsplit_once('-'));
        if of.is_some_and(|(of, _)| crates.iter().any(|package| name(package) == of)) {
            fs::remove_dir_all(build.path())
                .with_context(|| format!("cannot remove {}", build.path().display()))?;
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

    #[test]
    fn builds_of_our_crates_are_forgotten_and_no_others() {
        let target = tempfile::tempdir().unwrap();
        let package = json!({ "name": "pixel-iqn", "version": "0.1.0" });
        forget_builds(target.path(), &[&package]).unwrap();
        let [ours, other, of_registry] = [
            "pixel-iqn-0123456789abcdef",
            "pixel-iqn-core-0123456789abcdef",
            "burn-0123456789abcdef",
        ]
        .map(|name| target.path().join("debug/.fingerprint").join(name));
        for folder in [&ours, &other, &of_registry] {
            fs::create_dir_all(folder).unwrap();
        }
        forget_builds(target.path(), &[&package]).unwrap();
        assert!(!ours.exists());
        assert!(other.exists() && of_registry.exists());
    }
}

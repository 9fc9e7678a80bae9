//! The licences of what the programs are built from: `NOTICE`, and a file of their texts for a release.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use pixel_iqn::data::{say, write_atomically};
use serde_json::Value;

use crate::workspace::{Workspace, name};

const FILE: &str = "NOTICE";
const HEAD: &str = "\
pixel-iqn is licensed under MIT or Apache-2.0, at your option. It is built from the packages below, each
under its own licence: all that Cargo.lock has, for every feature and system. `cargo xtask notice` writes
this file, and `cargo xtask notice --texts FILE` the texts of the licences, which a release has beside its
programs.
";

/// Write the licences of all dependencies to NOTICE
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Change nothing, and fail where NOTICE names other packages than Cargo.lock
    #[arg(long)]
    check: bool,
    /// Also write the texts of the licences, as the packages have them
    #[arg(long, value_name = "FILE", conflicts_with = "check")]
    texts: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.check {
        return check(&Workspace::read(false)?.root());
    }
    let workspace = Workspace::read(true)?;
    let packages: Vec<_> = workspace
        .packages()
        .filter(|package| !package["source"].is_null())
        .collect();
    let path = workspace.root().join(FILE);
    write_atomically(&path, notice(&packages).as_bytes())?;
    say!("wrote {} ({} packages)", path.display(), packages.len());
    if let Some(path) = &args.texts {
        write_atomically(path, texts(&packages)?.as_bytes())?;
        say!("wrote {}", path.display());
    }
    Ok(())
}

/// Fails where `NOTICE` and `Cargo.lock` name different packages. Needs neither cargo nor a network.
pub fn check(root: &Path) -> anyhow::Result<()> {
    let read = |name: &str| {
        fs::read_to_string(root.join(name)).with_context(|| format!("cannot read {name}"))
    };
    let (locked, listed) = (locked(&read("Cargo.lock")?), listed(&read(FILE)?));
    let differ: Vec<_> = locked
        .symmetric_difference(&listed)
        .map(String::as_str)
        .collect();
    ensure!(
        differ.is_empty(),
        "{FILE} is not that of Cargo.lock, run `cargo xtask notice`; they differ in {}",
        differ.join(", ")
    );
    Ok(())
}

fn version(package: &Value) -> String {
    format!(
        "{} {}",
        name(package),
        package["version"].as_str().unwrap_or("?")
    )
}

/// The licence in the words of SPDX, of which some packages write a slash.
fn licence(package: &Value) -> String {
    match package["license"].as_str() {
        Some(licence) => licence.replace(" / ", "/").replace('/', " OR "),
        None => format!(
            "see its file {}",
            package["license_file"].as_str().unwrap_or("LICENSE")
        ),
    }
}

fn notice(packages: &[&Value]) -> String {
    let mut by_licence: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        by_licence
            .entry(licence(package))
            .or_default()
            .insert(version(package));
    }
    let mut text = HEAD.to_owned();
    for (licence, packages) in by_licence {
        text += &format!("\n{licence}:\n");
        text.extend(packages.iter().map(|package| format!("  {package}\n")));
    }
    text
}

/// The packages of a registry in a `Cargo.lock`, by name and version.
fn locked(lock: &str) -> BTreeSet<String> {
    let field = |package: &str, key: &str| {
        let start = format!("{key} = \"");
        let line = package.lines().find_map(|line| line.strip_prefix(&start));
        line.map(|value| value.trim_end_matches('"').to_owned())
    };
    lock.split("[[package]]")
        .filter_map(|package| {
            field(package, "source")?;
            Some(format!(
                "{} {}",
                field(package, "name")?,
                field(package, "version")?
            ))
        })
        .collect()
}

fn listed(notice: &str) -> BTreeSet<String> {
    notice
        .lines()
        .filter_map(|line| line.strip_prefix("  "))
        .map(str::to_owned)
        .collect()
}

/// Each text once, below the packages that have it.
fn texts(packages: &[&Value]) -> anyhow::Result<String> {
    let mut by_text: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
    for package in packages {
        let manifest = Path::new(package["manifest_path"].as_str().unwrap_or_default());
        let folder = manifest.parent().context("a manifest lies in a folder")?;
        let entries =
            fs::read_dir(folder).with_context(|| format!("cannot read {}", folder.display()))?;
        let mut found = false;
        for entry in entries {
            let path = entry?.path();
            let name = path
                .file_name()
                .unwrap_or_default()
                .to_string_lossy()
                .to_uppercase();
            let is_licence = [
                "LICENSE",
                "LICENCE",
                "COPYING",
                "COPYRIGHT",
                "NOTICE",
                "UNLICENSE",
            ];
            if path.is_file() && is_licence.iter().any(|start| name.starts_with(start)) {
                let text = String::from_utf8_lossy(&fs::read(&path)?)
                    .trim()
                    .replace('\r', "");
                by_text.entry(text).or_default().insert(version(package));
                found = true;
            }
        }
        if !found {
            let text = format!(
                "The package has no file of its licence, which is {}.",
                licence(package)
            );
            by_text.entry(text).or_default().insert(version(package));
        }
    }
    let sections = by_text.into_iter().map(|(text, packages)| {
        let packages: Vec<_> = packages.into_iter().collect();
        format!("{}\n\n{text}\n", packages.join(", "))
    });
    let line = format!("\n{}\n\n", "-".repeat(80));
    Ok(sections.collect::<Vec<_>>().join(&line))
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_notice_names_each_package_of_the_lock_below_its_licence() {
        let a = json!({ "name": "a", "version": "1.0.0", "license": "MIT/Apache-2.0" });
        let b =
            json!({ "name": "b", "version": "0.2.0", "license": null, "license_file": "LICENSE" });
        let text = notice(&[&a, &b]);
        assert!(text.contains("\nMIT OR Apache-2.0:\n  a 1.0.0\n"), "{text}");
        assert!(
            text.contains("\nsee its file LICENSE:\n  b 0.2.0\n"),
            "{text}"
        );

        let lock = "version = 4\n\n[[package]]\nname = \"a\"\nversion = \"1.0.0\"\nsource = \"registry\"\n\n\
                    [[package]]\nname = \"ours\"\nversion = \"0.1.0\"\n";
        let folder = std::env::temp_dir().join(format!("pixel-iqn-notice-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        fs::write(folder.join("Cargo.lock"), lock).unwrap();
        fs::write(folder.join(FILE), notice(&[&a])).unwrap();
        check(&folder).unwrap();
        fs::write(folder.join(FILE), text).unwrap();
        let error = check(&folder).unwrap_err().to_string();
        assert!(error.contains("differ in b 0.2.0"), "{error}");
        fs::remove_dir_all(folder).unwrap();
    }
}

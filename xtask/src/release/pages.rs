//! What the pages say of versions: the `[dependencies]` that a reader copies.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

use anyhow::Context;
use serde_json::Value;

use crate::workspace::{dependencies, name};

/// Dependencies in README.md and the book that are not of the versions of this repository, one sentence each.
pub fn faults(root: &Path, crates: &[&Value]) -> anyhow::Result<Vec<String>> {
    let mut pages = vec![root.join("README.md")];
    let docs = root.join("docs");
    let entries = fs::read_dir(&docs).with_context(|| format!("cannot read {}", docs.display()))?;
    for entry in entries {
        let path = entry?.path();
        if path.extension().is_some_and(|extension| extension == "md") {
            pages.push(path);
        }
    }
    let versions = versions(crates);
    let mut faults = Vec::new();
    for page in pages {
        let text =
            fs::read_to_string(&page).with_context(|| format!("cannot read {}", page.display()))?;
        let of_page = |fault: String| format!("{}: {fault}", page.display());
        faults.extend(stale(&text, &versions).into_iter().map(of_page));
    }
    Ok(faults)
}

/// The versions of our crates, and those that they ask of others.
fn versions(crates: &[&Value]) -> BTreeMap<String, String> {
    let asked = crates.iter().copied().flat_map(dependencies);
    let asked = asked.filter(|dependency| dependency["path"].is_null());
    let asked = asked.map(|dependency| (name(dependency), dependency["req"].as_str()));
    let own = crates.iter().copied();
    let own = own.map(|package| (name(package), package["version"].as_str()));
    let version = |(name, version): (&str, Option<&str>)| {
        let version = version.unwrap_or_default().trim_start_matches('^');
        (name.to_owned(), version.to_owned())
    };
    asked.chain(own).map(version).collect()
}

/// The lines of the blocks `[dependencies]` whose version is another one.
fn stale(text: &str, versions: &BTreeMap<String, String>) -> Vec<String> {
    let blocks = text.split("```toml\n[dependencies]\n").skip(1);
    let lines = blocks.flat_map(|rest| rest.split("```").next().unwrap_or_default().lines());
    let fault = |line: &str| {
        let (name, value) = line.split_once(" = ")?;
        let found = value.trim_start_matches("{ version = ").split('"').nth(1)?;
        match versions.get(name) {
            Some(version) if version == found => None,
            Some(version) => Some(format!("{name} is {version}, and the page has {found}")),
            None => Some(format!("{name} is no dependency of this repository")),
        }
    };
    lines.filter_map(fault).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_of_before_are_told() {
        let versions = [("burn", "0.22.1"), ("pixel-iqn", "0.2.0")];
        let versions = versions.map(|(name, version)| (name.to_owned(), version.to_owned()));
        let text = "a\n```toml\n[dependencies]\nburn = \"0.22.1\"\npixel-iqn = { version = \"0.1.0\", git = \"x\" }\n\
                    other = \"1\"\n```\n```toml\nsteps = \"3\"\n```\n";
        let faults = stale(text, &versions.into());
        assert_eq!(faults.len(), 2, "{faults:?}");
        assert!(faults[0].contains("pixel-iqn is 0.2.0, and the page has 0.1.0"));
        assert!(faults[1].contains("other is no dependency"));
    }

    /// The pages of this repository as they are now.
    #[test]
    fn every_page_has_the_versions_of_now() {
        let workspace = crate::workspace::Workspace::read(false).unwrap();
        let crates = workspace.published().unwrap();
        assert!(versions(&crates).contains_key("burn"));
        let faults = faults(&workspace.root(), &crates).unwrap();
        assert_eq!(faults, Vec::<String>::new());
    }
}

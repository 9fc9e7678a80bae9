//! The links of the documentation, which lead to files and headings that exist, and the contents of the book.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::path::{Component, Path, PathBuf};

use anyhow::{Context, ensure};
use pixel_iqn::data::say;

use crate::workspace::Workspace;

/// Where files of this repository are on the web: pages of the book that lead out of it say so.
const REPOSITORY: &str = "https://github.com/pixel-iqn/pixel-iqn/blob/main/";

/// Folders that are no documentation of this repository.
const OTHERS: [&str; 6] = ["target", "runs", "data", "corpus", "node_modules", "dist"];

pub fn run() -> anyhow::Result<()> {
    let root = Workspace::read(false)?.root();
    let pages = pages(&root)?;
    let mut faults = faults(&root, &pages);
    faults.extend(chapters(&pages));
    ensure!(
        faults.is_empty(),
        "{} links lead nowhere:\n{}",
        faults.len(),
        faults.join("\n")
    );
    say!("the links of {} pages are right", pages.len());
    Ok(())
}

/// All pages in Markdown by their path below the root, without their code.
fn pages(root: &Path) -> anyhow::Result<BTreeMap<PathBuf, String>> {
    let mut pages = BTreeMap::new();
    let mut folders = vec![PathBuf::new()];
    while let Some(folder) = folders.pop() {
        let path = root.join(&folder);
        let entries =
            fs::read_dir(&path).with_context(|| format!("cannot read {}", path.display()))?;
        for entry in entries {
            let entry = entry?;
            let name = entry.file_name();
            let hidden = name.to_string_lossy().starts_with('.');
            let below = folder.join(&name);
            if entry.file_type()?.is_dir() {
                if !hidden && !OTHERS.iter().any(|other| name == *other) {
                    folders.push(below);
                }
            } else if below.extension().is_some_and(|extension| extension == "md") {
                let text = fs::read_to_string(root.join(&below))?;
                pages.insert(below, without_code(&text));
            }
        }
    }
    Ok(pages)
}

fn without_code(text: &str) -> String {
    let mut code = false;
    let mut lines = Vec::new();
    for line in text.lines() {
        if line.trim_start().starts_with("```") {
            code = !code;
        } else if !code {
            lines.push(line);
        }
    }
    lines.join("\n")
}

/// Links that lead nowhere, one sentence each.
fn faults(root: &Path, pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let mut faults = Vec::new();
    for (page, text) in pages {
        for link in links(text) {
            let in_book = page.starts_with("docs") && page.parent() == Some(Path::new("docs"));
            let (path, heading) = link.split_once('#').unwrap_or((&link, ""));
            let target = match path.strip_prefix(REPOSITORY) {
                Some(path) => PathBuf::from(path),
                None if path.contains("://") || path.starts_with("mailto:") => continue,
                None if path.is_empty() => page.clone(),
                None => normal(&page.parent().unwrap_or(Path::new("")).join(path)),
            };
            let mut fault = |what: &str| faults.push(format!("{}: {link}: {what}", page.display()));
            if !root.join(&target).exists() {
                fault("there is no such file");
            } else if in_book && !link.contains("://") && !target.starts_with("docs") {
                fault(&format!(
                    "a page of the book leads out of it by {REPOSITORY}"
                ));
            } else if !heading.is_empty()
                && !pages
                    .get(&target)
                    .is_some_and(|text| headings(text).contains(heading))
            {
                fault("there is no such heading");
            }
        }
    }
    faults
}

/// Pages of the book that its contents leave out.
fn chapters(pages: &BTreeMap<PathBuf, String>) -> Vec<String> {
    let summary = Path::new("docs/SUMMARY.md");
    let listed = pages
        .get(summary)
        .map(|text| links(text))
        .unwrap_or_default();
    let of_book = |page: &&PathBuf| page.parent() == Some(Path::new("docs")) && *page != summary;
    let is_left_out = |page: &&PathBuf| {
        let name = page.file_name().unwrap_or_default().to_string_lossy();
        !listed.iter().any(|link| *link == name)
    };
    let left_out = pages.keys().filter(of_book).filter(is_left_out);
    left_out
        .map(|page| format!("{}: docs/SUMMARY.md leaves it out", page.display()))
        .collect()
}

/// The targets of links and pictures, `[text](target)` or `<a href="target">`.
pub fn links(text: &str) -> Vec<String> {
    let inline = text
        .split("](")
        .skip(1)
        .filter_map(|rest| rest.split([')', ' ', '\n']).next());
    let html = text
        .split("href=\"")
        .skip(1)
        .filter_map(|rest| rest.split('"').next());
    inline.chain(html).map(str::to_owned).collect()
}

/// The anchors of headings, as they are made on the web and by mdBook, and those that a page sets itself,
/// `<a id="name">`.
fn headings(text: &str) -> BTreeSet<String> {
    let set = text.split("<a id=\"").skip(1);
    let set = set.filter_map(|rest| rest.split('"').next());
    let mut anchors: BTreeSet<String> = set.map(str::to_owned).collect();
    for line in text.lines().filter(|line| line.starts_with('#')) {
        let title = line.trim_start_matches('#').trim().to_lowercase();
        let kept = title
            .chars()
            .filter(|c| c.is_alphanumeric() || "-_ ".contains(*c));
        anchors.insert(kept.map(|c| if c == ' ' { '-' } else { c }).collect());
    }
    anchors
}

fn normal(path: &Path) -> PathBuf {
    let mut normal = PathBuf::new();
    for part in path.components() {
        match part {
            Component::ParentDir => drop(normal.pop()),
            Component::CurDir => {}
            part => normal.push(part),
        }
    }
    normal
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn links_to_nothing_are_told() {
        let root = std::env::temp_dir().join(format!("pixel-iqn-links-{}", std::process::id()));
        fs::create_dir_all(root.join("docs")).unwrap();
        let write = |name: &str, text: &str| fs::write(root.join(name), text).unwrap();
        write(
            "README.md",
            "# It\n[a](docs/a.md#a-b) [e](docs/a.md#e) [web](https://x.y) [no](no.md)\n\
             ```\n[c](code.md)\n```\n",
        );
        write(
            "docs/a.md",
            "## A: b!\n[up](../README.md) [here](#a-b) [there](#c)\n| <a id=\"e\"></a>e | f |\n",
        );
        write(
            "docs/b.md",
            &format!("[readme]({REPOSITORY}README.md#it) [gone]({REPOSITORY}gone.md)\n"),
        );
        write("docs/SUMMARY.md", "[A](a.md)\n");
        fs::create_dir_all(root.join("web/node_modules/axe")).unwrap();
        write("web/node_modules/axe/README.md", "[of others](no.md)\n");
        let pages = pages(&root).unwrap();
        let faults = [faults(&root, &pages), chapters(&pages)]
            .concat()
            .join("\n");
        fs::remove_dir_all(&root).unwrap();
        let expected = [
            "README.md: no.md",
            "../README.md: a page of the book",
            "#c: there is no such heading",
        ];
        for part in expected.iter().chain(&[
            "gone.md: there is no such file",
            "docs/b.md: docs/SUMMARY.md",
        ]) {
            assert!(faults.contains(part), "{part}: {faults}");
        }
        assert_eq!(faults.lines().count(), 5, "{faults}");
    }

    /// The pages of this repository as they are now.
    #[test]
    fn every_link_leads_somewhere() {
        super::run().unwrap();
    }
}

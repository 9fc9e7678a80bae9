//! The tests of the page in a browser, which are programs of Node.js in `web/`.

use std::env;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use serde_json::Value;

use crate::{pictures, say};

/// Where systems keep Chromium, or a browser like it.
const BROWSERS: [&str; 5] = [
    "/usr/bin/chromium",
    "/usr/bin/chromium-browser",
    "/usr/bin/google-chrome",
    "/snap/bin/chromium",
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
];

/// Finds the browser.
fn browser() -> Option<String> {
    let named = env::var("CHROMIUM").ok();
    let usual = || BROWSERS.iter().find(|path| Path::new(path).exists());
    named.or_else(|| usual().map(|path| (*path).to_owned()))
}

/// Fails where a tool of the tests is missing, and says which.
pub fn expect_tools() -> anyhow::Result<()> {
    for tool in ["node", "npm"] {
        let found = Command::new(tool)
            .arg("--version")
            .stdout(Stdio::null())
            .status();
        ensure!(
            found.is_ok_and(|status| status.success()),
            "{tool} is not there: the tests of the page need Node.js from version 20.15 on"
        );
    }
    let browser = browser().context(
        "there is no Chromium in a usual place: install it, or name it in the variable CHROMIUM",
    )?;
    ensure!(
        Path::new(&browser).exists(),
        "{browser}, which the variable CHROMIUM names, is not there"
    );
    Ok(())
}

/// Gets the packages of the tests, unless they are there.
pub fn get_packages(root: &Path) -> anyhow::Result<()> {
    let folder = root.join("web");
    if has_packages(&folder)? {
        return Ok(());
    }
    let got = step(
        Command::new("npm").args(["ci", "--no-audit", "--no-fund"]),
        &folder,
    );
    got.context("the packages of the tests cannot be had from npm's registry")
}

/// Whether a folder has the packages that its `package.json` names, in the versions that it names.
fn has_packages(folder: &Path) -> anyhow::Result<bool> {
    let read = |path: PathBuf| -> anyhow::Result<Value> {
        let text = fs::read_to_string(&path);
        let text = text
            .with_context(|| format!("{}: start at the root of the repository", path.display()))?;
        serde_json::from_str(&text).with_context(|| path.display().to_string())
    };
    let wanted = read(folder.join("package.json"))?;
    let wanted = wanted["devDependencies"].as_object();
    Ok(wanted.into_iter().flatten().all(|(name, version)| {
        let path = folder.join("node_modules").join(name).join("package.json");
        // One that cannot be read is got anew.
        read(path).is_ok_and(|package| package["version"] == *version)
    }))
}

/// Runs the tests on the page in a folder, which a server shows at an address, with tools and packages that are there.
pub fn run(root: &Path, page: &Path, address: &str) -> anyhow::Result<()> {
    let folder = root.join("web");
    let drawn = tempfile::Builder::new().suffix(".json").tempfile()?;
    fs::write(drawn.path(), pictures::draw(page)?.to_string())?;
    step(
        Command::new("node")
            .args(["--test", "--test-reporter=spec"])
            .args(programs(&folder)?)
            .env("PAGE", address)
            .env("PICTURES", drawn.path())
            .env("CHROMIUM", browser().unwrap_or_default()),
        &folder,
    )
}

/// The programs of the tests, since versions of Node.js differ in how they read the name of a folder.
fn programs(folder: &Path) -> anyhow::Result<Vec<String>> {
    let mut programs = Vec::new();
    for entry in fs::read_dir(folder.join("tests"))? {
        let name = entry?.file_name().to_string_lossy().into_owned();
        if name.ends_with(".test.js") {
            programs.push(format!("tests/{name}"));
        }
    }
    programs.sort();
    Ok(programs)
}

fn step(command: &mut Command, folder: &Path) -> anyhow::Result<()> {
    say(&format!("+ {command:?}"));
    let status = command
        .current_dir(folder)
        .status()
        .with_context(|| format!("{command:?} cannot be run"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn packages_of_another_version_are_not_those_of_the_tests() {
        let folder = tempfile::tempdir().unwrap();
        let folder = folder.path();
        assert!(has_packages(folder).is_err());
        let wanted = r#"{"devDependencies": {"a": "1.0.0"}}"#;
        fs::write(folder.join("package.json"), wanted).unwrap();
        assert!(!has_packages(folder).unwrap());
        let package = folder.join("node_modules/a");
        fs::create_dir_all(&package).unwrap();
        for (version, expected) in [("0.9.0", false), ("1.0.0", true)] {
            let text = format!(r#"{{"version": "{version}"}}"#);
            fs::write(package.join("package.json"), text).unwrap();
            assert_eq!(has_packages(folder).unwrap(), expected, "{version}");
        }
        fs::write(package.join("package.json"), "{").unwrap();
        assert!(!has_packages(folder).unwrap(), "cut short");
    }

    #[test]
    fn the_tests_are_those_of_the_folder() {
        let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../web");
        let programs = programs(&folder).unwrap();
        assert!(programs.iter().any(|name| name == "tests/page.test.js"));
        assert!(!programs.iter().any(|name| name.ends_with("browser.js")));
    }
}

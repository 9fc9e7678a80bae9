//! The tests of the page in a browser, which are programs of Node.js in `web/`.

use std::env;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};

use crate::say;

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
            "{tool} is not there: the tests of the page need Node.js from version 20 on"
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

/// Runs the tests on the page at an address.
pub fn run(root: &Path, address: &str) -> anyhow::Result<()> {
    expect_tools()?;
    let folder = root.join("web");
    if !folder.join("node_modules").exists() {
        step(
            Command::new("npm").args(["ci", "--no-audit", "--no-fund"]),
            &folder,
        )?;
    }
    let browser = browser().unwrap_or_default();
    step(
        Command::new("node")
            .args(["--test", "--test-reporter=spec", "tests/"])
            .env("PAGE", address)
            .env("CHROMIUM", browser),
        &folder,
    )
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

//! Tells the crate which commit it was built from, for the manifests of checkpoints.

#![allow(clippy::print_stdout)] // Cargo reads it.

use std::fs;
use std::process::Command;

fn main() {
    let revision = packaged().or_else(checked_out);
    let revision = revision.as_deref().unwrap_or("unknown");
    println!("cargo::rustc-env=PIXEL_IQN_GIT_REVISION={revision}");
    println!("cargo::rerun-if-changed=build.rs");
}

/// What `cargo package` left in the crate.
fn packaged() -> Option<String> {
    let text = fs::read_to_string(".cargo_vcs_info.json").ok()?;
    let (_, rest) = text.split_once("\"sha1\"")?;
    rest.split('"').nth(1).map(str::to_owned)
}

fn checked_out() -> Option<String> {
    let git = |args: &[&str]| {
        let output = Command::new("git").args(args).output().ok()?;
        let text = String::from_utf8(output.stdout).ok()?;
        output.status.success().then(|| text.trim().to_owned())
    };
    // The log of HEAD grows with every commit and checkout.
    let log = git(&["rev-parse", "--git-path", "logs/HEAD"])?;
    println!("cargo::rerun-if-changed={log}");
    git(&["rev-parse", "HEAD"])
}

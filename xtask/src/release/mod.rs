//! What a release needs: metadata, contents and sizes of all crates, NOTICE, the versions in the pages, and a
//! rehearsal of publishing them.

mod contents;
mod metadata;
mod pages;
mod unpacked;

use std::process::Command;

use anyhow::{Context, ensure};
use pixel_iqn::data::say;

use crate::notice;
use crate::workspace::{Workspace, cargo, name};

/// Rehearse the publication of all crates, in the order of their dependencies
///
/// Without --quick, `cargo publish --dry-run` packages and builds each crate as the registry will have it,
/// and the documentation is built as docs.rs builds it: that takes an hour of two cores and the network.
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Check, and publish nothing: the workflow `release` publishes
    #[arg(long, required = true)]
    check: bool,
    /// Check metadata, contents, sizes, NOTICE and the versions in the pages alone, in seconds and without the network
    #[arg(long)]
    quick: bool,
    /// Also package crates with changes that are not committed
    #[arg(long)]
    allow_dirty: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let workspace = Workspace::read(false)?;
    let crates = workspace.published()?;
    let mut faults = Vec::new();
    for package in &crates {
        let of_package = |fault: String| format!("{}: {fault}", name(package));
        faults.extend(metadata::faults(package).into_iter().map(of_package));
        let contents = contents::of(package, args.allow_dirty)?;
        faults.extend(contents.faults().into_iter().map(of_package));
        say!("{contents}");
    }
    if let Err(fault) = notice::check(&workspace.root()) {
        faults.push(fault.to_string());
    }
    faults.extend(pages::faults(&workspace.root(), &crates)?);
    ensure!(
        faults.is_empty(),
        "not ready for a release:\n{}",
        faults.join("\n")
    );
    if args.quick {
        return Ok(());
    }

    if let Some(home) = unpacked::cargo_home() {
        unpacked::remove(&home, &crates)?;
    }
    // Cargo takes crates that are not on the registry yet from those that it has just packaged.
    let mut publish = cargo();
    publish.args([
        "publish",
        "--dry-run",
        "--workspace",
        "--exclude",
        "xtask",
        "--locked",
    ]);
    if args.allow_dirty {
        publish.arg("--allow-dirty");
    }
    // A folder of its own: its builds have other features and another profile than those of the gate.
    let target = workspace.target().join("release-check");
    unpacked::forget_builds(&target, &crates)?;
    step(publish.arg("--target-dir").arg(&target))?;
    for package in &crates {
        let version = package["version"].as_str().unwrap_or("");
        let file = format!("{}-{version}.crate", name(package));
        // After a dry run of all crates cargo has them in a folder of its own.
        let places = ["package/tmp-crate", "package"].map(|folder| target.join(folder).join(&file));
        let file = places.iter().find_map(|path| path.metadata().ok());
        let file = file.with_context(|| format!("cargo left no {}", places[0].display()))?;
        say!("{}: {} bytes packed", name(package), file.len());
    }
    let mut doc = cargo();
    doc.args(["doc", "--no-deps", "--locked", "--target-dir"])
        .arg(&target);
    let documented = crates
        .iter()
        .filter(|package| metadata::has_library(package));
    // One build of all of them, since each other set of features is another build of Burn.
    for package in documented {
        doc.args(["--package", name(package)]);
        for feature in metadata::docs_features(package) {
            doc.arg("--features")
                .arg(format!("{}/{feature}", name(package)));
        }
    }
    // The compiler of docs.rs is a nightly one, whose pages say which feature an item needs.
    doc.env("RUSTDOCFLAGS", "--cfg docsrs -D warnings")
        .env("RUSTC_BOOTSTRAP", "1");
    step(&mut doc)
}

/// Runs cargo as docs.rs does, where no build script downloads anything.
fn step(command: &mut Command) -> anyhow::Result<()> {
    say!("+ DOCS_RS=1 {command:?}");
    let status = command
        .env("DOCS_RS", "1")
        // Nobody debugs what a rehearsal builds, and it is twice as large with it.
        .env("CARGO_PROFILE_DEV_DEBUG", "false")
        .status()
        .context("cannot start cargo")?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

//! Ends the real programs again and again in the middle of their work, and compares what they made with
//! what they make when they are left alone.

mod disturbance;
mod job;
mod programs;
mod training;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::ensure;

/// End the programs at random moments, run them again, and compare with undisturbed runs
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Times to end each program by each of SIGINT, SIGTERM, SIGKILL, a closed pipe and a full disk, and
    /// times to end a long training
    #[arg(long, default_value_t = 100)]
    ends: usize,
    /// Steps of the long training; 0 leaves it out
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Seed of the moments
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// The programs to end, of those that it lists, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Folder to work in, which is kept [default: a temporary one, which is not]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    build()?;
    let temporary = std::env::temp_dir().join(format!("pixel-iqn-torture-{}", std::process::id()));
    let folder = args.folder.as_ref().unwrap_or(&temporary);
    fs::create_dir_all(folder)?;
    let result = all(args, &std::path::absolute(folder)?);
    if args.folder.is_none() {
        fs::remove_dir_all(folder).ok();
    }
    result
}

fn all(args: &Args, folder: &Path) -> anyhow::Result<()> {
    // Beside this program, which is built in the same way.
    let program = std::env::current_exe()?.with_file_name("pixel-iqn");
    programs::disturb(args, &program, &folder.join("programs"))?;
    match (args.steps, &args.only[..]) {
        (0, _) | (_, [_, ..]) => Ok(()),
        _ => training::disturb(args, program, folder),
    }
}

/// Builds the programs in the way this one was built.
fn build() -> anyhow::Result<()> {
    let mut command = Command::new(env!("CARGO"));
    command
        .args(["build", "--package", "pixel-iqn-cli", "--bin", "pixel-iqn"])
        .args(["--package", "pixel-iqn", "--example", "quantile_regression"]);
    if !cfg!(debug_assertions) {
        command.arg("--release");
    }
    ensure!(command.status()?.success(), "the program does not build");
    Ok(())
}

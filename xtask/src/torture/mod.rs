//! Ends the real programs again and again in the middle of their work, and compares what they made with
//! what they make when they are left alone.

mod disturbance;
mod job;
mod jobs;
mod moment;
mod programs;
mod training;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context, ensure};
use pixel_iqn::terminal::number;

/// End the programs at random moments, run them again, and compare with undisturbed runs
#[derive(clap::Args, Debug)]
pub struct Args {
    /// Times to end each program by each of SIGINT, SIGTERM, SIGKILL, a closed pipe and a full disk, and
    /// times to end a long training
    #[arg(long, default_value_t = 100, value_parser = number::count)]
    ends: usize,
    /// Steps of the long training; 0 leaves it out
    #[arg(long, default_value_t = 3000, value_parser = number::from_zero)]
    steps: usize,
    /// Seed of the moments
    #[arg(long, default_value_t = 0, value_parser = number::seed)]
    seed: u64,
    /// The programs to end, of those that it lists, separated by commas [default: all]
    #[arg(long, value_name = "NAMES", value_delimiter = ',')]
    only: Vec<String>,
    /// Folder to work in, which is kept [default: a temporary one, which is not; with TMPDIR=/dev/shm it is in
    /// memory, and several times as fast as on a disk]
    #[arg(long, value_name = "DIR")]
    folder: Option<PathBuf>,
    /// Programs of a kind to disturb at once
    #[arg(long, value_name = "COUNT", default_value_t = 2, value_parser = number::count)]
    at_once: usize,
    /// Folder that has the programs, pixel-iqn and examples/quantile_regression, so that a build beside
    /// it does not change them [default: they are built, in the way this program was]
    #[arg(long, value_name = "DIR")]
    programs: Option<PathBuf>,
}

/// The name of the long training.
const TRAINING: &str = "long-training";

impl Args {
    fn chooses(&self, name: &str) -> bool {
        self.only.is_empty() || self.only.iter().any(|only| only == name)
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let programs = match &args.programs {
        Some(folder) => {
            fs::canonicalize(folder).with_context(|| format!("--programs {}", folder.display()))?
        }
        None => {
            build()?;
            // Beside this program, which is built in the same way.
            let this = std::env::current_exe()?;
            this.parent()
                .context("a program is in a folder")?
                .to_owned()
        }
    };
    let temporary = std::env::temp_dir().join(format!("pixel-iqn-torture-{}", std::process::id()));
    let folder = args.folder.as_ref().unwrap_or(&temporary);
    fs::create_dir_all(folder)?;
    let program = programs.join("pixel-iqn");
    let result = all(args, program, &std::path::absolute(folder)?);
    if args.folder.is_none() {
        fs::remove_dir_all(folder).ok();
    }
    result
}

fn all(args: &Args, program: PathBuf, folder: &Path) -> anyhow::Result<()> {
    programs::disturb(args, &program, &folder.join("programs"))?;
    match args.steps > 0 && args.chooses(TRAINING) {
        true => training::disturb(args, program, folder),
        false => Ok(()),
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

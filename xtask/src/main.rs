//! Tasks of this repository: `cargo xtask ci | bench | parity | parity-eval | torture`.

mod bench;
mod parity;
mod parity_eval;
mod torture;

use std::process::{Command, ExitCode};

use anyhow::{Context, ensure};
use clap::{Parser, Subcommand};

/// Tasks of the pixel-iqn repository
#[derive(Parser, Debug)]
#[command(bin_name = "cargo xtask")]
struct Args {
    #[command(subcommand)]
    task: Task,
}

#[derive(Subcommand, Debug)]
enum Task {
    /// Run the gate: what `.ci/run` runs
    Ci,
    /// Measure speed and memory
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Hold the models against vectors of another implementation
    Parity(parity::Args),
    /// Hold features and scores of image sets against torch-fidelity and pytorch-fid
    ParityEval(parity_eval::Args),
    /// End a training by force, again and again, and resume it
    Torture(torture::Args),
}

fn main() -> ExitCode {
    pixel_iqn::keep_freed_memory();
    let result = match Args::parse().task {
        Task::Ci => ci(),
        Task::Bench(bench) => bench::run(&bench),
        Task::Parity(args) => parity::run(&args),
        Task::ParityEval(args) => parity_eval::run(&args),
        Task::Torture(args) => torture::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn ci() -> anyhow::Result<()> {
    let status = Command::new("bash")
        .arg(".ci/run")
        .status()
        .context("cannot run .ci/run: start `cargo xtask ci` at the root of the repository")?;
    ensure!(status.success(), ".ci/run failed: {status}");
    Ok(())
}

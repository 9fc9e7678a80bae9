//! Speed and memory, as ratios inside one run.

mod eval;
mod quality;
mod sample;
mod train;
mod uploads;

use std::fs;
use std::path::PathBuf;

use anyhow::Context;
use clap::Subcommand;

use crate::lowering::LoweringName;

#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Time the extraction of Inception features against torch-fidelity
    Eval(eval::Args),
    /// Time a training until a held-out skill is reached, and PyTorch's beside it with --python
    Quality(quality::Args),
    /// Time sampling against the arithmetic of one forward pass and the naive sampler
    Sample(sample::Args),
    /// Time training steps against the device's matrix product and, with --python, PyTorch
    Train(train::Args),
    /// Count what a training step and sampling send to a device
    Uploads(uploads::Args),
}

pub fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Eval(args) => eval::run(args),
        Bench::Quality(args) => quality::run(args),
        Bench::Sample(args) => sample::run(args),
        Bench::Train(args) => train::run(args),
        Bench::Uploads(args) => uploads::run(args),
    }
}

/// Where the reference model is, and what runs it.
#[derive(clap::Args, Debug)]
struct Torch {
    /// A Python with PyTorch, to measure the reference model, too
    #[arg(long, value_name = "PATH")]
    python: Option<PathBuf>,
    /// Folder of pixel_iqn.py, the reference model
    #[arg(
        long,
        value_name = "DIR",
        default_value = concat!(
            env!("CARGO_MANIFEST_DIR"),
            "/../crates/pixel-iqn-core/tests/fixtures/reference"
        )
    )]
    reference: PathBuf,
}

/// The lowerings to measure: those of `--lowering`, else the one that models use on the CPU, where
/// it is a kernel of our own, and all that there are elsewhere.
fn lowerings(given: &[LoweringName], device: &str) -> Vec<LoweringName> {
    match (given, device) {
        ([], "cpu") => vec![LoweringName::Fastest],
        // It has no kernels of our own.
        ([], "ndarray") => vec![LoweringName::Product, LoweringName::Convolution],
        ([], _) => vec![
            LoweringName::Fastest,
            LoweringName::Product,
            LoweringName::Convolution,
        ],
        (given, _) => given.to_vec(),
    }
}

/// The largest memory that this process held so far, where the system tells (Linux).
fn peak_bytes() -> Option<u64> {
    let status = fs::read_to_string("/proc/self/status").ok()?;
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix("VmHWM:"))?;
    let kibibytes: u64 = line.trim().strip_suffix("kB")?.trim().parse().ok()?;
    Some(kibibytes * 1024)
}

/// Runs this program again with other arguments, so that its peak memory is that of one case
/// alone, and returns what it prints.
fn output_of_this_program(args: &[String]) -> anyhow::Result<String> {
    let program = std::env::current_exe().context("cannot find this program")?;
    let output = std::process::Command::new(program)
        .args(args)
        .stderr(std::process::Stdio::inherit())
        .output()
        .context("cannot start this program again")?;
    anyhow::ensure!(
        output.status.success(),
        "the case {args:?} failed: {}",
        output.status
    );
    Ok(String::from_utf8(output.stdout)?)
}

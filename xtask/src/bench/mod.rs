//! Speed and memory, as ratios inside one run.

mod eval;
mod sample;
mod train;

use std::fs;
use std::time::Instant;

use anyhow::Context;
use burn::tensor::{Device, Distribution, Tensor};
use clap::Subcommand;

#[derive(Subcommand, Debug)]
pub enum Bench {
    /// Time the extraction of Inception features against torch-fidelity
    Eval(eval::Args),
    /// Time sampling against the arithmetic of one forward pass and the naive sampler
    Sample(sample::Args),
    /// Time training steps against the device's matrix product and, with --python, PyTorch
    Train(train::Args),
}

pub fn run(bench: &Bench) -> anyhow::Result<()> {
    match bench {
        Bench::Eval(args) => eval::run(args),
        Bench::Sample(args) => sample::run(args),
        Bench::Train(args) => train::run(args),
    }
}

/// Operations per second of a large matrix product in 32-bit floats on the device: the best of
/// several.
fn product_rate(device: &Device) -> f64 {
    const SIZE: usize = 2048;
    const REPEATS: usize = 6;
    let matrix = || Tensor::<2>::random([SIZE, SIZE], Distribution::Uniform(-1.0, 1.0), device);
    let (a, b) = (matrix(), matrix());
    let seconds = (0..REPEATS).map(|_| {
        let start = Instant::now();
        // Reading one number waits for the product.
        let product = a.clone().matmul(b.clone()).slice([0..1, 0..1]);
        let _ = product.into_scalar::<f32>();
        start.elapsed().as_secs_f64()
    });
    2.0 * (SIZE as f64).powi(3) / seconds.fold(f64::INFINITY, f64::min)
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

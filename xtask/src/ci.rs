use std::process::Command;

use anyhow::{Context, ensure};

/// Test vectors of the reference implementation.
const VECTORS: &str = "crates/pixel-iqn-core/tests/fixtures/reference/vectors";

/// The devices of `--wgpu` that need no GPU.
const DEVICES: [&str; 2] = ["ndarray", "wgpu:software"];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Instead of the gate: hold the models on NdArray, and on WGPU with a software adapter, against
    /// the reference. Needs Mesa's lavapipe (Debian: mesa-vulkan-drivers, libvulkan1), and about 20
    /// minutes on 2 cores to build
    #[arg(long)]
    wgpu: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if !args.wgpu {
        return step(Command::new("bash").arg(".ci/run"));
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    for device in DEVICES {
        for lowering in ["product", "convolution"] {
            // A folder of its own: other features would make the next plain build start anew.
            step(
                Command::new(&cargo)
                    .args([
                        "run",
                        "--release",
                        "--locked",
                        "--target-dir",
                        "target/backends",
                    ])
                    .args([
                        "--package",
                        "xtask",
                        "--features",
                        "ndarray,wgpu-untuned",
                        "--",
                    ])
                    .args([
                        "parity",
                        VECTORS,
                        "--device",
                        device,
                        "--lowering",
                        lowering,
                    ]),
            )?;
        }
    }
    Ok(())
}

/// Runs a command of the repository's root and prints it first.
fn step(command: &mut Command) -> anyhow::Result<()> {
    println!("+ {command:?}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}: start at the root of the repository"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

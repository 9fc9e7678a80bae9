use std::process::Command;

use anyhow::{Context, ensure};
use pixel_iqn::data::say;

/// Test vectors of the reference implementation.
const VECTORS: &str = "crates/pixel-iqn-core/tests/fixtures/reference/vectors";

/// The devices that need no GPU, with the lowerings that each has.
const DEVICES: [(&str, &[&str]); 3] = [
    ("cpu", &["fastest", "product", "convolution"]),
    ("ndarray", &["product", "convolution"]),
    ("wgpu:software", &["product", "convolution"]),
];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Verify the models on Flex, NdArray, and WGPU with a software adapter against the reference, and
    /// run the tests of the WGPU crate, instead of the gate. Needs Mesa's lavapipe (Debian:
    /// mesa-vulkan-drivers, libvulkan1), and about 20 minutes on 2 cores to build
    #[arg(long)]
    wgpu: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if !args.wgpu {
        return step(Command::new("bash").arg(".ci/run"));
    }
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    // A folder of its own: other features would make the next plain build start anew.
    let common = ["--release", "--locked", "--target-dir", "target/backends"];
    for (device, lowerings) in DEVICES {
        for lowering in lowerings {
            step(
                Command::new(&cargo)
                    .arg("run")
                    .args(common)
                    .args(["--package", "xtask", "--features", "ndarray,wgpu"])
                    .args(["--", "parity", VECTORS, "--device", device])
                    .args(["--lowering", lowering]),
            )?;
        }
    }
    // Both packages in one build, so that the features of Burn are those of before.
    step(
        Command::new(&cargo)
            .arg("test")
            .args(common)
            .args(["--package", "xtask", "--package", "pixel-iqn-wgpu"])
            .args(["--no-default-features", "--lib"])
            .args(["--features", "xtask/ndarray,xtask/wgpu"]),
    )?;
    Ok(())
}

/// Runs a command of the repository's root and prints it first.
fn step(command: &mut Command) -> anyhow::Result<()> {
    say!("+ {command:?}");
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}: start at the root of the repository"))?;
    ensure!(status.success(), "{command:?} failed: {status}");
    Ok(())
}

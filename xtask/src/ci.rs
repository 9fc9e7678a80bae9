use std::process::Command;

use anyhow::{Context, ensure};
use pixel_iqn::data::say;

/// Test vectors of the reference implementation.
const VECTORS: &str = "crates/pixel-iqn-core/tests/fixtures/reference/vectors";

/// The devices that need no GPU, with the lowerings that each has.
const DEVICES: [(&str, &[&str]); 3] = [
    ("cpu", &["fastest", "product", "convolution"]),
    ("ndarray", &["product", "convolution"]),
    ("wgpu:software", &["fastest", "product", "convolution"]),
];

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Verify the models on Flex, NdArray, and WGPU with a software adapter against the reference, and
    /// run the tests of the WGPU crate and of the kernels for GPUs, instead of the gate. Needs Mesa's lavapipe (Debian:
    /// mesa-vulkan-drivers, libvulkan1), and about 20 minutes on 2 cores to build
    #[arg(long)]
    wgpu: bool,
    /// Run the tests of devices of other machines, which are processes of this one, and of uploads,
    /// instead of the gate
    #[arg(long, conflicts_with = "wgpu")]
    remote: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    if args.remote {
        return step(
            Command::new(&cargo)
                // A folder of its own: other features would make the next plain build start anew.
                .args(["test", "--locked", "--target-dir", "target/remote"])
                .args([
                    "--package",
                    "pixel-iqn-remote",
                    "--package",
                    "pixel-iqn-cli",
                ])
                .args(["--package", "xtask"])
                .args(["--features", "pixel-iqn-cli/remote,xtask/remote"]),
        );
    }
    if !args.wgpu {
        return step(Command::new("bash").arg(".ci/run"));
    }
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
    // All packages in one build, so that the features of Burn are those of before.
    step(
        Command::new(&cargo)
            .arg("test")
            .args(common)
            .args(["--package", "xtask", "--package", "pixel-iqn-wgpu"])
            .args([
                "--package",
                "pixel-iqn-cube",
                "--package",
                "pixel-iqn-train",
            ])
            .args(["--no-default-features", "--features"])
            .arg("xtask/ndarray,xtask/wgpu,pixel-iqn-cube/wgpu,pixel-iqn-train/wgpu")
            .args(["--lib", "--test", "kernels", "--test", "gpu"]),
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

use std::process::Command;

use anyhow::{Context, ensure};

/// Build, show and test the web page: `cargo xtask web --help` lists the flags
///
/// The program behind it is a package of its own, `xtask-web`, which needs no build of Burn: `cargo run
/// --release --package xtask-web -- FLAGS` is the same.
#[derive(clap::Args, Debug)]
#[command(disable_help_flag = true)]
pub struct Args {
    /// Flags of that program
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    flags: Vec<String>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".into());
    let mut command = Command::new(cargo);
    command.args(["run", "--quiet", "--release", "--locked"]);
    command.args(["--package", "xtask-web", "--"]);
    command.args(&args.flags);
    let status = command
        .status()
        .with_context(|| format!("cannot run {command:?}"))?;
    // It said itself what failed.
    ensure!(
        status.success(),
        "the page was not built, or its tests failed"
    );
    Ok(())
}

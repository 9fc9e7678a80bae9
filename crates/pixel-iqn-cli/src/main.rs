//! The program `pixel-iqn`, which trains PixelIQN and Gated PixelCNN on images, draws from them,
//! completes images, and evaluates and compares models.
//!
//! Each subcommand is a file or a folder of this crate, and maps its flags to requests of the crate
//! [`pixel_iqn`], which does the work.

mod cli;
mod compare;
mod estimates;
mod evaluate;
mod flags;
mod inception;
mod inpaint;
mod manual;
mod outcome;
mod output_kind;
mod sample;
mod serve_device;
mod train;

use std::process::ExitCode;

use clap::CommandFactory;
use pixel_iqn::data::tell;
use pixel_iqn::terminal::{Terminal, arguments};
use pixel_iqn::train::{signal_exit_code, survive_file_size_limits};

use cli::{Cli, Command};
use outcome::Outcome;

/// The exit code of a program that was asked to finish by a key of the dashboard: that of Ctrl-C.
const INTERRUPTED: u8 = 130;

fn main() -> ExitCode {
    match run(arguments()) {
        Ok(Outcome::Complete) => ExitCode::SUCCESS,
        Ok(Outcome::Interrupted(message)) => {
            tell!("{message}");
            ExitCode::from(signal_exit_code().unwrap_or(INTERRUPTED))
        }
        Err(error) => {
            tell!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(cli: Cli) -> anyhow::Result<Outcome> {
    survive_file_size_limits()?;
    match cli.command {
        Command::Train(command) => command.run(&Terminal::new()?),
        Command::Sample(command) => command.run(&Terminal::new()?),
        Command::Inpaint(command) => command.run(&Terminal::new()?),
        Command::Evaluate(command) => command.run(&Terminal::new()?),
        Command::Compare(command) => command.run(&Terminal::new()?),
        Command::ServeDevice(command) => command.run(),
        Command::Completions(command) => command.run(Cli::command()),
        Command::Man(command) => command.run(Cli::command()),
    }
}

//! Tasks of this repository: `cargo xtask ci | bench | model | parity | parity-eval | torture | web`.

mod bench;
mod ci;
mod lowering;
mod model;
mod parity;
mod parity_eval;
mod python;
mod torture;
mod web;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pixel_iqn::data::tell;

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
    Ci(ci::Args),
    /// Measure speed and memory
    #[command(subcommand)]
    Bench(bench::Bench),
    /// Make the folder of a shipped model from a run
    Model(model::Args),
    /// Verify the models against vectors of another implementation
    Parity(parity::Args),
    /// Verify features and scores of image sets against torch-fidelity and pytorch-fid
    ParityEval(parity_eval::Args),
    /// End the programs again and again, and run them again
    Torture(torture::Args),
    Web(web::Args),
}

fn main() -> ExitCode {
    pixel_iqn::keep_freed_memory();
    let result = match Args::parse().task {
        Task::Ci(args) => ci::run(&args),
        Task::Bench(bench) => bench::run(&bench),
        Task::Model(args) => model::run(&args),
        Task::Parity(args) => parity::run(&args),
        Task::ParityEval(args) => parity_eval::run(&args),
        Task::Torture(args) => torture::run(&args),
        Task::Web(args) => web::run(&args),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tell!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

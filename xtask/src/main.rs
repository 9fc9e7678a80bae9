//! Tasks of this repository: `cargo xtask bench | ci | fuzz | links | model | notice | parity | parity-eval | release | torture | web`.

mod bench;
mod ci;
mod fuzz;
mod links;
mod lowering;
mod model;
mod notice;
mod parity;
mod parity_eval;
mod python;
mod release;
mod torture;
mod web;
mod workspace;

use std::process::ExitCode;

use clap::{Parser, Subcommand};
use pixel_iqn::data::tell;
use pixel_iqn::terminal::arguments;

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
    /// Feed every parser with damaged files
    Fuzz(fuzz::Args),
    /// Check the links of all pages, without a network
    Links,
    /// Make the folder of a shipped model from a run
    Model(model::Args),
    /// Write the licences of all dependencies to NOTICE
    Notice(notice::Args),
    /// Verify the models against vectors of another implementation
    Parity(parity::Args),
    /// Verify features and scores of image sets against torch-fidelity and pytorch-fid
    ParityEval(parity_eval::Args),
    /// Rehearse the publication of all crates
    Release(release::Args),
    /// End the programs again and again, and run them again
    Torture(torture::Args),
    Web(web::Args),
}

fn main() -> ExitCode {
    pixel_iqn::keep_freed_memory();
    let result = match arguments::<Args>().task {
        Task::Ci(args) => ci::run(&args),
        Task::Bench(bench) => bench::run(&bench),
        Task::Fuzz(args) => fuzz::run(&args),
        Task::Links => links::run(),
        Task::Model(args) => model::run(&args),
        Task::Notice(args) => notice::run(&args),
        Task::Parity(args) => parity::run(&args),
        Task::ParityEval(args) => parity_eval::run(&args),
        Task::Release(args) => release::run(&args),
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

//! Trains a PixelIQN on CIFAR-10, or on another data set, and draws from it.
//!
//! ```text
//! cargo run --release --example train_cifar
//! cargo run --release --example train_cifar -- --dataset mnist --data DIR --steps 2000
//! cargo run --release --example train_cifar -- --resume runs/mnist-1
//! ```
//!
//! The program `pixel-iqn train` (crates/pixel-iqn-cli) has the other flags.

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::bail;
use clap::Parser;
use pixel_iqn::data::{OpenOptions, say, tell};
use pixel_iqn::terminal::{Terminal, arguments, number};
use pixel_iqn::train::End;
use pixel_iqn::{DEFAULT_DEVICE, DatasetKind, Run, Training, TrainingImages, train_on};

/// Train a PixelIQN on images and draw from it
///
/// Without flags it takes CIFAR-10 if it can be had, else the built-in pictures at 16 x 16 pixels, for a few
/// minutes.
/// Ctrl-C finishes the step and writes a checkpoint; --resume goes on from there.
#[derive(Parser)]
struct Args {
    /// Folder of the data set, or the folder that contains it
    #[arg(long, default_value = "data")]
    data: PathBuf,
    /// Data set: cifar10, mnist, imagenet32, folder or builtin; then missing data is an error
    #[arg(long)]
    dataset: Option<DatasetKind>,
    /// Architecture: tiny, quick, small, paper_small or paper_large [default: what suits the device]
    #[arg(long)]
    preset: Option<String>,
    /// Training steps [default: what suits the device]
    #[arg(long, value_parser = number::count)]
    steps: Option<usize>,
    /// Device: cpu, ndarray, wgpu, vulkan or cuda; several, separated by commas, share each batch
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: String,
    /// Go on with the run in this folder
    #[arg(long, value_name = "RUN", conflicts_with_all = ["dataset", "preset", "steps"])]
    resume: Option<PathBuf>,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    Terminal::run(|terminal| train(&args, terminal))
}

fn train(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let run = training(args)?
        .device(&args.device)
        .watch(terminal.watcher())
        .start()?;
    let folder = run.path().display();
    match run.end() {
        Some(End::Interrupted) => bail!("go on with --resume {folder}"),
        _ => {
            let steps = 10 * run.config().train.steps;
            say!("wrote  {folder}/samples.png, inpainting.png and scores.json");
            say!(
                "draw more with `cargo run --release --example sample -- --run {folder}`, or from a shipped \
                 model with `--model shapes`; train for longer with --steps {steps}"
            );
        }
    }
    Ok(())
}

/// A new training, or one that goes on.
fn training(args: &Args) -> anyhow::Result<Training> {
    if let Some(folder) = &args.resume {
        let run = Run::open(folder)?;
        let images = run.images(None).or_else(|_| run.images(Some(&args.data)))?;
        return Ok(run.resume(images));
    }
    let options = OpenOptions::default();
    let images = match args.dataset {
        Some(kind) => TrainingImages::open(kind, Some(&args.data), &options)?,
        None => TrainingImages::open_default(&args.data, &options, |line| tell!("{line}"))?,
    };
    let mut training = train_on(images);
    if let Some(preset) = &args.preset {
        training = training.preset(preset);
    }
    if let Some(steps) = args.steps {
        training = training.steps(steps);
    }
    Ok(training)
}

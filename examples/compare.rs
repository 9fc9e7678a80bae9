//! Trains a PixelIQN and a Gated PixelCNN on the same images, in the same order, and compares their
//! predictions of held-out images.
//!
//! ```text
//! cargo run --release --example compare -- --steps 400
//! ```
//!
//! The program `pixel-iqn compare` (crates/pixel-iqn-cli) repeats it over seeds, compares the samples
//! too, and writes a report.

use std::process::ExitCode;

use clap::Parser;
use pixel_iqn::data::{builtin, say};
use pixel_iqn::terminal::{Terminal, arguments, number};
use pixel_iqn::{Error, TrainingImages, train_on};

/// Train two models on the built-in pictures and compare them
#[derive(Parser)]
struct Args {
    /// Architecture: tiny, quick, small, paper_small or paper_large
    #[arg(long, default_value = "quick")]
    preset: String,
    /// Training steps of each model
    #[arg(long, default_value_t = 400, value_parser = number::count)]
    steps: usize,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    Terminal::run(|terminal| compare(&args, terminal))
}

fn compare(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let train = builtin::generate(0, 0..10_000, 16, 3)?;
    let held_out = builtin::generate(0, 10_000..10_256, 16, 3)?;
    let images = TrainingImages::new(train, held_out);

    let mut scores = Vec::new();
    for output in ["gates", "categorical"] {
        let watcher = terminal.watcher().with_plain(true).with_task(output);
        let run = train_on(images.clone())
            .preset(&args.preset)
            .output(output)
            .steps(args.steps)
            .watch(watcher)
            .start()?;
        let Some(found) = run.scores() else {
            return Err(Error::Cancelled(pixel_iqn::core::Cancelled).into());
        };
        say!(
            "{output:<12} CRPS {:.5}, skill {}",
            found.mean.crps,
            found.skill_text(3)
        );
        scores.push(found.clone());
    }
    let difference = scores[0].difference(&scores[1], |image| image.crps, 0);
    say!(
        "CRPS of the PixelIQN less that of the Gated PixelCNN: {:+.5} [{:+.5}, {:+.5}]",
        difference.mean,
        difference.low,
        difference.high
    );
    Ok(())
}

//! Evaluates the distributions that a trained model predicts for the values of held-out images.
//!
//! ```text
//! cargo run --release --example evaluate -- --run runs/cifar10-1 --data data
//! cargo run --release --example evaluate -- --model shapes
//! ```
//!
//! The program `pixel-iqn evaluate` (crates/pixel-iqn-cli) compares runs, and has FID and the other
//! scores over sets of images.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pixel_iqn::data::{say, tell};
use pixel_iqn::score::{ConditionalOptions, MarginalForecaster, conditional_scores};
use pixel_iqn::terminal::{Terminal, arguments, number};
use pixel_iqn::{DEFAULT_DEVICE, Run};

/// Evaluate the predicted distributions of a trained model
#[derive(Parser)]
struct Args {
    /// Folder of a run
    #[arg(long, required_unless_present = "model")]
    run: Option<PathBuf>,
    /// Name of a trained model that comes with the library, such as shapes
    #[arg(long, conflicts_with = "run")]
    model: Option<String>,
    /// Folder of the data set of the run, where it is not where the run found it
    #[arg(long)]
    data: Option<PathBuf>,
    /// Held-out images to evaluate on, the first ones
    #[arg(long, default_value_t = 256, value_parser = number::count)]
    images: usize,
    /// Quantile levels that a PixelIQN is asked for
    #[arg(long, default_value_t = 40, value_parser = number::two_or_more)]
    taus: usize,
    /// Device: cpu, ndarray, wgpu, vulkan or cuda
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: String,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    Terminal::run(|terminal| evaluate(&args, terminal))
}

fn evaluate(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let run = match (&args.run, &args.model) {
        (Some(run), _) => Run::open(run)?,
        (None, name) => Run::pretrained(name.as_deref().unwrap_or_default())?,
    };
    let model = run.model(&args.device)?;
    let images = run.images(args.data.as_deref())?;
    let held_out = images.held_out.len();
    if args.images > held_out {
        tell!("NOTE: there are {held_out} held-out images, fewer than --images");
    }
    let options =
        ConditionalOptions::new(args.images.min(held_out)).with_quantile_levels(args.taus);
    // What a forecast is worth that knows how often each level occurs, and nothing else.
    let marginal = MarginalForecaster::of(&images.train);
    let bar = terminal.bar("evaluating");
    let (network, device) = (model.network(), model.device());
    let scores = conditional_scores(network, &images.held_out, &marginal, &options, device, &bar)?;
    drop(bar);

    say!("{} images, {} quantile levels", scores.images, args.taus);
    let crps = scores.estimate(|image| image.crps, 0);
    say!(
        "CRPS               {:.5} [{:.5}, {:.5}]",
        crps.mean,
        crps.low,
        crps.high
    );
    say!("skill              {}", scores.skill_text(5));
    say!("bits per dimension {:.5}", scores.mean.bits_per_dim);
    say!("coverage of 90%    {:.5}", scores.mean.coverage_90);
    say!("crossing rate      {:.5}", scores.mean.crossing_rate);
    Ok(())
}

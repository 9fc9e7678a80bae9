//! Draws samples of a trained model.
//!
//! ```text
//! cargo run --release --example sample -- --run runs/cifar10-1 --count 64 --out samples.png
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use pixel_iqn::data::save_sheet;
use pixel_iqn::train::sample_levels;
use pixel_iqn::{Labels, RunDir, SampleOptions, TauSource};

/// Draw samples of a trained model
///
/// Example: sample --run runs/cifar10-1 --count 64 --out samples.png
#[derive(Parser, Debug)]
struct Args {
    #[command(flatten)]
    device: common::DeviceArgs,
    /// Run folder of the training
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Images to draw
    #[arg(long, default_value_t = 16)]
    count: usize,
    /// Seed: image `i` of a seed is always the same
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Class of the images, one per image separated by commas, or `spread` over all classes
    #[arg(long, value_parser = parse_labels)]
    labels: Option<Labels>,
    /// The same tau for every value, in (0, 1): 0.5 for the image of medians
    #[arg(long, conflicts_with = "tau_range")]
    tau: Option<f32>,
    /// Uniform tau in a narrower interval, as 0.1,0.9
    #[arg(long, value_name = "LOW,HIGH", value_delimiter = ',', num_args = 2)]
    tau_range: Option<Vec<f32>>,
    /// Images sampled together
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Sheet to write
    #[arg(long, value_name = "FILE.png", default_value = "samples.png")]
    out: PathBuf,
}

fn parse_labels(text: &str) -> Result<Labels, String> {
    if text == "spread" {
        return Ok(Labels::Spread);
    }
    let labels: Result<Vec<usize>, _> = text.split(',').map(|label| label.trim().parse()).collect();
    match labels.as_deref() {
        Ok([label]) => Ok(Labels::One(*label)),
        Ok(labels) => Ok(Labels::PerImage(labels.to_vec())),
        Err(_) => Err("give a class, classes separated by commas, or `spread`".into()),
    }
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> anyhow::Result<()> {
    common::catch_ctrl_c()?;
    ensure!(args.count > 0, "--count must be at least 1");
    let device = pixel_iqn::device(&args.device.device)?;
    let (run, config) = RunDir::open(&args.run)?;
    let sampler = pixel_iqn::load_sampler(&run, &config, &device)?;
    let model = &config.model;
    let options = SampleOptions {
        tau: match (args.tau, args.tau_range.as_deref()) {
            (Some(tau), _) => TauSource::Constant(tau),
            (None, Some(&[low, high])) => TauSource::Interval(low, high),
            _ => TauSource::Uniform,
        },
        labels: match args.labels {
            Some(labels) => labels,
            None if model.classes > 0 => Labels::Spread,
            None => Labels::None,
        },
        batch: args.batch,
        ..SampleOptions::new(args.count, config.size, args.seed)
    };
    let [height, width] = config.size;
    let levels = common::with_row_progress("sampling", args.count, height, |on_row| {
        sample_levels(&*sampler, &options, on_row)
    })?;
    let columns = match options.labels {
        Labels::Spread => model.classes.min(args.count),
        _ => args.count.isqrt().max(1),
    };
    let shape = [args.count, model.channels, height, width];
    save_sheet(&args.out, &levels, shape, columns, 3)
        .with_context(|| format!("cannot write {}", args.out.display()))?;
    println!("wrote {}", args.out.display());
    Ok(())
}

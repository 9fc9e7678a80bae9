//! Draws samples of a trained model.
//!
//! ```text
//! cargo run --release --example sample -- --run runs/cifar10-1 --count 64 --out samples.png
//! ```

mod common;

use std::ops::Range;
use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use pixel_iqn::data::{DataError, ImageGrid, NpzWriter, PngFolder};
use pixel_iqn::train::{Weights, sample_levels};
use pixel_iqn::{Labels, RunConfig, RunDir, SampleOptions, Sampler, TauSource};

/// Draw samples of a trained model
///
/// Examples: sample --run runs/cifar10-1 --count 64 --out samples.png
/// and sample --run runs/cifar10-1 --count 50000 --out samples.npz
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
    /// Class of the images, one per image separated by commas, `spread` over all classes, or `none`
    /// after a training with label dropout [default for a model with classes: spread]
    #[arg(long, value_parser = parse_labels)]
    labels: Option<Labels>,
    /// The same tau for every value, in (0, 1): 0.5 for the image of medians
    #[arg(long, conflicts_with = "tau_range")]
    tau: Option<f32>,
    /// Uniform tau in a narrower interval, as 0.1,0.9
    #[arg(long, value_name = "LOW,HIGH", value_parser = parse_range)]
    tau_range: Option<(f32, f32)>,
    /// Images sampled together
    #[arg(long, default_value_t = 64)]
    batch: usize,
    /// Only part K of N of the images, K from 1: together the parts equal the whole
    #[arg(long, value_name = "K/N", value_parser = parse_shard, default_value = "1/1")]
    shard: (usize, usize),
    /// What to write: FILE.png, a sheet; FILE.npz, uint8 [N, H, W, C]; without an ending a folder of
    /// single PNGs. Folders and .npz files are written as the images come, and an interrupted job
    /// continues where it stopped
    #[arg(long, value_name = "PATH", default_value = "samples.png")]
    out: PathBuf,
}

fn parse_shard(text: &str) -> Result<(usize, usize), String> {
    let parts = text.split_once('/');
    let parts = parts.and_then(|(k, n)| Some((k.parse().ok()?, n.parse().ok()?)));
    match parts {
        Some((k, n)) if 1 <= k && k <= n => Ok((k, n)),
        _ => Err("give K/N with K from 1 to N, as 2/8".into()),
    }
}

fn parse_range(text: &str) -> Result<(f32, f32), String> {
    let ends = text.split_once(',');
    let ends =
        ends.and_then(|(low, high)| Some((low.trim().parse().ok()?, high.trim().parse().ok()?)));
    ends.ok_or_else(|| "give LOW,HIGH, as 0.1,0.9".into())
}

fn parse_labels(text: &str) -> Result<Labels, String> {
    if text == "spread" {
        return Ok(Labels::Spread);
    }
    if text == "none" {
        return Ok(Labels::Unlabelled);
    }
    let labels: Result<Vec<usize>, _> = text.split(',').map(|label| label.trim().parse()).collect();
    match labels.as_deref() {
        Ok([label]) => Ok(Labels::One(*label)),
        Ok(labels) => Ok(Labels::PerImage(labels.iter().copied().map(Some).collect())),
        Err(_) => Err("give a class, classes separated by commas, `spread` or `none`".into()),
    }
}

fn main() -> ExitCode {
    common::exit(run(Args::parse()))
}

fn run(args: Args) -> anyhow::Result<()> {
    common::start()?;
    ensure!(args.count > 0, "--count must be at least 1");
    let device = pixel_iqn::device(&args.device.device)?;
    let (run, config) = RunDir::open(&args.run)?;
    let sampler = pixel_iqn::load_sampler(&run, &config, &device)?;
    let (k, n) = args.shard;
    let end = |k: usize| (args.count as u128 * k as u128 / n as u128) as usize;
    let range = end(k - 1)..end(k);
    ensure!(
        !range.is_empty(),
        "part {k} of {n} has none of {} images",
        args.count
    );
    let options = options(&args, &config);
    // Before anything is sampled or written.
    options.validate(sampler.config())?;
    let extension = args.out.extension().unwrap_or_default();
    let extension = extension.to_string_lossy().to_lowercase();
    ensure!(
        ["png", "npz", ""].contains(&extension.as_str()),
        "--out {}: give FILE.png, FILE.npz, or the name of a folder without an ending",
        args.out.display()
    );
    if !extension.is_empty() {
        common::check_folder_of(&args.out)?;
    }
    // All that an image depends on, but its index.
    let job = format!(
        "seed {}, tau {:?}, labels {:?}, weights {}",
        args.seed,
        options.tau,
        options.labels,
        run.fingerprint(Weights::Averaged)?
    );
    let [height, width] = config.data.size;
    if args.labels == Some(Labels::Unlabelled) && config.train.label_dropout == 0.0 {
        eprintln!("WARNING: the model was trained without label dropout: it never saw an image");
        eprintln!("WARNING: without a class, and what it draws for none means little");
    }
    let shape = [range.len(), config.model.channels, height, width];
    let written = format!("cannot write {}", args.out.display());
    match extension.as_str() {
        "png" => {
            let levels = common::with_row_progress("sampling", range.len(), height, |on_row| {
                sample_levels(&*sampler, &options.part(range), on_row)
            })?;
            let columns = match options.labels {
                Labels::Spread => config.model.classes.min(shape[0]),
                _ => shape[0].isqrt().max(1),
            };
            let grid = ImageGrid::new(&levels, shape)?.with_columns(columns);
            grid.with_scale(3).save(&args.out).context(written)?;
        }
        "npz" => {
            // The order of the images is that of the file: which they are is part of the job.
            let job = format!("images {range:?}, {job}");
            let mut npz = NpzWriter::open(&args.out, shape, &job).context(written)?;
            let rest = range.start + npz.done()..range.end;
            stream(&*sampler, &options, rest, |_, levels| npz.append(levels))?;
            npz.finish()?;
        }
        _ => {
            let [_, image @ ..] = shape;
            let folder = PngFolder::open(&args.out, image, &job).context(written)?;
            let done = range.clone().take_while(|&i| folder.contains(i)).count();
            let rest = range.start + done..range.end;
            stream(&*sampler, &options, rest, |i, levels| {
                folder.save(i, levels)
            })?;
        }
    }
    println!("wrote {}", args.out.display());
    Ok(())
}

fn options(args: &Args, config: &RunConfig) -> SampleOptions {
    let tau = match (args.tau, args.tau_range) {
        (Some(tau), _) => TauSource::Constant(tau),
        (None, Some((low, high))) => TauSource::Interval(low, high),
        (None, None) => TauSource::Uniform,
    };
    let labels = match &args.labels {
        Some(labels) => labels.clone(),
        None if config.model.classes > 0 => Labels::Spread,
        None => Labels::None,
    };
    SampleOptions::new(args.count, config.data.size, args.seed)
        .with_tau(tau)
        .with_labels(labels)
        .with_batch(args.batch)
}

/// Samples the images of `range`, and gives each batch to `write` with the index of its first.
fn stream(
    sampler: &dyn Sampler,
    options: &SampleOptions,
    range: Range<usize>,
    mut write: impl FnMut(usize, &[u8]) -> Result<(), DataError>,
) -> anyhow::Result<()> {
    let [height, _] = options.size;
    common::with_row_progress("sampling", range.len(), height, |on_row| {
        for first in range.clone().step_by(options.batch.max(1)) {
            let batch = first..(first + options.batch.max(1)).min(range.end);
            let levels = sample_levels(sampler, &options.part(batch), on_row)
                .context("stopped; what is written stays, and the same command continues there")?;
            write(first, &levels)?;
        }
        Ok(())
    })
}

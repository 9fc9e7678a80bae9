//! Whether quantile regression finds a mode of 1 in 200: images of two pixels, of which the second is near
//! the first or, rarely, far above it. PixelIQN and a softmax of 256 levels see 500, 2,000 or 8,000 of
//! them, on one trunk, with ten seeds. Run it by `cargo run --release --example rare_mode`.

use std::sync::Arc;

use clap::Parser;
use pixel_iqn::core::{AnyModel, NoProgress, Noise};
use pixel_iqn::data::{ImageDataset, Loader, LoaderConfig, say};
use pixel_iqn::loss::Knots;
use pixel_iqn::terminal::{arguments, number};
use pixel_iqn::train::sample_levels;
use pixel_iqn::{GatedPixelCnn, ModelConfig, Output, PixelIqn, SampleOptions};
use pixel_iqn::{TrainConfig, TrainModel, Trainer};

/// Fit images of two pixels whose rare mode is 1 in 200, by quantile regression and by a softmax, and
/// count the rare ones among samples
///
/// The whole experiment is ninety trainings, which take tens of minutes.
#[derive(Parser)]
struct Args {
    /// Training images, for one group of rows each; 64 at least
    #[arg(long, value_delimiter = ',', default_value = "500,2000,8000", value_parser = number::whole(64, 1_000_000_usize))]
    images: Vec<usize>,
    /// Training steps of each of the ten seeds
    #[arg(long, default_value_t = 2000, value_parser = number::count)]
    steps: usize,
}

const RARE: f32 = 0.005;
const DRAWS: usize = 20_000;

/// Pairs of levels: the first uniform from 30 to 90, the second normal around it, or rarely 130 above.
fn pairs(seed: u64, count: usize) -> Vec<u8> {
    let pair = |u: &[f32]| {
        let radius = 6.0 * (-2.0 * (1.0 - u[0]).ln()).sqrt();
        let first = 30.0 + 60.0 * u[1];
        let shift = if u[2] < RARE { 130.0 } else { 0.0 };
        let second = first + shift + radius * (core::f32::consts::TAU * u[3]).cos();
        [first, second].map(|level| level.round() as u8)
    };
    let draws = Noise::new(seed).uniform(0, 4 * count);
    draws.chunks(4).flat_map(pair).collect()
}

/// The fraction of images in the rare mode: within four deviations of where it is.
fn rare(levels: &[u8]) -> f64 {
    let is_rare = |pair: &&[u8]| (106..=154).contains(&(i32::from(pair[1]) - i32::from(pair[0])));
    levels.chunks(2).filter(is_rare).count() as f64 / (levels.len() / 2) as f64
}

/// Trains for so many steps on so many images, and returns the fraction of rare ones among samples.
fn fit<M: TrainModel + Into<AnyModel>>(
    output: Output,
    seed: u64,
    [steps, count]: [usize; 2],
) -> anyhow::Result<f64> {
    let device = pixel_iqn::device("cpu")?;
    let images = Arc::new(ImageDataset::new(pairs(seed, count), [1, 1, 2])?);
    let model = ModelConfig::tiny()
        .with_channels(1)
        .with_features(24)
        .with_output(output);
    let config = TrainConfig::new(steps, 64)
        .with_ema_decay(0.99)
        .with_learning_rate(3e-3);
    let batch = config.batch;
    let mut trainer = Trainer::<M>::new(&model, config.with_seed(seed), &device)?;
    for batch in Loader::new(
        images,
        LoaderConfig::new(batch).with_seed(seed),
        device.clone(),
        0,
    )?
    .take(steps)
    {
        trainer.step(&batch)?;
    }
    let sampler = pixel_iqn::sampler(trainer.averaged().clone(), &device);
    let options = SampleOptions::new(DRAWS, [1, 2], seed).with_batch(1000);
    Ok(rare(&sample_levels(&*sampler, &options, &NoProgress)?))
}

fn main() -> anyhow::Result<()> {
    let args: Args = arguments();
    say!("| Model | Images | Rare among samples: mean, 95% interval | Seeds that found it |");
    for count in args.images {
        let sizes = [args.steps, count];
        for kind in ["gates", "monotone", "categorical", "the images"] {
            let of_seed = |seed| match kind {
                "gates" => fit::<PixelIqn>(Output::gates(16, 8), seed, sizes),
                "monotone" => fit::<PixelIqn>(Output::monotone(&Knots::default()), seed, sizes),
                "categorical" => fit::<GatedPixelCnn>(Output::categorical(256), seed, sizes),
                _ => Ok(rare(&pairs(seed, count))),
            };
            let fractions = (0..10).map(of_seed).collect::<anyhow::Result<Vec<_>>>()?;
            let mean = fractions.iter().sum::<f64>() / 10.0;
            let variance = fractions.iter().map(|x| (x - mean).powi(2)).sum::<f64>() / 9.0;
            let half = 2.262 * (variance / 10.0).sqrt(); // Student's t, nine degrees of freedom
            let found = |x: &&f64| (0.5..2.0).contains(&(**x / f64::from(RARE)));
            let found = fractions.iter().filter(found).count();
            let [low, mean, high] = [mean - half, mean, mean + half].map(|x| 100.0 * x);
            say!("| {kind} | {count} | {mean:.2}% ({low:.2} to {high:.2}) | {found} of 10 |");
        }
    }
    Ok(())
}

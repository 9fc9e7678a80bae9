//! Quantile regression in one dimension, the introduction of Ostrovski et al. 2018: delivery time
//! against distance, with noise that grows with the distance.
//!
//! ```text
//! cargo run --release --example quantile_regression -- --out quantiles.png
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use burn::module::Module;
use burn::nn::loss::Reduction;
use burn::nn::{Linear, LinearConfig};
use burn::optim::{AdamConfig, GradientsParams};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData};
use clap::Parser;
use pixel_iqn::core::{Noise, TauEmbedding, TauEmbeddingConfig};
use pixel_iqn::loss::PinballLoss;
use pixel_iqn::train::plot::{Chart, Mark, Series, color};

/// Fit the 0.1 and 0.9 quantiles of delivery times by a line each and by one implicit network
///
/// Example: quantile_regression --seed 1 --out quantiles.png
#[derive(Parser, Debug)]
struct Args {
    #[command(flatten)]
    device: common::DeviceArgs,
    /// Training steps
    #[arg(long, default_value_t = 3000)]
    steps: usize,
    /// Deliveries in the training set, and as many fresh ones to test on
    #[arg(long, default_value_t = 2000)]
    batch: usize,
    /// Seed of the data, the weights and tau
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Plot to write
    #[arg(
        long,
        value_name = "FILE.png",
        default_value = "quantile_regression.png"
    )]
    out: PathBuf,
}

/// The quantile at tau of the time for a distance, for every tau at once (Dabney et al. 2018).
#[derive(Module, Debug)]
struct ImplicitQuantileNetwork {
    distance: Linear,
    tau: TauEmbedding,
    hidden: Linear,
    output: Linear,
}

impl ImplicitQuantileNetwork {
    fn new(device: &Device) -> Self {
        const WIDTH: usize = 32;
        Self {
            distance: LinearConfig::new(1, WIDTH).init(device),
            tau: TauEmbeddingConfig::new().with_features(WIDTH).init(device),
            hidden: LinearConfig::new(WIDTH, WIDTH).init(device),
            output: LinearConfig::new(WIDTH, 1).init(device),
        }
    }

    /// `distance`, `tau` and the result are `[batch, 1]`.
    fn forward(&self, distance: Tensor<2>, tau: Tensor<2>) -> Tensor<2> {
        let features = relu(self.distance.forward(distance)) * self.tau.forward(tau);
        self.output.forward(relu(self.hidden.forward(features)))
    }
}

/// Both models, trained side by side.
#[derive(Module, Debug)]
struct Models {
    /// A line for each quantile: one output per element of [`TAU`].
    lines: Linear,
    network: ImplicitQuantileNetwork,
}

/// The quantiles of the lines; 80% of all times should lie between them.
const TAU: [f32; 2] = [0.1, 0.9];

/// Distances in [0, 1] and times, both `[count, 1]`: in units of the longest distance and of the
/// hour that it takes on average.
fn deliveries(seed: u64, count: usize, device: &Device) -> (Tensor<2>, Tensor<2>) {
    let draws = Noise::new(seed).uniform(0, 2 * count);
    let column = |values: Vec<f32>| Tensor::from_data(TensorData::new(values, [count, 1]), device);
    let distance = draws[..count].to_vec();
    let time = distance.iter().zip(&draws[count..]);
    // Lateness is more common than earliness: an exponential delay, growing with the distance.
    let time = time.map(|(x, u)| 0.1 + 0.6 * x - (0.05 + 0.35 * x) * (1.0 - u).ln());
    let time = time.collect();
    (column(distance), column(time))
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    common::start()?;
    let inner = pixel_iqn::device(&args.device.device)?;
    let device = inner.clone().autodiff();
    device.seed(args.seed);
    let mut models = Models {
        lines: LinearConfig::new(1, TAU.len()).init(&device),
        network: ImplicitQuantileNetwork::new(&device),
    };
    let (distance, time) = deliveries(args.seed, args.batch, &device);
    let line_tau = Tensor::<1>::from_data(TAU, &device).reshape([1, TAU.len()]);
    let noise = Noise::new(args.seed.wrapping_add(1));
    let mut optimizer = AdamConfig::new().with_epsilon(1e-8).init();
    let pinball = PinballLoss::new();
    let progress = common::Progress::new("training", args.steps);
    for step in 0..args.steps {
        let tau = TensorData::new(noise.uniform(step as u64, args.batch), [args.batch, 1]);
        let tau = Tensor::from_data(tau, &device);
        let lines = models.lines.forward(distance.clone());
        let network = models.network.forward(distance.clone(), tau.clone());
        let loss = pinball.forward(lines, time.clone(), line_tau.clone(), Reduction::Sum)
            + pinball.forward(network, time.clone(), tau, Reduction::Sum);
        let loss = loss / args.batch as f32;
        let gradients = GradientsParams::from_grads(loss.backward(), &models);
        models = optimizer.step(5e-3, models, gradients);
        progress.set(step + 1, "");
        if common::interrupted() {
            break;
        }
    }
    progress.finish();

    let models = models.valid();
    let quantiles = |distance: Tensor<2>| {
        let lines = models.lines.forward(distance.clone());
        let network = TAU.map(|tau| {
            let tau = Tensor::full(distance.dims(), tau, &inner);
            models.network.forward(distance.clone(), tau)
        });
        [lines, Tensor::cat(network.to_vec(), 1)]
    };
    let (distance, time) = deliveries(args.seed.wrapping_add(2), args.batch, &inner);
    for (name, quantiles) in ["lines", "network"]
        .into_iter()
        .zip(quantiles(distance.clone()))
    {
        let [low, high] = [0, 1].map(|i| quantiles.clone().narrow(1, i, 1));
        let inside = low.lower_equal(time.clone()).float() * time.clone().lower_equal(high).float();
        let share: f32 = inside.mean().try_into_scalar()?;
        println!(
            "{name}: {:.1}% of fresh deliveries lie between the two quantiles",
            100.0 * share
        );
    }

    const POINTS: usize = 100;
    let grid: Vec<f32> = (0..=POINTS).map(|i| i as f32 / POINTS as f32).collect();
    let axis = Tensor::<1>::from_data(grid.as_slice(), &inner).reshape([POINTS + 1, 1]);
    let column = |x: &Tensor<2>| -> anyhow::Result<Vec<f64>> {
        let values = x.to_data().convert::<f64>();
        values
            .try_to_vec::<f64>()
            .map_err(|error| anyhow::anyhow!("{error:?}"))
    };
    let xy = |x: &[f64], y: &[f64]| x.iter().copied().zip(y.iter().copied()).collect();
    let (x, y) = (column(&distance)?, column(&time)?);
    let deliveries = xy(&x[..x.len().min(500)], &y[..y.len().min(500)]);
    let mut series = vec![
        Series::new(Mark::Dots(2), deliveries)
            .with_label("deliveries")
            .with_color(color::GRAY),
    ];
    let grid = column(&axis)?;
    let [lines, network] = quantiles(axis);
    for (label, color, mark, quantiles) in [
        (
            "lines at 0.1 and 0.9",
            color::ORANGE,
            Mark::Dashes(3),
            lines,
        ),
        (
            "implicit quantile network",
            color::BLUE,
            Mark::Line(3),
            network,
        ),
    ] {
        for i in 0..TAU.len() {
            let points = xy(&grid, &column(&quantiles.clone().narrow(1, i, 1))?);
            let line = Series::new(mark, points).with_color(color);
            series.push(line.with_label(if i == 0 { label } else { "" }));
        }
    }
    let chart = Chart::new("Delivery time by distance", "distance", "time");
    chart.with_series(series).save(&args.out)?;
    println!("wrote {}", args.out.display());
    Ok(())
}

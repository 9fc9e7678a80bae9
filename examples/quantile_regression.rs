//! Quantile regression of one value, the introduction of Ostrovski et al. 2018, with the loss and the
//! scores of `pixel-iqn-loss`: delivery time against distance, with noise that grows with it.
//!
//! ```text
//! cargo run --release --example quantile_regression -- --out quantiles.png
//! ```

use std::path::PathBuf;

use clap::Parser;
use pixel_iqn::burn::module::Module;
use pixel_iqn::burn::nn::{Linear, LinearConfig, loss::Reduction};
use pixel_iqn::burn::optim::{AdamConfig, GradientsParams};
use pixel_iqn::burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn::core::Noise;
use pixel_iqn::data::{Claim, say};
use pixel_iqn::loss::{PinballLoss, coverage, crossing_rate};
use pixel_iqn::terminal::{arguments, number};
use pixel_iqn::train::plot::{Chart, Mark, Series, color};

/// Fit the 0.1, 0.5 and 0.9 quantiles of delivery times by a line each
#[derive(Parser)]
struct Args {
    /// Training steps
    #[arg(long, default_value_t = 3000, value_parser = number::count)]
    steps: usize,
    /// Deliveries to fit the quantiles to
    #[arg(long, default_value_t = 2000, value_parser = number::whole(1, 1_000_000_usize))]
    batch: usize,
    /// Plot to write
    #[arg(long, value_name = "FILE.png", default_value = "quantiles.png")]
    out: PathBuf,
}

const LEVELS: [f32; 3] = [0.1, 0.5, 0.9];

/// Distances in [0, 1] and times, both `[count, 1]`, in units of the longest distance and of hours.
fn deliveries(seed: u64, count: usize, device: &Device) -> [Tensor<2>; 2] {
    let draws = Noise::new(seed).uniform(0, 2 * count);
    let (distance, delay) = draws.split_at(count);
    // Lateness is more common than earliness: an exponential delay, growing with the distance.
    let time = distance.iter().zip(delay);
    let time = time.map(|(x, u)| 0.1 + 0.6 * x - (0.05 + 0.35 * x) * (1.0 - u).ln());
    [distance.to_vec(), time.collect()]
        .map(|column| Tensor::from_data(TensorData::new(column, [count, 1]), device))
}

fn main() -> anyhow::Result<()> {
    let args: Args = arguments();
    // A picture that cannot be written is an error before the work.
    let _claim = Claim::file(&args.out)?;
    let count = args.batch;
    let inner = pixel_iqn::device("cpu")?;
    let device = inner.clone().autodiff();
    device.seed(0);
    let mut model: Linear = LinearConfig::new(1, LEVELS.len()).init(&device);
    let mut optimizer = AdamConfig::new().init();
    let taus = Tensor::<1>::from_data(LEVELS, &device).unsqueeze::<2>();
    let [distance, time] = deliveries(0, count, &device);
    for _ in 0..args.steps {
        // Each time is compared with all its quantiles: axes of size 1 broadcast.
        let fitted = model.forward(distance.clone());
        let loss = PinballLoss::new().forward(fitted, time.clone(), taus.clone(), Reduction::Mean);
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        model = optimizer.step(5e-3, model, gradients);
    }

    let [distance, time] = deliveries(1, count, &inner);
    let quantiles = model.valid().forward(distance.clone());
    let [low, high] = [0, 2].map(|i| quantiles.clone().narrow(1, i, 1));
    let inside: f32 = (coverage(low, high, time.clone()) * 100.0).try_into_scalar()?;
    let crossing: f32 = (crossing_rate(quantiles.clone(), 1) * 100.0).try_into_scalar()?;
    let column = |x: Tensor<2>| -> Vec<f64> { x.into_data().iter().collect() };
    let x = column(distance);
    let points = |y| x.iter().copied().zip(column(y)).collect();
    let dots = |y, label: &'static str| Series::new(Mark::Dots(1), points(y)).with_label(label);
    let mut series = vec![dots(time, "deliveries").with_color(color::GRAY)];
    // The legend has them as the picture does, the highest first.
    let lines = [color::GREEN, color::BLUE, color::ORANGE].into_iter();
    let lines = lines.zip(["quantile 0.1", "quantile 0.5 (median)", "quantile 0.9"]);
    for (i, (color, label)) in lines.enumerate().rev() {
        let line = quantiles.clone().narrow(1, i, 1);
        series.push(dots(line, label).with_color(color));
    }
    let chart = Chart::new(
        "Delivery time by distance",
        "distance, part of the longest",
        "time, hours",
    )
    .with_series(series);
    chart.save(&args.out)?;
    say!("{inside:.1}% of fresh deliveries lie between the outer two");
    say!("{crossing:.1}% of neighbouring quantiles cross");
    say!("wrote {}", args.out.display());
    Ok(())
}

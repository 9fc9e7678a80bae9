//! Probabilistic forecasts of a real series by quantile functions: hourly demand for electricity a day
//! ahead, against a seasonal naive forecast and linear quantile regression at fixed levels. Run it by
//! `cargo run --release --package pixel-iqn-tables --bin forecast`.

use augurs_testing::data::VIC_ELEC;
use pixel_iqn::burn::nn::LinearConfig;
use pixel_iqn::burn::optim::{AdamConfig, GradientsParams};
use pixel_iqn::burn::prelude::{Int, Tensor};
use pixel_iqn::data::say;
use pixel_iqn::loss::{MonotoneHeadConfig, QuantileNetwork, coverage, crps, pinball};

/// The outer two bound 90% of a distribution.
const LEVELS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];
const WEEK: usize = 7 * 24;

fn report(name: &str, quantiles: Tensor<2>, y: &Tensor<2>) -> anyhow::Result<()> {
    let [low, high] = [0, 9].map(|i| quantiles.clone().narrow(1, i, 1));
    let inside: f32 = (coverage(low, high, y.clone()) * 100.0).try_into_scalar()?;
    let score = crps(quantiles, y.clone(), &LEVELS, 1).mean();
    let score: f32 = score.try_into_scalar()?;
    say!("{name}: CRPS {score:.4}, 90% intervals cover {inside:.1}%");
    Ok(())
}

fn main() -> anyhow::Result<()> {
    let device = pixel_iqn::device("cpu")?.autodiff();
    device.seed(0);
    let demand: Vec<f32> = VIC_ELEC.iter().map(|x| *x as f32 / 1000.0).collect();
    let demand = Tensor::<1>::from_floats(&demand[..], &device).unsqueeze_dim::<2>(1);
    let hours = demand.dims()[0] - 2 * WEEK;
    let past = |lag| demand.clone().narrow(0, 2 * WEEK - lag, hours);
    // What is predicted is by how much an hour differs from that of a week before. Known a day before are
    // the differences of the two days before, the demand then, and the time of the day and of the week.
    let off = |lag| past(lag) - past(lag + WEEK);
    let mut x = vec![off(24), off(48), past(24) - 9.5, past(WEEK) - 9.5];
    for period in [24.0, 12.0, 168.0] {
        let clock = Tensor::<1, Int>::arange(0..hours as i64, &device).float();
        let angle = clock.unsqueeze_dim(1) * (std::f64::consts::TAU / period);
        x.extend([angle.clone().sin(), angle.cos()]);
    }
    let (data, split) = ([Tensor::cat(x, 1), off(0)], hours - 4 * WEEK);
    let [x, y] = data.clone().map(|x| x.narrow(0, 0, split));
    let [new_x, new_y] = data.map(|x| x.narrow(0, split, hours - split));

    // The naive forecast is the demand a week before, with the quantiles of what it was off by.
    let places = LEVELS.map(|level| (level * split as f64) as i32);
    let places = Tensor::from_ints(places, &device);
    let naive = y.clone().sort(0).select(0, places).transpose();
    report("seasonal naive", naive.repeat_dim(0, 4 * WEEK), &new_y)?;

    let mut lines = LinearConfig::new(10, LEVELS.len()).init(&device);
    let mut adam = AdamConfig::new().init();
    let levels = Tensor::<1>::from_floats(LEVELS, &device).unsqueeze::<2>();
    for _ in 0..3000 {
        let loss = pinball(lines.forward(x.clone()), y.clone(), levels.clone()).mean();
        let gradients = GradientsParams::from_grads(loss.backward(), &lines);
        lines = adam.step(0.01, lines, gradients);
    }
    report(
        "lines at fixed levels",
        lines.forward(new_x.clone()),
        &new_y,
    )?;

    let head = MonotoneHeadConfig::new(16).with_low(-2.0).with_high(2.0);
    let network = QuantileNetwork::new(&[10, 16], &head, &device)?.fit(&x, &y, 200, 0.01);
    let quantiles = network.forward(new_x).quantile(levels);
    report("quantile functions", quantiles, &new_y)
}

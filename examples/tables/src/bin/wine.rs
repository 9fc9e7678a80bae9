//! Quantile regression of a table by quantile functions: the alcohol of 1,599 red wines given ten other
//! measurements (Cortez et al. 2009), by fivefold cross-validation, against linear quantile regression at
//! fixed levels and the quantiles of all wines. Run it by `cargo run --release --package pixel-iqn-tables --bin wine`.

use pixel_iqn::burn::nn::LinearConfig;
use pixel_iqn::burn::optim::{AdamConfig, GradientsParams};
use pixel_iqn::burn::prelude::{Int, Tensor, TensorData};
use pixel_iqn::data::say;
use pixel_iqn::loss::{
    MonotoneHeadConfig, QuantileNetwork, coverage, crossing_rate, crps, pinball,
};

/// The outer two bound 90% of a distribution.
const LEVELS: [f64; 10] = [0.05, 0.15, 0.25, 0.35, 0.45, 0.55, 0.65, 0.75, 0.85, 0.95];

fn main() -> anyhow::Result<()> {
    let device = pixel_iqn::device("cpu")?.autodiff();
    device.seed(0);
    let table = linfa_datasets::winequality().records;
    let (wines, columns) = table.dim();
    let values: Vec<f32> = table.iter().map(|x| *x as f32).collect();
    let table = Tensor::<2>::from_data(TensorData::new(values, [wines, columns]), &device);
    // The last column is the alcohol in percent; the others in units of their deviations.
    let x = table.clone().narrow(1, 0, columns - 1);
    let x = (x.clone() - x.clone().mean_dim(0)) / x.var(0).sqrt();
    let y = table.narrow(1, columns - 1, 1);
    let levels = Tensor::<1>::from_floats(LEVELS, &device).unsqueeze::<2>();

    let mut results = [const { Vec::new() }; 4];
    for fold in 0..5 {
        let [train, new] = [false, true].map(|held_out| {
            let rows = (0..wines as i64).filter(|row| (row % 5 == fold) == held_out);
            let rows = Tensor::<1, Int>::from_ints(&rows.collect::<Vec<_>>()[..], &device);
            [&x, &y].map(|all| all.clone().select(0, rows.clone()))
        });
        let ([x, y], [new_x, new_y]) = (train, new);
        let places = LEVELS.map(|level| (level * y.dims()[0] as f64) as i32);
        let all = y
            .clone()
            .sort(0)
            .select(0, Tensor::from_ints(places, &device));
        let all = all.transpose().repeat_dim(0, new_y.dims()[0]);

        let mut lines = LinearConfig::new(10, LEVELS.len()).init(&device);
        let mut adam = AdamConfig::new().init();
        for _ in 0..3000 {
            let loss = pinball(lines.forward(x.clone()), y.clone(), levels.clone()).mean();
            let gradients = GradientsParams::from_grads(loss.backward(), &lines);
            lines = adam.step(0.02, lines, gradients);
        }
        let head = MonotoneHeadConfig::new(32).with_low(9.0).with_high(13.0);
        let network = QuantileNetwork::new(&[10, 32], &head, &device)?.fit(&x, &y, 400, 0.01);
        let functions = network.forward(new_x.clone()).quantile(levels.clone());
        let of_fold = [new_y, all, lines.forward(new_x), functions];
        for (folds, of_fold) in results.iter_mut().zip(of_fold) {
            folds.push(of_fold);
        }
    }
    let [y, all, lines, functions] = results.map(|folds| Tensor::cat(folds, 0));
    for (name, quantiles) in [
        ("all wines", all),
        ("lines at fixed levels", lines),
        ("quantile functions", functions),
    ] {
        let [low, high] = [0, 9].map(|i| quantiles.clone().narrow(1, i, 1));
        let inside: f32 = (coverage(low, high, y.clone()) * 100.0).try_into_scalar()?;
        let crossing: f32 = (crossing_rate(quantiles.clone(), 1) * 100.0).try_into_scalar()?;
        let score: f32 = crps(quantiles, y.clone(), &LEVELS, 1)
            .mean()
            .try_into_scalar()?;
        say!("{name}: CRPS {score:.4}, 90% intervals cover {inside:.1}%, {crossing:.1}% cross");
    }
    Ok(())
}

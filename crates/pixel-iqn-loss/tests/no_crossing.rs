//! No quantile crosses another over a million random settings: of the numbers that a quantile function
//! is made from, and of the weights and features that these are made from.

use burn::module::Param;
use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_loss::{
    Knots, MonotoneHeadConfig, QuantileFunction, QuantileFunctions, values_of_increments,
};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

const SETTINGS: usize = 1_000_000;
const KNOTS: [f64; 5] = [0.0, 0.1, 0.5, 0.7, 1.0];
/// The quantile levels, some of them close together and some of them knots.
const LEVELS: [f32; 8] = [0.0, 1e-7, 0.1, 0.3, 0.300_000_1, 0.7, 0.999_999_9, 1.0];

/// Numbers of very different sizes, of both signs, and sometimes 0.
fn numbers(seed: u64) -> impl Iterator<Item = f32> {
    let mut rng = ChaCha8Rng::seed_from_u64(seed);
    std::iter::repeat_with(move || {
        let bits = rng.next_u32();
        let size = ((bits >> 8) % 14) as i32 - 7;
        let sign = [1.0, -1.0, 0.0, 1.0][(bits & 3) as usize];
        sign * 10f32.powi(size) * (1.0 + (bits >> 16) as f32 / 65536.0)
    })
}

#[test]
fn neither_on_numbers_nor_on_tensors() {
    let knots = Knots::new(KNOTS).unwrap();
    let increments: Vec<f32> = numbers(0).take(SETTINGS * KNOTS.len()).collect();
    let mut values = [0.0; KNOTS.len()];
    for increments in increments.chunks_exact(KNOTS.len()) {
        values_of_increments(increments, &knots, &mut values);
        let function = QuantileFunction::new(&KNOTS, &values);
        let quantiles = LEVELS.map(|tau| function.quantile(f64::from(tau)));
        assert!(quantiles.is_sorted(), "{increments:?}: {quantiles:?}");
    }

    let device = Device::flex();
    let tau = Tensor::<1>::from_floats(LEVELS, &device).unsqueeze::<2>();
    let rows = 100_000;
    for increments in increments.chunks_exact(rows * KNOTS.len()) {
        let data = TensorData::new(increments.to_vec(), [rows, KNOTS.len()]);
        let functions = QuantileFunctions::from_increments(
            Tensor::<2>::from_data(data, &device),
            knots.clone(),
        );
        let quantiles: Vec<f32> = functions
            .quantile(tau.clone())
            .into_data()
            .try_to_vec()
            .unwrap();
        let rows = quantiles.chunks_exact(LEVELS.len());
        for (quantiles, increments) in rows.zip(increments.chunks_exact(KNOTS.len())) {
            assert!(quantiles.is_sorted(), "{increments:?}: {quantiles:?}");
        }
    }
}

#[test]
fn nor_with_random_weights_of_a_head() {
    const HEADS: usize = 10_000;
    const FEATURES: usize = 3;
    let rows = SETTINGS / HEADS;
    let device = Device::flex();
    let config = MonotoneHeadConfig::new(FEATURES).with_knots(KNOTS.to_vec());
    let mut head = config.init(&device).unwrap();
    let mut numbers = numbers(1);
    let tau = Tensor::<1>::from_floats(LEVELS, &device).unsqueeze::<2>();
    for number in 0..HEADS {
        let mut tensor = |shape: [usize; 2]| {
            let numbers: Vec<f32> = numbers.by_ref().take(shape.iter().product()).collect();
            Tensor::<2>::from_data(TensorData::new(numbers, shape), &device)
        };
        head.linear.weight = Param::from_tensor(tensor([FEATURES, KNOTS.len()]));
        let bias = tensor([1, KNOTS.len()]).reshape([KNOTS.len()]);
        head.linear.bias = Some(Param::from_tensor(bias));
        let functions = head.forward(tensor([rows, FEATURES]));
        let quantiles = functions.quantile(tau.clone()).into_data();
        let quantiles: Vec<f32> = quantiles.try_to_vec().unwrap();
        for quantiles in quantiles.chunks_exact(LEVELS.len()) {
            assert!(quantiles.is_sorted(), "head {number}: {quantiles:?}");
        }
    }
}

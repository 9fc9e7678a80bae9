//! Verifies the losses against the values and gradients of the reference implementation, which
//! `fixtures/reference/make_vectors.py` writes.

use burn::nn::loss::Reduction;
use burn::tensor::{DType, Device, Tensor, TensorData};
use pixel_iqn_core::parity;
use pixel_iqn_loss::{
    Censoring, Knots, QuantileFunction, QuantileFunctions, QuantileHuberLossConfig,
};
use serde_json::Value;

fn number(case: &Value, name: &str) -> f64 {
    case[name].as_f64().unwrap()
}

fn numbers(case: &Value, name: &str) -> Vec<f64> {
    let values = case[name].as_array().unwrap();
    values.iter().map(|value| value.as_f64().unwrap()).collect()
}

fn cases(json: &str, expected: usize) -> Vec<Value> {
    let cases: Vec<Value> = serde_json::from_str(json).unwrap();
    assert_eq!(cases.len(), expected);
    cases
}

fn tensor<const D: usize>(values: Vec<f64>, shape: [usize; D], dtype: DType) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::from_data(TensorData::new(values, shape), (&device, dtype))
}

fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().iter::<f64>().collect()
}

#[test]
fn plain_and_censored_losses_and_their_gradients() {
    for case in cases(include_str!("fixtures/reference/losses.json"), 528) {
        let scalar = |name| tensor([number(&case, name)].into(), [1], DType::F64);
        let censoring = case["leak"].as_f64();
        let censoring = censoring.map(|leak| Censoring::new().with_leak(leak));
        let loss = QuantileHuberLossConfig::new()
            .with_kappa(number(&case, "kappa"))
            .with_censoring(censoring)
            .init();
        let prediction = scalar("prediction").require_grad();
        let (target, tau) = (scalar("target"), scalar("tau"));
        let loss = loss.forward(prediction.clone(), target, tau, Reduction::Mean);
        let gradient = prediction.grad(&loss.backward()).unwrap();
        for (ours, theirs) in [(values(loss), "loss"), (values(gradient), "gradient")] {
            let theirs = number(&case, theirs);
            assert!((ours[0] - theirs).abs() < 1e-12, "{case}: {ours:?}");
        }
    }
}

#[test]
fn in_single_precision_both_files_are_met() {
    let device = Device::flex();
    let losses = parity::check_losses(include_str!("fixtures/reference/losses.json"), &device);
    let crps = parity::check_crps(include_str!("fixtures/reference/crps.json"), &device);
    for worst in [losses.unwrap(), crps.unwrap()] {
        assert!(worst > 0.0 && worst <= parity::MAX_ABS_LOSS, "{worst}");
    }
    let wrong = r#"[{"kappa": 0.1, "leak": null, "target": 0.3, "prediction": 0.6, "tau": 0.7,
                     "loss": 0.5, "gradient": 0.3}]"#;
    assert!(parity::check_losses(wrong, &device).unwrap() > 0.1);
    assert!(parity::check_losses("[{}]", &device).is_err());
}

#[test]
fn scores_of_quantile_functions_and_their_gradients() {
    let knots = Knots::reference();
    for case in cases(include_str!("fixtures/reference/crps.json"), 18) {
        let (quantiles, y) = (numbers(&case, "values"), number(&case, "target"));
        let (score, slopes) = (number(&case, "crps"), numbers(&case, "gradient"));

        let function = QuantileFunction::new(knots.as_slice(), &quantiles).with_bounds(0.0, 1.0);
        let mut gradient = vec![0.0; quantiles.len()];
        let crps = function.crps_with_gradient(y, &mut gradient);
        assert!((crps - score).abs() < 1e-9, "{case}: {crps}");
        for (a, b) in gradient.iter().zip(&slopes) {
            assert!((a - b).abs() < 1e-7, "{case}: {gradient:?}");
        }

        for (dtype, tolerance) in [(DType::F64, 1e-7), (DType::F32, 1e-5)] {
            let leaf = tensor(quantiles.clone(), [1, 20], dtype).require_grad();
            let functions =
                QuantileFunctions::new(leaf.clone(), knots.clone()).with_bounds(0.0, 1.0);
            let crps = functions.crps(tensor(vec![y], [1, 1], dtype));
            let gradient = values(leaf.grad(&crps.backward()).unwrap());
            assert!((values(crps)[0] - score).abs() < tolerance, "{case}");
            for (a, b) in gradient.iter().zip(&slopes) {
                assert!((a - b).abs() < tolerance, "{case}: {gradient:?}");
            }
        }
    }
}

use burn::nn::loss::Reduction;
use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_loss::{Censoring, Knots, QuantileFunctions, QuantileHuberLossConfig};
use serde_json::Value;

use super::error::ParityError;

/// The largest absolute difference that is allowed for the loss, the score and the gradient of a
/// single value, in single precision: a residual near 0.3 is rounded to 3e-8, and its gradient is
/// divided by a kappa of 0.002.
pub const MAX_ABS_LOSS: f64 = 1e-4;

/// Computes the losses of single values and their gradients on `device`, plain and censored, and
/// returns the largest absolute difference from those of `losses.json`.
///
/// `device` is given without autodiff, which is added here.
///
/// # Errors
///
/// [`ParityError::Format`] where the text is not that of such a file.
pub fn check_losses(json: &str, device: &Device) -> Result<f64, ParityError> {
    let device = device.clone().autodiff();
    let mut worst = 0.0f64;
    for case in cases(json)? {
        let leak = case["leak"].as_f64();
        let loss = QuantileHuberLossConfig::new()
            .with_kappa(number(&case, "kappa")?)
            .with_censoring(leak.map(|leak| Censoring::new().with_leak(leak)))
            .init();
        let scalar = |name| -> Result<Tensor<1>, ParityError> {
            Ok(Tensor::from_data([number(&case, name)? as f32], &device))
        };
        let prediction = scalar("prediction")?.require_grad();
        let (target, tau) = (scalar("target")?, scalar("tau")?);
        let loss = loss.forward(prediction.clone(), target, tau, Reduction::Mean);
        let gradient = prediction.grad(&loss.backward());
        let gradient = gradient.map_or(0.0, |gradient| gradient.into_scalar::<f32>());
        let loss = loss.into_scalar::<f32>();
        worst = largest(worst, f64::from(loss) - number(&case, "loss")?);
        worst = largest(worst, f64::from(gradient) - number(&case, "gradient")?);
    }
    Ok(worst)
}

/// Computes the CRPS of quantile functions with the [reference knots](Knots::reference) and its
/// gradient on `device`, and returns the largest absolute difference from those of `crps.json`.
///
/// `device` is given without autodiff, which is added here.
///
/// # Errors
///
/// [`ParityError::Format`] where the text is not that of such a file.
pub fn check_crps(json: &str, device: &Device) -> Result<f64, ParityError> {
    let device = device.clone().autodiff();
    let knots = Knots::reference();
    let mut worst = 0.0f64;
    for case in cases(json)? {
        let (values, slopes) = (numbers(&case, "values")?, numbers(&case, "gradient")?);
        if values.len() != knots.len() || slopes.len() != knots.len() {
            let message = format!("{} values and slopes are expected", knots.len());
            return Err(ParityError::Format(message));
        }
        let values: Vec<f32> = values.iter().map(|value| *value as f32).collect();
        let data = TensorData::new(values, [1, knots.len()]);
        let leaf = Tensor::<2>::from_data(data, &device).require_grad();
        let target = Tensor::from_data([[number(&case, "target")? as f32]], &device);
        let crps = QuantileFunctions::new(leaf.clone(), knots.clone())
            .with_bounds(0.0, 1.0)
            .crps(target);
        let gradient = leaf.grad(&crps.backward()).expect("a tracked leaf");
        let crps = f64::from(crps.into_scalar::<f32>());
        worst = largest(worst, crps - number(&case, "crps")?);
        for (ours, theirs) in gradient.into_data().iter::<f64>().zip(slopes) {
            worst = largest(worst, ours - theirs);
        }
    }
    Ok(worst)
}

/// The larger of two differences; what is no number is the largest.
fn largest(worst: f64, difference: f64) -> f64 {
    if difference.is_nan() {
        f64::INFINITY
    } else {
        worst.max(difference.abs())
    }
}

fn cases(json: &str) -> Result<Vec<Value>, ParityError> {
    serde_json::from_str(json).map_err(|error| ParityError::Format(error.to_string()))
}

fn number(case: &Value, name: &str) -> Result<f64, ParityError> {
    let missing = || ParityError::Format(format!("`{name}` is no number in {case}"));
    case[name].as_f64().ok_or_else(missing)
}

fn numbers(case: &Value, name: &str) -> Result<Vec<f64>, ParityError> {
    let missing = || ParityError::Format(format!("`{name}` is no list of numbers in {case}"));
    let values = case[name].as_array().ok_or_else(missing)?;
    let values = values
        .iter()
        .map(|value| value.as_f64().ok_or_else(missing));
    values.collect()
}

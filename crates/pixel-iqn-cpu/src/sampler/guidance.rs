//! Classifier-free guidance (Ho and Salimans 2022, equation 6) over the levels of a value.

use pixel_iqn_loss::{Knots, QuantileFunction, values_of_increments};

/// What is added to both probabilities in their quotient, which is our choice: of 0.0001, 0.01, 0.02 and 0.05 it
/// gave the digits that were read as their class most often.
const FLOOR: f64 = 0.02;

/// Computes the probabilities of `levels` evenly spaced levels in [0, 1], to which the values of the quantile
/// function of some increments are clamped and rounded.
pub(super) fn probabilities_of_increments(
    increments: &[f32],
    knots: &Knots,
    levels: usize,
) -> Vec<f64> {
    let mut values = vec![0.0; knots.len()];
    values_of_increments(increments, knots, &mut values);
    if !values.iter().all(|value| value.is_finite()) {
        return vec![f64::NAN; levels];
    }
    let function = QuantileFunction::new(knots.as_slice(), &values).with_bounds(0.0, 1.0);
    let top = (levels - 1) as f64;
    let mut below = 0.0;
    (0..levels)
        .map(|level| {
            let up_to = function.cdf((level as f64 + 0.5) / top);
            let probability = up_to - below;
            below = up_to;
            probability
        })
        .collect()
}

/// Computes the probabilities of the categorical distribution of some logits.
pub(super) fn probabilities_of_logits(logits: &[f32]) -> Vec<f64> {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let exps: Vec<f64> = logits
        .iter()
        .map(|logit| f64::from(logit - max).exp())
        .collect();
    let total: f64 = exps.iter().sum();
    exps.into_iter().map(|exp| exp / total).collect()
}

/// Finds the lowest level whose cumulative guided probability is at least `tau`, divided by the highest
/// level. `class` and `none` are the probabilities with and without a label. Where they are no numbers,
/// neither is the result.
pub(super) fn guided_value(class: &[f64], none: &[f64], weight: f64, tau: f32) -> f32 {
    let guided: Vec<f64> = class
        .iter()
        .zip(none)
        .map(|(p, q)| p * ((p + FLOOR) / (q + FLOOR)).powf(weight))
        .collect();
    let total: f64 = guided.iter().sum();
    if !total.is_finite() {
        return f32::NAN;
    }
    let (top, least) = (guided.len() - 1, f64::from(tau) * total);
    let mut cumulative = 0.0;
    let below = guided[..top].iter().take_while(|probability| {
        cumulative += **probability;
        cumulative < least
    });
    below.count() as f32 / top as f32
}

//! Classifier-free guidance (Ho and Salimans 2022, equation 6) over the levels of a value.

use pixel_iqn_loss::{Knots, QuantileFunction, values_of_increments};

/// What is added to both probabilities of a level in their quotient, so that two that are next to nothing
/// count as equal; our choice.
const SMOOTHING: f64 = 0.02;

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
/// level. `conditional` and `unconditional` are the probabilities with and without a label. Where one of
/// them is no number, neither is the result.
pub(super) fn guided_value(
    conditional: &[f64],
    unconditional: &[f64],
    weight: f64,
    tau: f32,
) -> f32 {
    // In logarithms, since the power of a large weight is infinite.
    let logs: Vec<f64> = conditional
        .iter()
        .zip(unconditional)
        .map(|(p, q)| p.ln() + weight * ((p + SMOOTHING) / (q + SMOOTHING)).ln())
        .collect();
    if logs.iter().any(|log| log.is_nan()) {
        return f32::NAN;
    }
    let max = logs.iter().copied().fold(f64::NEG_INFINITY, f64::max);
    let guided: Vec<f64> = logs.into_iter().map(|log| (log - max).exp()).collect();
    let least = f64::from(tau) * guided.iter().sum::<f64>();
    let top = guided.len() - 1;
    let mut cumulative = 0.0;
    let below = guided[..top].iter().take_while(|probability| {
        cumulative += **probability;
        cumulative < least
    });
    below.count() as f32 / top as f32
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_weight_moves_probability_to_what_speaks_for_the_label() {
        let (p, q) = ([0.5, 0.5, 0.0], [0.23, 0.75, 0.02]);
        // (0.52 / 0.25)^1 and (0.52 / 0.77)^1 times one half each: 0.755 and 0.245.
        assert_eq!(guided_value(&p, &q, 0.0, 0.49), 0.0);
        assert_eq!(guided_value(&p, &q, 0.0, 0.51), 0.5);
        assert_eq!(guided_value(&p, &q, 1.0, 0.75), 0.0);
        assert_eq!(guided_value(&p, &q, 1.0, 0.76), 0.5);
        // What is impossible with the label stays so, and the largest weights take the best level.
        assert_eq!(guided_value(&p, &q, 1.0, 1.0), 0.5);
        for weight in [1e3, f64::from(f32::MAX)] {
            assert_eq!(guided_value(&p, &q, weight, 0.999), 0.0);
        }
    }

    #[test]
    fn what_is_no_number_gives_none() {
        let (numbers, none) = ([0.5, 0.5], [f64::NAN, 0.5]);
        assert!(guided_value(&numbers, &none, 1.0, 0.5).is_nan());
        assert!(guided_value(&none, &numbers, 1.0, 0.5).is_nan());
        assert_eq!(guided_value(&numbers, &numbers, 1.0, 0.5), 0.0);
        let knots = Knots::default();
        let mut increments = vec![0.0; knots.len()];
        let sum: f64 = probabilities_of_increments(&increments, &knots, 256)
            .iter()
            .sum();
        assert!((sum - 1.0).abs() < 1e-12, "{sum}");
        increments[3] = f32::INFINITY;
        let none = probabilities_of_increments(&increments, &knots, 256);
        assert!(none.iter().all(|p| p.is_nan()));
        assert!(probabilities_of_logits(&[f32::NAN, 0.0])[1].is_nan());
    }
}

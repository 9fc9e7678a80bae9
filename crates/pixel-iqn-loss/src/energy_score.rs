/// Computes the energy score of samples of a forecast of a vector against its outcome (Gneiting and
/// Raftery 2007, equation 22), without bias: the CRPS of one dimension for many.
///
/// ```text
/// ES = E‖X - y‖ - ½ E‖X - X'‖
/// ```
///
/// The second term is the mean over the pairs of different samples, as in
/// [`crps_from_samples_fair`](crate::crps_from_samples_fair). It has the unit of `y`; lower is
/// better.
///
/// # Panics
///
/// Panics if there are fewer than 2 samples, or one has another length than `y`.
///
/// # Example
///
/// ```
/// let score = pixel_iqn_loss::energy_score_fair(&[&[0.0, 0.0], &[3.0, 4.0]], &[0.0, 0.0]);
/// assert_eq!(score, 2.5 - 2.5);
/// ```
pub fn energy_score_fair(samples: &[&[f64]], y: &[f64]) -> f64 {
    let n = samples.len();
    assert!(n >= 2, "the energy score needs at least 2 samples, not {n}");
    let distance = |a: &[f64], b: &[f64]| {
        assert_eq!(a.len(), b.len(), "samples and outcome must have one length");
        let squares = a.iter().zip(b).map(|(a, b)| (a - b) * (a - b));
        squares.sum::<f64>().sqrt()
    };
    let error = samples.iter().map(|x| distance(x, y)).sum::<f64>() / n as f64;
    let pairs = (0..n).flat_map(|i| (0..i).map(move |j| (i, j)));
    let spread = pairs.map(|(i, j)| distance(samples[i], samples[j]));
    error - spread.sum::<f64>() / (n * (n - 1)) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::crps_from_samples_fair;

    #[test]
    fn in_one_dimension_it_is_the_crps() {
        let samples = [0.3, -1.0, 2.5, 0.7];
        let vectors = samples.map(|x| [x]);
        let vectors: Vec<&[f64]> = vectors.iter().map(|x| &x[..]).collect();
        let expected = crps_from_samples_fair(&samples, 0.4);
        assert!((energy_score_fair(&vectors, &[0.4]) - expected).abs() < 1e-14);
    }

    #[test]
    #[should_panic = "must have one length"]
    fn vectors_that_do_not_fit_are_refused() {
        energy_score_fair(&[&[0.0], &[0.0, 1.0]], &[0.0]);
    }
}

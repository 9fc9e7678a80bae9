/// Returns the midpoints of `n` equal bins of `[0, 1]`: `(i + 1/2) / n` for `i` in `0..n`.
///
/// The mean of the pinball loss over these quantile levels is its integral over `[0, 1]` without
/// error if the predicted quantile is constant on each bin (the loss is linear in the level), and
/// with an error of order `1/n²` if it is smooth. They are the quantile midpoints of QR-DQN (Dabney
/// et al. 2018, [arXiv:1710.10044](https://arxiv.org/abs/1710.10044)).
///
/// # Panics
///
/// Panics if `n` is 0.
///
/// # Example
///
/// ```
/// assert_eq!(pixel_iqn_loss::tau_midpoints(4), [0.125, 0.375, 0.625, 0.875]);
/// ```
pub fn tau_midpoints(n: usize) -> Vec<f64> {
    assert!(n > 0, "a grid of levels needs at least 1 bin, not 0");
    (0..n).map(|i| (i as f64 + 0.5) / n as f64).collect()
}

#[cfg(test)]
mod tests {
    #[test]
    #[should_panic = "at least 1 bin, not 0"]
    fn an_empty_grid_is_refused() {
        super::tau_midpoints(0);
    }
}

use std::borrow::Cow;

use super::INTENSITY_LEVELS;

/// The lower edge of the lowest level: nothing lies below it.
pub(super) const LOWEST: f64 = -0.5 / (INTENSITY_LEVELS - 1) as f64;
/// The upper edge of the highest level: nothing lies above it.
pub(super) const HIGHEST: f64 = 1.0 - LOWEST;

/// A distribution function of straight lines through some quantiles, which go on to the edges of
/// the range of intensity, where it reaches 0 and 1 (our choice). What lies beyond the edges counts
/// as the level at the edge, as in samples, which are clamped.
#[derive(Debug)]
pub(super) struct Line<'a> {
    /// The quantiles in ascending order.
    pub values: Vec<f64>,
    /// The quantile level of each of them.
    pub levels: Cow<'a, [f64]>,
}

impl Line<'_> {
    /// The point `k` of the line as a value and the probability below it, counted from the lowest
    /// edge.
    fn point(&self, k: usize) -> (f64, f64) {
        match k {
            0 => (LOWEST, 0.0),
            k if k > self.values.len() => (HIGHEST, 1.0),
            k => (self.values[k - 1], self.levels[k - 1]),
        }
    }

    /// The probability of the values below `x`.
    fn cdf(&self, x: f64) -> f64 {
        if x <= LOWEST {
            return 0.0;
        }
        if x >= HIGHEST {
            return 1.0;
        }
        let k = self.values.partition_point(|q| *q <= x);
        let ((x0, tau0), (x1, tau1)) = (self.point(k), self.point(k + 1));
        tau0 + (tau1 - tau0) * (x - x0) / (x1 - x0)
    }

    /// The quantile at the level `tau`.
    fn quantile(&self, tau: f64) -> f64 {
        let k = self.levels.partition_point(|level| *level <= tau);
        let ((x0, tau0), (x1, tau1)) = (self.point(k), self.point(k + 1));
        if tau1 > tau0 {
            x0 + (x1 - x0) * (tau - tau0) / (tau1 - tau0)
        } else {
            x0
        }
    }

    /// The probability of the values below the level of `y`, and of the level itself.
    pub fn below_and_at(&self, y: f64) -> (f64, f64) {
        let half = -LOWEST;
        let below = self.cdf(y - half);
        (below, self.cdf(y + half) - below)
    }

    /// The ends of the central interval of probability `p` in whole levels, and their width.
    pub fn interval(&self, p: f64) -> (f64, f64, f64) {
        let top = (INTENSITY_LEVELS - 1) as f64;
        let level = |tau| (self.quantile(tau).clamp(0.0, 1.0) * top).round() / top;
        let (low, high) = (level((1.0 - p) / 2.0), level((1.0 + p) / 2.0));
        (low, high, 1.0 / top)
    }
}

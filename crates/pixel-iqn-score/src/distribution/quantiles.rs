use super::{Distribution, INTENSITY_LEVELS, pinball};

/// The lower edge of the lowest level: nothing lies below it.
pub(super) const LOWEST: f64 = -0.5 / (INTENSITY_LEVELS - 1) as f64;
/// The upper edge of the highest level: nothing lies above it.
pub(super) const HIGHEST: f64 = 1.0 - LOWEST;

/// A distribution given by its quantiles at the midpoints of equal bins.
///
/// Losses and crossings are those of the quantiles as predicted. For all else the quantiles are
/// sorted (monotone rearrangement, Chernozhukov, Fernández-Val and Galichon 2010) and joined by
/// straight lines, and the first and last go on in straight lines to the edges of the range of
/// intensity, where the distribution function reaches 0 and 1. So every level of intensity has a
/// probability of at least `1 / (2 * 256 * quantiles)`, and all of them add up to 1. The lines are
/// our choice.
#[derive(Debug)]
pub(crate) struct Quantiles<'a> {
    raw: &'a [f32],
    sorted: Vec<f64>,
}

impl<'a> Quantiles<'a> {
    pub fn new(raw: &'a [f32]) -> Self {
        let mut sorted: Vec<f64> = raw.iter().map(|q| f64::from(*q)).collect();
        sorted.sort_unstable_by(f64::total_cmp);
        Self { raw, sorted }
    }

    /// The point `k` of the line as a value and the probability below it, counted from the lowest
    /// edge.
    fn point(&self, k: usize) -> (f64, f64) {
        let count = self.sorted.len();
        match k {
            0 => (LOWEST, 0.0),
            k if k > count => (HIGHEST, 1.0),
            k => (self.sorted[k - 1], (k as f64 - 0.5) / count as f64),
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
        let k = self.sorted.partition_point(|q| *q <= x);
        let ((x0, tau0), (x1, tau1)) = (self.point(k), self.point(k + 1));
        tau0 + (tau1 - tau0) * (x - x0) / (x1 - x0)
    }

    /// The quantile at the level `tau`, on the line.
    fn quantile(&self, tau: f64) -> f64 {
        // The segment whose ends lie at (k - 0.5) / count and (k + 0.5) / count.
        let k = (tau * self.sorted.len() as f64 + 0.5) as usize;
        let ((x0, tau0), (x1, tau1)) = (self.point(k), self.point(k + 1));
        x0 + (x1 - x0) * (tau - tau0) / (tau1 - tau0)
    }
}

impl Distribution for Quantiles<'_> {
    fn pinball(&self, y: f64, quantile_levels: &[f64], losses: &mut [f64]) {
        for ((loss, q), tau) in losses.iter_mut().zip(self.raw).zip(quantile_levels) {
            *loss = pinball(y, f64::from(*q), *tau);
        }
    }

    fn crps(&self, _: f64, losses: &[f64]) -> f64 {
        2.0 * losses.iter().sum::<f64>() / losses.len() as f64
    }

    fn below_and_at(&self, y: f64) -> (f64, f64) {
        let half = -LOWEST;
        let below = self.cdf(y - half);
        (below, self.cdf(y + half) - below)
    }

    fn interval(&self, p: f64) -> (f64, f64, f64) {
        let top = (INTENSITY_LEVELS - 1) as f64;
        let level = |tau| (self.quantile(tau).clamp(0.0, 1.0) * top).round() / top;
        let (low, high) = (level((1.0 - p) / 2.0), level((1.0 + p) / 2.0));
        (low, high, 1.0 / top)
    }

    fn crossings(&self) -> usize {
        self.raw.windows(2).filter(|pair| pair[0] > pair[1]).count()
    }
}

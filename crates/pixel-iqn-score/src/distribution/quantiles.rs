use super::line::Line;
use super::{Distribution, pinball};

/// A distribution given by its quantiles at the midpoints of equal bins.
///
/// Losses and crossings are those of the quantiles as predicted. For all else the quantiles are
/// sorted (monotone rearrangement, Chernozhukov, Fernández-Val and Galichon 2010) and joined by a
/// [`Line`]. So every level of intensity has a probability of at least `1 / (2 * 256 * quantiles)`,
/// and all of them add up to 1.
#[derive(Debug)]
pub(crate) struct Quantiles<'a> {
    raw: &'a [f32],
    line: Line<'a>,
}

impl<'a> Quantiles<'a> {
    /// Takes quantiles, and the midpoints that are their levels.
    pub fn new(raw: &'a [f32], levels: &'a [f64]) -> Self {
        let mut values: Vec<f64> = raw.iter().map(|q| f64::from(*q)).collect();
        values.sort_unstable_by(f64::total_cmp);
        let levels = levels.into();
        let line = Line { values, levels };
        Self { raw, line }
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
        self.line.below_and_at(y)
    }

    fn interval(&self, p: f64) -> (f64, f64, f64) {
        self.line.interval(p)
    }

    fn crossings(&self) -> usize {
        self.raw.windows(2).filter(|pair| pair[0] > pair[1]).count()
    }
}

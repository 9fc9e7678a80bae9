use pixel_iqn_loss::QuantileFunction;

use super::line::Line;
use super::{Distribution, pinball};

/// A distribution given by its quantile function, which is straight between knots.
///
/// Losses and the CRPS are those of the value that is sampled, which is clamped to [0, 1], and so
/// is the CRPS exact. The probabilities of levels are exact between the outer knots; the rest is
/// spread by a [`Line`] from them to the edges of the range of intensity, in place of lying on the
/// outer values, so that no level is impossible.
#[derive(Debug)]
pub(crate) struct Functions<'a> {
    line: Line<'a>,
}

impl<'a> Functions<'a> {
    pub fn new(knots: &'a [f64], values: &[f32]) -> Self {
        let mut highest = f64::NEG_INFINITY;
        // Single precision may round a later value down.
        let values: Vec<f64> = values
            .iter()
            .map(|&value| {
                highest = highest.max(value.into());
                highest
            })
            .collect();
        let line = Line {
            values,
            levels: knots,
        };
        Self { line }
    }

    fn sampled(&self) -> QuantileFunction<'_> {
        QuantileFunction::new(self.line.levels, &self.line.values).with_bounds(0.0, 1.0)
    }
}

impl Distribution for Functions<'_> {
    fn pinball(&self, y: f64, quantile_levels: &[f64], losses: &mut [f64]) {
        let sampled = self.sampled();
        for (loss, tau) in losses.iter_mut().zip(quantile_levels) {
            *loss = pinball(y, sampled.quantile(*tau), *tau);
        }
    }

    fn crps(&self, y: f64, _: &[f64]) -> f64 {
        self.sampled().crps(y)
    }

    fn below_and_at(&self, y: f64) -> (f64, f64) {
        self.line.below_and_at(y)
    }

    fn interval(&self, p: f64) -> (f64, f64, f64) {
        self.line.interval(p)
    }

    fn crossings(&self) -> usize {
        0
    }
}

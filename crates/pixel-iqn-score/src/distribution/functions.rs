use std::borrow::Cow;

use pixel_iqn_loss::QuantileFunction;

use super::line::Line;
use super::{Distribution, pinball};

/// A distribution given by its quantile function, which is straight between knots.
///
/// Losses and the CRPS are those of the value that is sampled, which is clamped to [0, 1], and so
/// is the CRPS exact. The probabilities of levels are exact between the outer knots; the rest is
/// spread by a [`Line`] from them to the edges of the range of intensity, in place of lying on the
/// outer values. Outer knots at 0 and 1 leave nothing for this: for the probabilities of levels they
/// count as [`TAIL`] and one less that. So no level is impossible.
#[derive(Debug)]
pub(crate) struct Functions<'a> {
    knots: &'a [f64],
    line: Line<'a>,
}

/// The least probability beyond an outer knot, that of the outer ones of `Knots::default` (our
/// choice).
const TAIL: f64 = 1e-3;

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
        let levels = with_tails(knots);
        let line = Line { values, levels };
        Self { knots, line }
    }

    fn sampled(&self) -> QuantileFunction<'_> {
        QuantileFunction::new(self.knots, &self.line.values).with_bounds(0.0, 1.0)
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

/// The knots, the outer ones of which leave some probability beyond them.
fn with_tails(knots: &[f64]) -> Cow<'_, [f64]> {
    let last = knots.len() - 1;
    if knots[0] > 0.0 && knots[last] < 1.0 {
        return knots.into();
    }
    let mut levels = knots.to_vec();
    // Where the next knot is nearer than that, halfway to it.
    levels[0] = levels[0].max(TAIL.min(levels[1] / 2.0));
    levels[last] = levels[last].min((1.0 - TAIL).max((1.0 + levels[last - 1]) / 2.0));
    levels.into()
}

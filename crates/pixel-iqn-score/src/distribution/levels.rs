use super::{Distribution, INTENSITY_LEVELS, pinball};

/// A distribution given by the probabilities of levels, equally spaced from 0 to 1.
#[derive(Debug)]
pub(crate) struct Levels {
    /// The probability of each level and those below it.
    pub(super) cumulative: Vec<f64>,
}

impl Levels {
    pub fn new(probabilities: &[f32]) -> Self {
        let mut sum = 0.0;
        let mut cumulative: Vec<f64> = probabilities
            .iter()
            .map(|p| {
                sum += f64::from(*p);
                sum
            })
            .collect();
        // Single precision does not add up to 1.
        for p in &mut cumulative {
            *p /= sum;
        }
        Self { cumulative }
    }

    /// The continuous ranked probability score at any `y`, on a level or not, without
    /// discretisation.
    pub fn exact_crps(&self, y: f64) -> f64 {
        // ∫ (F(x) - 1{x >= y})² dx, level by level; y lies inside at most one gap.
        let top = self.top();
        let gaps = self
            .cumulative
            .iter()
            .enumerate()
            .take(self.cumulative.len() - 1);
        gaps.map(|(level, p)| {
            let (from, to) = (level as f64 / top, (level + 1) as f64 / top);
            let before = (y.clamp(from, to) - from) * p * p;
            before + (to - y.clamp(from, to)) * (1.0 - p).powi(2)
        })
        .sum()
    }

    /// The number of the highest level.
    fn top(&self) -> f64 {
        (self.cumulative.len() - 1) as f64
    }

    /// The lowest level whose cumulative probability is at least tau.
    fn quantile(&self, tau: f64) -> f64 {
        let level = self.cumulative.partition_point(|p| *p < tau);
        (level as f64).min(self.top()) / self.top()
    }
}

impl Distribution for Levels {
    fn pinball(&self, y: f64, quantile_levels: &[f64], losses: &mut [f64]) {
        for (loss, tau) in losses.iter_mut().zip(quantile_levels) {
            *loss = pinball(y, self.quantile(*tau), *tau);
        }
    }

    fn crps(&self, y: f64, _: &[f64]) -> f64 {
        self.exact_crps(y)
    }

    fn coarseness(&self) -> f64 {
        INTENSITY_LEVELS as f64 / self.cumulative.len() as f64
    }

    fn below_and_at(&self, y: f64) -> (f64, f64) {
        let level = (y * self.top()).round() as usize;
        let below = if level == 0 {
            0.0
        } else {
            self.cumulative[level - 1]
        };
        (below, self.cumulative[level] - below)
    }

    fn interval(&self, p: f64) -> (f64, f64, f64) {
        let quantile = |tau| self.quantile(tau);
        (
            quantile((1.0 - p) / 2.0),
            quantile((1.0 + p) / 2.0),
            1.0 / self.top(),
        )
    }

    fn crossings(&self) -> usize {
        0
    }
}

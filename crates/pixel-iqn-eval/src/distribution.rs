/// The number of levels of 8-bit images.
pub(crate) const LEVELS: usize = 256;

/// Below the lowest level and above the highest there is nothing.
const LOWEST: f64 = -0.5 / (LEVELS - 1) as f64;
const HIGHEST: f64 = 1.0 - LOWEST;

/// What is asked of the predicted distribution of one value whose outcome is `y`, in [0, 1].
pub(crate) trait Distribution {
    /// The pinball loss at the middle of each of as many equal bins of [0, 1]; as many as there
    /// are quantiles, where it is by quantiles.
    fn pinball(&self, y: f64, losses: &mut [f64]);

    /// The continuous ranked probability score.
    fn crps(&self, y: f64) -> f64;

    /// The probability of what lies below the outcome's level, and of the level itself.
    fn below_and_at(&self, y: f64) -> (f64, f64);

    /// How many of the 256 levels a level of the distribution's own grid holds.
    fn coarseness(&self) -> f64 {
        1.0
    }

    /// The central interval of probability `p`, in whole levels of the distribution's own grid,
    /// and the width of a level.
    fn interval(&self, p: f64) -> (f64, f64, f64);

    /// Neighbouring quantiles in the wrong order.
    fn crossings(&self) -> usize;
}

/// A distribution by quantiles at the middles of equal bins.
///
/// The losses are those of the quantiles as predicted. For the rest they are sorted (monotone
/// rearrangement, Chernozhukov, Fernández-Val and Galichon 2010) and joined by straight lines, and
/// the first and last go on in straight lines to the edges of the range of intensity, where tau
/// reaches 0 and 1. So every level has a probability of at least `1 / (2 * 256 * taus)`, and
/// all of them add up to 1. The lines are our choice.
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

    /// The point `k` of the line, counted from the lowest edge.
    fn point(&self, k: usize) -> (f64, f64) {
        let count = self.sorted.len();
        match k {
            0 => (LOWEST, 0.0),
            k if k > count => (HIGHEST, 1.0),
            k => (self.sorted[k - 1], (k as f64 - 0.5) / count as f64),
        }
    }

    /// The probability of what lies below `x`.
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

    fn quantile(&self, tau: f64) -> f64 {
        // The segment whose ends lie at (k - 0.5) / count and (k + 0.5) / count.
        let k = (tau * self.sorted.len() as f64 + 0.5) as usize;
        let ((x0, tau0), (x1, tau1)) = (self.point(k), self.point(k + 1));
        x0 + (x1 - x0) * (tau - tau0) / (tau1 - tau0)
    }
}

impl Distribution for Quantiles<'_> {
    fn pinball(&self, y: f64, losses: &mut [f64]) {
        let taus = tau_grid(losses.len());
        for ((loss, q), tau) in losses.iter_mut().zip(self.raw).zip(taus) {
            *loss = pinball(y, f64::from(*q), tau);
        }
    }

    fn crps(&self, y: f64) -> f64 {
        let count = self.raw.len();
        let pairs = self.raw.iter().zip(tau_grid(count));
        let sum: f64 = pairs.map(|(q, tau)| pinball(y, f64::from(*q), tau)).sum();
        2.0 * sum / count as f64
    }

    fn below_and_at(&self, y: f64) -> (f64, f64) {
        let half = -LOWEST;
        let below = self.cdf(y - half);
        (below, self.cdf(y + half) - below)
    }

    fn interval(&self, p: f64) -> (f64, f64, f64) {
        let top = (LEVELS - 1) as f64;
        let level = |tau| (self.quantile(tau).clamp(0.0, 1.0) * top).round() / top;
        let (low, high) = (level((1.0 - p) / 2.0), level((1.0 + p) / 2.0));
        (low, high, 1.0 / top)
    }

    fn crossings(&self) -> usize {
        self.raw.windows(2).filter(|pair| pair[0] > pair[1]).count()
    }
}

/// A distribution by the probabilities of levels.
#[derive(Debug)]
pub(crate) struct Levels {
    /// The probability of each level and those below it.
    cumulative: Vec<f64>,
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
    fn pinball(&self, y: f64, losses: &mut [f64]) {
        let taus = tau_grid(losses.len());
        for (loss, tau) in losses.iter_mut().zip(taus) {
            *loss = pinball(y, self.quantile(tau), tau);
        }
    }

    fn crps(&self, y: f64) -> f64 {
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

    fn coarseness(&self) -> f64 {
        LEVELS as f64 / self.cumulative.len() as f64
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

fn tau_grid(count: usize) -> impl Iterator<Item = f64> {
    (0..count).map(move |j| (j as f64 + 0.5) / count as f64)
}

/// Without the factor 2.
fn pinball(y: f64, q: f64, tau: f64) -> f64 {
    let u = y - q;
    if u < 0.0 { (tau - 1.0) * u } else { tau * u }
}

#[cfg(test)]
mod tests {
    use pixel_iqn_loss::{crps_from_samples, tau_midpoints};
    use proptest::prelude::*;

    use super::*;

    fn y(level: usize) -> f64 {
        level as f64 / 255.0
    }

    fn quantiles_of(count: usize, quantile: impl Fn(f64) -> f64) -> Vec<f32> {
        let middles = tau_midpoints(count).into_iter();
        middles.map(|tau| quantile(tau) as f32).collect()
    }

    proptest! {
        #[test]
        fn levels_add_up_to_one_and_none_is_impossible(
            raw in prop::collection::vec(0.0..=1.0f32, 2..40),
        ) {
            let quantiles = Quantiles::new(&raw);
            let mut below = 0.0;
            for level in 0..256 {
                let (before, at) = quantiles.below_and_at(y(level));
                prop_assert!((before - below).abs() < 1e-12);
                prop_assert!(at >= 0.999 / (512.0 * raw.len() as f64), "{} {}", level, at);
                below = before + at;
            }
            prop_assert!((below - 1.0).abs() < 1e-12);
        }

        #[test]
        fn sorted_quantiles_score_as_samples(
            mut raw in prop::collection::vec(0.0..=1.0f32, 2..40),
            level in 0..256usize,
        ) {
            raw.sort_unstable_by(f32::total_cmp);
            let samples: Vec<f64> = raw.iter().map(|q| f64::from(*q)).collect();
            let score = Quantiles::new(&raw).crps(y(level));
            prop_assert!((score - crps_from_samples(&samples, y(level))).abs() < 1e-12);
        }

        /// The exact score is the limit of twice the pinball loss on ever finer grids.
        #[test]
        fn the_score_of_levels_is_twice_the_mean_pinball_loss(
            weights in prop::collection::vec(0.0..1.0f32, 4),
            level in 0..4usize,
        ) {
            let sum: f32 = weights.iter().sum();
            prop_assume!(sum > 0.1);
            let levels = Levels::new(&weights);
            let outcome = level as f64 / 3.0;
            let mut losses = vec![0.0; 20_000];
            levels.pinball(outcome, &mut losses);
            let fine = 2.0 * losses.iter().sum::<f64>() / losses.len() as f64;
            prop_assert!((levels.crps(outcome) - fine).abs() < 1e-3);
        }
    }

    /// The bits per value that a distribution of levels gives to one like it, from quantiles of it.
    fn bits(probability: impl Fn(usize) -> f64, raw: &[f32]) -> f64 {
        let quantiles = Quantiles::new(raw);
        (0..256)
            .map(|level| -probability(level) * quantiles.below_and_at(y(level)).1.log2())
            .sum()
    }

    #[test]
    fn bits_of_the_uniform_distribution_are_eight() {
        // Its quantile function is a line, which few quantiles describe exactly.
        let raw = quantiles_of(5, |tau| LOWEST + tau * (HIGHEST - LOWEST));
        assert!((bits(|_| 1.0 / 256.0, &raw) - 8.0).abs() < 1e-4);
    }

    #[test]
    fn bits_approach_the_entropy() {
        // A triangle over the whole range: quantile sqrt(tau), over the edges of the levels.
        let edge = |level: usize| level as f64 / 256.0;
        let probability = |level: usize| edge(level + 1).powi(2) - edge(level).powi(2);
        let entropy: f64 = (0..256)
            .map(|l| -probability(l) * probability(l).log2())
            .sum();
        let excess = |count| {
            let raw = quantiles_of(count, |tau| LOWEST + tau.sqrt() * (HIGHEST - LOWEST));
            bits(probability, &raw) - entropy
        };
        let [coarse, fine] = [excess(20), excess(200)];
        assert!(
            0.0 < fine && fine < 1e-3 && fine < 0.1 * coarse && coarse < 0.02,
            "{coarse} {fine}"
        );
    }

    #[test]
    fn a_certain_forecast_costs_what_its_tails_hold() {
        // All quantiles at level 100: half a bin of probability goes to each side.
        let raw = vec![100.0 / 255.0; 50];
        let (below, at) = Quantiles::new(&raw).below_and_at(y(100));
        assert!(
            at > 1.0 - 1.0 / 50.0 && at < 1.0 && below < 0.01,
            "{below} {at}"
        );
    }

    #[test]
    fn intervals_are_central() {
        let raw = quantiles_of(40, |tau| tau);
        let (low, high, _) = Quantiles::new(&raw).interval(0.5);
        assert!((low - 0.25).abs() < 0.003 && (high - 0.75).abs() < 0.003);
        // Levels 0, 1, 2 with 10, 80 and 10 percent.
        let levels = Levels::new(&[0.1, 0.8, 0.1]);
        assert_eq!(levels.interval(0.5), (0.5, 0.5, 0.5));
        assert_eq!(levels.interval(0.9), (0.0, 1.0, 0.5));
        assert_eq!(
            levels.below_and_at(0.5).0,
            0.1f32 as f64 / (0.1f32 as f64 * 2.0 + 0.8f32 as f64)
        );
        assert_eq!(levels.below_and_at(1.0).1, 1.0 - levels.cumulative[1]);
    }

    #[test]
    fn falling_quantiles_cross_everywhere_and_are_sorted_for_the_rest() {
        let up = quantiles_of(9, |tau| tau);
        let down: Vec<f32> = up.iter().rev().copied().collect();
        assert_eq!(Quantiles::new(&up).crossings(), 0);
        assert_eq!(Quantiles::new(&down).crossings(), 8);
        let at = |raw: &[f32]| Quantiles::new(raw).below_and_at(y(60));
        assert_eq!(at(&up), at(&down));
        assert!(Quantiles::new(&down).crps(0.9) > Quantiles::new(&up).crps(0.9));
    }
}

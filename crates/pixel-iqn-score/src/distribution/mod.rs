mod functions;
mod levels;
mod line;
mod quantiles;
#[cfg(test)]
mod tests;

pub(crate) use functions::Functions;
pub(crate) use levels::Levels;
pub(crate) use quantiles::Quantiles;

/// The number of intensity levels of an 8-bit image.
pub(crate) const INTENSITY_LEVELS: usize = 256;

/// A predicted distribution of one value, to be evaluated at the outcome `y`, in [0, 1].
pub(crate) trait Distribution {
    /// Writes the pinball loss, without a factor 2, at each of `quantile_levels` into `losses`.
    ///
    /// The quantile levels are the midpoints of equal bins of [0, 1]. A distribution that is given
    /// by quantiles is evaluated at the levels of these.
    fn pinball(&self, y: f64, quantile_levels: &[f64], losses: &mut [f64]);

    /// The continuous ranked probability score, where `losses` are those of
    /// [`pinball`](Self::pinball) at the same outcome.
    fn crps(&self, y: f64, losses: &[f64]) -> f64;

    /// The probability of the values below the outcome's level, and of the level itself.
    fn below_and_at(&self, y: f64) -> (f64, f64);

    /// How many of the 256 levels of intensity one level of the distribution's own grid covers.
    fn coarseness(&self) -> f64 {
        1.0
    }

    /// The lower and upper end of the central interval of probability `p`, in whole levels of the
    /// distribution's own grid, and the width of such a level.
    fn interval(&self, p: f64) -> (f64, f64, f64);

    /// The number of neighbouring quantiles in the wrong order.
    fn crossings(&self) -> usize;
}

/// The pinball loss of the quantile `q` at the level `tau`, without a factor 2.
// The loss on tensors of `pixel-iqn-loss` is for training, in f32 on a device. Scores are computed
// on the host in f64, where sums over many values stay exact to their last reported digit.
fn pinball(y: f64, q: f64, tau: f64) -> f64 {
    let u = y - q;
    if u < 0.0 { (tau - 1.0) * u } else { tau * u }
}

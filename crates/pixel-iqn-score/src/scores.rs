use serde::{Deserialize, Serialize};

/// The scores of predicted distributions, each a mean over values.
///
/// `Scores` holds numbers, of one image or the means over images; `Scores<Estimate>` holds means
/// over images with their intervals. Losses and widths are in units of the full range of
/// intensity.
///
/// A score means the same for every model. What lies between the quantiles of a model that predicts
/// quantiles is stated in the [documentation of the crate](crate#between-the-quantiles).
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[non_exhaustive]
pub struct Scores<T = f64> {
    /// The mean pinball loss, without a factor 2, over the quantile levels. Lower is better.
    pub pinball: T,
    /// The continuous ranked probability score (Gneiting and Raftery 2007): twice the mean pinball
    /// loss for a model by quantiles, exact for a model by levels. Lower is better.
    pub crps: T,
    /// The negative binary logarithm of the probability of one of 256 levels; a model of fewer
    /// levels spreads each evenly over those that it covers. Lower is better.
    pub bits_per_dim: T,
    /// The fraction of the values inside the central 50% interval, which ends at whole levels. It
    /// is at least 0.5 for a calibrated model, and more where single levels have much probability.
    pub coverage_50: T,
    /// The fraction of the values inside the central 90% interval, at least 0.9 for a calibrated
    /// model.
    pub coverage_90: T,
    /// The width of the central 50% interval, which measures sharpness. Smaller is better among
    /// models that are equally well calibrated.
    pub width_50: T,
    /// The width of the central 90% interval.
    pub width_90: T,
    /// The fraction of neighbouring quantiles in the wrong order; 0 for a model by levels.
    pub crossing_rate: T,
}

impl<T> Scores<T> {
    /// Fills each field with what `compute` makes of the function that reads this field.
    pub(crate) fn each(compute: impl Fn(fn(&Scores) -> f64) -> T) -> Self {
        Self {
            pinball: compute(|scores| scores.pinball),
            crps: compute(|scores| scores.crps),
            bits_per_dim: compute(|scores| scores.bits_per_dim),
            coverage_50: compute(|scores| scores.coverage_50),
            coverage_90: compute(|scores| scores.coverage_90),
            width_50: compute(|scores| scores.width_50),
            width_90: compute(|scores| scores.width_90),
            crossing_rate: compute(|scores| scores.crossing_rate),
        }
    }
}

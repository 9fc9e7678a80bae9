use pixel_iqn_core::Knots;

/// The predicted distributions of all values of a batch, each given the values before it.
///
/// Values are in the order of the images, `[batch, channels, height, width]`; intensities are in
/// units of the full range of intensity, so in [0, 1].
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub enum Forecasts {
    /// Each distribution is given by quantiles.
    Quantiles {
        /// How many quantiles each value has. Their levels are the midpoints of as many equal bins
        /// of [0, 1].
        quantile_levels: usize,
        /// The quantiles by value, then by quantile level; not sorted.
        quantiles: Vec<f32>,
    },
    /// Each distribution is given by its quantile function, which is straight between knots.
    QuantileFunctions {
        /// The quantile levels of the knots.
        knots: Knots,
        /// The values at the knots, ascending, by value of the image, then by knot; not clamped.
        values: Vec<f32>,
    },
    /// Each distribution is given by the probabilities of intensity levels.
    Levels {
        /// How many levels there are, at least 2. Level `l` is the intensity `l / (levels - 1)`.
        levels: usize,
        /// The probabilities by value, then by level. The probabilities of a value add
        /// up to 1 but for rounding.
        probabilities: Vec<f32>,
    },
}

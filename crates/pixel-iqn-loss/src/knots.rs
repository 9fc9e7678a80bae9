use std::sync::Arc;

/// The quantile levels between which a [quantile function](crate::QuantileFunction) is straight:
/// at least two, ascending by at least 1e-6 from each to the next, in [0, 1].
///
/// ```
/// use pixel_iqn_loss::Knots;
///
/// let knots = Knots::new([0.1, 0.5, 0.9])?;
/// assert_eq!(knots.as_slice(), [0.1, 0.5, 0.9]);
/// assert!(Knots::new([0.5, 0.1]).is_err());
/// assert_eq!(Knots::default().len(), 36);
/// # Ok::<(), pixel_iqn_loss::KnotsError>(())
/// ```
/// Knots nearer to each other could fall together in single precision (the least distance is our
/// choice).
#[derive(Debug, Clone, PartialEq)]
pub struct Knots(Arc<[f64]>);

/// The least distance of a knot from the next: the spacing of single precision below 1 is 6e-8.
const LEAST_GAP: f64 = 1e-6;

impl Knots {
    /// Takes quantile levels as knots.
    ///
    /// # Errors
    ///
    /// [`KnotsError`] where there are fewer than two, they are not in [0, 1], or one is not 1e-6 above
    /// the one before.
    pub fn new(levels: impl Into<Vec<f64>>) -> Result<Self, KnotsError> {
        let levels = levels.into();
        let in_range = levels.iter().all(|level| (0.0..=1.0).contains(level));
        if levels.len() < 2
            || !in_range
            || !levels.is_sorted_by(|low, high| high - low >= LEAST_GAP)
        {
            return Err(KnotsError(levels));
        }
        Ok(Self(levels.into()))
    }

    /// Returns the 20 knots of the reference implementation: the midpoints of 16 equal bins of
    /// [0, 1], and 0.002, 0.01, 0.99 and 0.998 for the tails (our choice).
    pub fn reference() -> Self {
        let mut levels = vec![0.002, 0.01];
        levels.extend(crate::tau_midpoints(16));
        levels.extend([0.99, 0.998]);
        Self(levels.into())
    }

    /// The quantile levels.
    pub fn as_slice(&self) -> &[f64] {
        &self.0
    }

    /// The number of knots, at least 2.
    #[allow(clippy::len_without_is_empty, reason = "there are always two")]
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The distances from each knot to the next.
    pub fn gaps(&self) -> impl Iterator<Item = f64> {
        self.0.windows(2).map(|pair| pair[1] - pair[0])
    }
}

impl Default for Knots {
    /// Returns 36 knots: the midpoints of 32 equal bins of [0, 1], and 0.001, 0.004, 0.996 and 0.999
    /// for the tails. On images they gave a lower CRPS than the 20 of
    /// [`reference`](Self::reference), or the same (our choice, `docs/comparison.md`).
    fn default() -> Self {
        let mut levels = vec![0.001, 0.004];
        levels.extend(crate::tau_midpoints(32));
        levels.extend([0.996, 0.999]);
        Self(levels.into())
    }
}

/// The error of quantile levels that cannot be [`Knots`].
#[derive(Debug, Clone, PartialEq)]
pub struct KnotsError(Vec<f64>);

impl core::fmt::Display for KnotsError {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        let levels = &self.0;
        write!(
            f,
            "knots must be two or more quantile levels in [0, 1], each at least {LEAST_GAP:e} above the one \
             before, not {levels:?}"
        )
    }
}

impl core::error::Error for KnotsError {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn levels_out_of_order_or_range_are_refused() {
        for levels in [
            vec![],
            vec![0.5],
            vec![0.5, 0.5],
            vec![0.0, 1e-40],
            vec![0.9, 0.1],
            vec![-0.1, 0.5],
            vec![0.5, 1.1],
            vec![0.5, f64::NAN],
        ] {
            let error = Knots::new(levels).unwrap_err();
            assert!(
                error.to_string().contains("above the one before"),
                "{error}"
            );
        }
        Knots::new([0.0, 1e-6, 1.0]).unwrap();
    }
}

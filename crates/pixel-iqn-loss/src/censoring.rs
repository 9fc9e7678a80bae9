use burn::config::Config;
use burn::tensor::{FloatDType, Tensor};

use crate::broadcast::{assert_broadcast, broadcast_shape};

/// The ends of the range of a target, for the loss of a prediction that is clamped to this range
/// before it is used: see [`censor`].
///
/// Images end at 0 and 1, and demand, rainfall and prices at 0.
///
/// ```
/// use pixel_iqn_loss::Censoring;
///
/// let images = Censoring::new();
/// assert_eq!((images.low, images.high), (Some(0.0), Some(1.0)));
/// let rainfall = Censoring::new().with_high(None);
/// assert_eq!((rainfall.low, rainfall.high), (Some(0.0), None));
/// ```
#[derive(Config, Debug, Copy, PartialEq)]
#[non_exhaustive]
pub struct Censoring {
    /// The lowest value that a target can have, in its unit; `None` for no end.
    #[config(default = "Some(0.0)")]
    pub low: Option<f64>,
    /// The highest value that a target can have, in its unit; `None` for no end.
    #[config(default = "Some(1.0)")]
    pub high: Option<f64>,
    /// How much of the distance of a prediction beyond an end counts, in [0, 1], where the target
    /// lies inside of the range. 0 is the loss of Powell (1986), under which such a prediction has
    /// no gradient; the leak, which keeps one, is our choice.
    #[config(default = 0.1)]
    pub leak: f64,
}

impl Default for Censoring {
    fn default() -> Self {
        Self::new()
    }
}

impl Censoring {
    /// Panics with the numbers if they are out of range.
    pub(crate) fn expect_valid(&self) {
        let [low, high] = self.bounds();
        assert!(
            low < high && (0.0..=1.0).contains(&self.leak),
            "a censored loss needs an end `low` below `high` and a leak in [0, 1], not {self:?}"
        );
    }

    /// The ends as numbers, infinite where there is none.
    pub fn bounds(&self) -> [f64; 2] {
        [
            self.low.unwrap_or(f64::NEG_INFINITY),
            self.high.unwrap_or(f64::INFINITY),
        ]
    }
}

/// Replaces predictions beyond the ends of the target's range by what they count as in a loss:
/// censored regression quantiles (Powell 1986).
///
/// Where samples are clamped to `[low, high]`, a quantile below `low` is right for a target of
/// `low`, and one above `high` for a target of `high`: it counts as the end. For other targets it
/// counts as the end plus `leak` times the distance beyond. Without a leak, the pinball loss of the
/// result integrates over tau to half the threshold-weighted CRPS on `[low, high]` (Gneiting and
/// Ranjan 2011), the score of the clamped distribution.
///
/// ```text
/// c = clamp(prediction, low, high)
/// output = c                               where the target is the end that the prediction is beyond
/// output = c + leak * (prediction - c)     elsewhere
/// ```
///
/// # Shapes
///
/// The axes of size 1 of each argument broadcast, as in [`pinball()`](crate::pinball()).
///
/// - prediction: `[...dims]`
/// - target: `[...dims]`, in the unit of the prediction
/// - output: `[...dims]`
///
/// # Panics
///
/// Panics if the shapes do not broadcast, if `low` is not below `high`, or if the leak is not in
/// [0, 1].
pub fn censor<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    censoring: &Censoring,
) -> Tensor<D> {
    censoring.expect_valid();
    let shapes = [prediction.dims(), target.dims()];
    assert_broadcast([("prediction", shapes[0]), ("target", shapes[1])]);
    let mut clamped = prediction.clone();
    if let Some(low) = censoring.low {
        clamped = clamped.clamp_min(low);
    }
    if let Some(high) = censoring.high {
        clamped = clamped.clamp_max(high);
    }
    if censoring.leak == 0.0 {
        return clamped.expand(broadcast_shape(shapes));
    }
    let float = |mask: Tensor<D, burn::tensor::Bool>| mask.cast(FloatDType::from(target.dtype()));
    let excess = prediction.clone() - clamped.clone();
    let (prediction, reached) = (prediction.detach(), target.clone().detach());
    // 1 where the target is the end that the prediction is beyond.
    let mut right = None;
    if let Some(low) = censoring.low {
        let beyond = float(prediction.clone().lower_scalar(low));
        right = Some(beyond * float(reached.clone().lower_equal_scalar(low)));
    }
    if let Some(high) = censoring.high {
        let beyond = float(prediction.greater_scalar(high));
        let at_high = beyond * float(reached.greater_equal_scalar(high));
        right = Some(match right {
            Some(at_low) => at_low + at_high,
            None => at_high,
        });
    }
    match right {
        Some(right) => clamped + excess * (right.neg() + 1.0).mul_scalar(censoring.leak),
        None => clamped.expand(broadcast_shape(shapes)),
    }
}

/// Censors the predictions of a loss that is censored, and leaves those of any other as they are.
pub(crate) fn censor_where_asked<const D: usize>(
    prediction: Tensor<D>,
    target: &Tensor<D>,
    censoring: Option<&Censoring>,
) -> Tensor<D> {
    match censoring {
        Some(censoring) => censor(prediction, target.clone(), censoring),
        None => prediction,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, tensor, values};

    #[test]
    fn one_end_alone_leaves_the_other_side_as_it_is() {
        let prediction = tensor::<1>([-1.0, 0.5, 3.0]);
        let target = tensor::<1>([0.5, 0.5, 0.5]);
        let low = Censoring::new().with_high(None).with_leak(0.5);
        let high = Censoring::new().with_low(None).with_leak(0.0);
        let none = high.with_high(None);
        for (censoring, expected) in [
            (low, [-0.5, 0.5, 3.0]),
            (high, [-1.0, 0.5, 1.0]),
            (none, [-1.0, 0.5, 3.0]),
        ] {
            let censored = censor(prediction.clone(), target.clone(), &censoring);
            assert_close(&values(censored), &expected, 1e-15);
        }
    }

    #[test]
    fn a_target_at_the_end_makes_every_prediction_beyond_it_right() {
        let prediction = tensor::<2>([[-1.0, 0.0, 0.5, 1.0, 3.0]]);
        let target = tensor::<2>([[0.0], [1.0]]);
        let censored = censor(prediction, target, &Censoring::new());
        let expected = [0.0, 0.0, 0.5, 1.0, 1.2, -0.1, 0.0, 0.5, 1.0, 1.0];
        assert_close(&values(censored), &expected, 1e-15);
    }

    #[test]
    fn arguments_broadcast_under_every_censoring() {
        let prediction = tensor::<2>([[-1.0, 0.5, 3.0]]);
        let target = tensor::<2>([[0.25], [0.75]]);
        let new = Censoring::new();
        for censoring in [
            new,
            new.with_leak(0.0),
            new.with_low(None),
            new.with_low(None).with_high(None),
        ] {
            let censored = censor(prediction.clone(), target.clone(), &censoring);
            assert_eq!(censored.dims(), [2, 3], "{censoring:?}");
        }
    }

    #[test]
    #[should_panic = "do not broadcast"]
    fn shapes_are_checked_without_a_leak_too() {
        let censoring = Censoring::new().with_leak(0.0);
        censor::<1>(tensor([0.0, 1.0]), tensor([0.0, 0.5, 1.0]), &censoring);
    }

    #[test]
    #[should_panic = "needs an end `low` below `high`"]
    fn ends_in_the_wrong_order_are_refused() {
        let censoring = Censoring::new().with_low(Some(2.0));
        censor::<1>(tensor([0.0]), tensor([0.0]), &censoring);
    }
}

use burn::{
    module::Module,
    nn::loss::Reduction,
    tensor::{FloatDType, Tensor},
};

use crate::{
    broadcast::assert_broadcast,
    censoring::{Censoring, censor_where_asked},
    reduction::reduce,
};

/// Computes the pinball loss, or quantile regression loss, of every element:
///
/// ```text
/// u = target - prediction
/// L = u * (tau - 1{u < 0}) = |tau - 1{u < 0}| * |u|
/// ```
///
/// The expectation of the loss over the target is least where `prediction` is the `tau` quantile of
/// the target (Koenker & Bassett 1978). At `tau = 0.5` the loss is half the absolute error.
///
/// The gradient with respect to the prediction is `1{u < 0} - tau`; at the kink `u = 0`, where any
/// value from `-tau` to `1 - tau` would do, it is `-tau`.
///
/// # Shapes
///
/// The axes of size 1 of each argument broadcast: a `target` of `[batch, 1]`, a `tau` of
/// `[1, levels]` and a `prediction` of `[batch, levels]` compare each target with all its quantiles.
///
/// - prediction: `[...dims]`
/// - target: `[...dims]`, in the unit of the prediction
/// - tau: `[...dims]`, levels in `[0, 1]`
/// - output: `[...dims]`
///
/// # Panics
///
/// Panics if the three shapes do not broadcast.
pub fn pinball<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    tau: Tensor<D>,
) -> Tensor<D> {
    let (residual, slope) = residual_and_slope(prediction, target, tau);
    residual * slope
}

/// Computes the residual `u = target - prediction` and `tau - 1{u < 0}`, the slope of the pinball
/// loss there. The slope is a constant to autodiff, except for its dependence on `tau`.
pub(crate) fn residual_and_slope<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    tau: Tensor<D>,
) -> (Tensor<D>, Tensor<D>) {
    assert_broadcast([
        ("prediction", prediction.dims()),
        ("target", target.dims()),
        ("tau", tau.dims()),
    ]);
    let residual = target - prediction;
    // Not `float()`, which would give the default precision of the device.
    let too_high = residual
        .clone()
        .lower_scalar(0.0)
        .cast(FloatDType::from(tau.dtype()));
    (residual, tau - too_high)
}

/// The [pinball loss](pinball()) with a reduction.
#[derive(Module, Debug, Default)]
pub struct PinballLoss {
    /// The range of the target, where predictions are clamped to it.
    #[module(skip)]
    pub censoring: Option<Censoring>,
}

impl PinballLoss {
    /// Creates the loss.
    pub fn new() -> Self {
        Self::default()
    }

    /// Makes it the loss of the [censored](crate::censor) prediction: censored regression quantiles.
    pub fn with_censoring(mut self, censoring: Option<Censoring>) -> Self {
        self.censoring = censoring;
        self
    }

    /// Computes the loss of every element, then reduces it to a single value.
    ///
    /// `Reduction::Auto` behaves as `Reduction::Mean`; `Reduction::BatchMean` divides the sum by
    /// the size of the first axis.
    ///
    /// # Shapes
    ///
    /// - prediction, target, tau: `[...dims]`, broadcast as in [`pinball()`]
    /// - output: `[1]`
    ///
    /// # Panics
    ///
    /// Panics if the three shapes do not broadcast.
    pub fn forward<const D: usize>(
        &self,
        prediction: Tensor<D>,
        target: Tensor<D>,
        tau: Tensor<D>,
        reduction: Reduction,
    ) -> Tensor<1> {
        reduce(
            self.forward_no_reduction(prediction, target, tau),
            reduction,
        )
    }

    /// Computes the loss of every element, as [`pinball()`] does, of the [censored](crate::censor)
    /// prediction where the loss is censored.
    ///
    /// # Shapes
    ///
    /// - prediction, target, tau: `[...dims]`, broadcast as in [`pinball()`]
    /// - output: `[...dims]`
    ///
    /// # Panics
    ///
    /// Panics if the three shapes do not broadcast.
    pub fn forward_no_reduction<const D: usize>(
        &self,
        prediction: Tensor<D>,
        target: Tensor<D>,
        tau: Tensor<D>,
    ) -> Tensor<D> {
        let prediction = censor_where_asked(prediction, &target, self.censoring.as_ref());
        pinball(prediction, target, tau)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, tensor, values};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn equals_its_formula(x in -2.0..2.0, y in -2.0..2.0, tau in 0.0..1.0) {
            let u: f64 = y - x;
            let expected = if u < 0.0 { (tau - 1.0) * u } else { tau * u };

            let loss = pinball::<1>(tensor([x]), tensor([y]), tensor([tau]));

            assert_close(&values(loss), &[expected], 1e-14);
        }
    }

    #[test]
    fn the_gradient_is_the_slope_on_either_side() {
        let prediction = tensor::<1>([0.0, 0.0, 0.0]).require_grad();
        let loss = pinball(
            prediction.clone(),
            tensor([-3.0, 0.0, 5.0]),
            tensor([0.1, 0.1, 0.1]),
        );

        let gradient = prediction.grad(&loss.backward()).expect("a tracked leaf");

        assert_close(&values(gradient), &[0.9, -0.1, -0.1], 1e-15);
    }

    #[test]
    fn many_levels_at_once_equal_a_loop_over_them() {
        let levels = [0.1, 0.5, 0.8];
        let target = tensor::<2>([[0.3], [0.6]]);
        let prediction = [[0.1, 0.4, 0.9], [0.6, 0.5, 0.7]];

        let at_once = pinball(tensor(prediction), target.clone(), tensor([levels]));

        assert_eq!(at_once.dims(), [2, 3]);
        for (i, tau) in levels.into_iter().enumerate() {
            let column = prediction.map(|row| [row[i]]);
            let alone = pinball(tensor(column), target.clone(), tensor([[tau]]));
            let of_all = at_once.clone().narrow(1, i, 1);
            assert_close(&values(of_all), &values(alone), 0.0);
        }
    }

    #[test]
    fn reductions_agree() {
        let prediction = tensor::<2>([[0.1, 0.4, 0.9], [0.6, 0.5, 0.7]]);
        let target = tensor::<2>([[0.3], [0.6]]);
        let tau = tensor::<2>([[0.1, 0.5, 0.8]]);
        let loss = PinballLoss::new();
        let none = loss.forward_no_reduction(prediction.clone(), target.clone(), tau.clone());
        // By hand: residuals [0.2, -0.1, -0.6] and [0, 0.1, -0.1].
        let expected = [0.02, 0.05, 0.12, 0.0, 0.05, 0.02];
        assert_close(&values(none), &expected, 1e-15);

        for (reduction, expected) in [
            (Reduction::Sum, 0.26),
            (Reduction::Mean, 0.26 / 6.0),
            (Reduction::Auto, 0.26 / 6.0),
            (Reduction::BatchMean, 0.13),
        ] {
            let reduced = loss.forward(prediction.clone(), target.clone(), tau.clone(), reduction);
            assert_close(&values(reduced), &[expected], 1e-15);
        }
    }

    #[test]
    #[should_panic = "prediction [2, 3], target [2, 1] and tau [1, 4] do not broadcast"]
    fn sizes_that_do_not_fit_are_named() {
        pinball::<2>(
            tensor([[0.0; 3]; 2]),
            tensor([[0.0; 1]; 2]),
            tensor([[0.5; 4]; 1]),
        );
    }
}

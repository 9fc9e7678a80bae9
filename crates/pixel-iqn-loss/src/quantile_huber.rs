use burn::{config::Config, module::Module, nn::loss::Reduction, tensor::Tensor};

use crate::{
    censoring::{Censoring, censor_where_asked},
    pinball::{pinball, residual_and_slope},
    reduction::reduce,
};

/// Computes the quantile Huber loss of every element, the [pinball loss](pinball()) with its kink
/// rounded off over `|u| <= kappa`:
///
/// ```text
/// u = target - prediction
/// L = |tau - 1{u < 0}| * u^2 / (2 kappa)     if |u| <= kappa
/// L = |tau - 1{u < 0}| * (|u| - kappa / 2)   if |u| >  kappa
/// ```
///
/// This is the loss of Dabney et al. 2018, [arXiv:1710.10044](https://arxiv.org/abs/1710.10044),
/// divided by `kappa` as in [arXiv:1806.06923](https://arxiv.org/abs/1806.06923), so that it tends
/// to the pinball loss as `kappa` tends to 0, for which it *is* the pinball loss. It never differs
/// from that by more than `kappa / 2`. Within `kappa` it is an asymmetric squared error, which is
/// minimised by an expectile and not by a quantile, so keep `kappa` well below the differences that
/// matter.
///
/// # Shapes
///
/// The axes of size 1 of each argument broadcast, as in [`pinball()`].
///
/// - prediction: `[...dims]`
/// - target: `[...dims]`, in the unit of the prediction
/// - tau: `[...dims]`, levels in `[0, 1]`
/// - output: `[...dims]`
///
/// # Panics
///
/// Panics if the three shapes do not broadcast, or `kappa` (in the unit of the prediction) is
/// negative, infinite or NaN.
pub fn quantile_huber<const D: usize>(
    prediction: Tensor<D>,
    target: Tensor<D>,
    tau: Tensor<D>,
    kappa: f64,
) -> Tensor<D> {
    assert_kappa(kappa);
    if kappa == 0.0 {
        return pinball(prediction, target, tau);
    }
    let (residual, slope) = residual_and_slope(prediction, target, tau);
    // With c = clamp(u, -kappa, kappa) the Huber loss is c (u - c / 2), and its derivative is c:
    // just what autodiff finds with c held constant. It then records two operations only.
    let clamped = residual.clone().detach().clamp(-kappa, kappa);
    let weight = slope * clamped.clone().abs().div_scalar(kappa);
    weight * (residual - clamped.mul_scalar(0.5))
}

fn assert_kappa(kappa: f64) {
    assert!(
        kappa >= 0.0 && kappa.is_finite(),
        "kappa of the quantile Huber loss must be finite and not negative, not {kappa}"
    );
}

/// The configuration of a [quantile Huber loss](QuantileHuberLoss).
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct QuantileHuberLossConfig {
    /// The residual, in the unit of the target, at which the loss turns from quadratic to linear;
    /// 0 is the pinball loss.
    ///
    /// The default 0.002 is our choice for values in `[0, 1]`: half a step of 8 bit images.
    #[config(default = 0.002)]
    pub kappa: f64,
    /// The range of the target, where predictions are clamped to it before they are used:
    /// the loss is then that of the [censored](crate::censor) prediction.
    pub censoring: Option<Censoring>,
}

impl QuantileHuberLossConfig {
    /// Creates a [quantile Huber loss](QuantileHuberLoss).
    ///
    /// # Panics
    ///
    /// Panics if `kappa` is negative, infinite or NaN, or the censoring is out of range.
    pub fn init(&self) -> QuantileHuberLoss {
        assert_kappa(self.kappa);
        if let Some(censoring) = &self.censoring {
            censoring.expect_valid();
        }
        QuantileHuberLoss {
            kappa: self.kappa,
            censoring: self.censoring,
        }
    }
}

/// The [quantile Huber loss](quantile_huber()) as a module with a reduction.
/// [`QuantileHuberLossConfig`] creates it.
///
/// This type is created by [`QuantileHuberLossConfig::init`].
#[derive(Module, Debug)]
pub struct QuantileHuberLoss {
    /// The residual at which the loss turns from quadratic to linear.
    pub kappa: f64,
    /// The range of the target, where predictions are clamped to it.
    #[module(skip)]
    pub censoring: Option<Censoring>,
}

impl QuantileHuberLoss {
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

    /// Computes the loss of every element, as [`quantile_huber()`] does, of the
    /// [censored](crate::censor) prediction where the loss is censored.
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
        quantile_huber(prediction, target, tau, self.kappa)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, tensor, values};
    use burn::tensor::{DType, Device};
    use proptest::prelude::*;

    /// The loss as the paper writes it.
    fn formula(u: f64, tau: f64, kappa: f64) -> f64 {
        let weight = (tau - f64::from(u < 0.0)).abs();
        let huber = if u.abs() <= kappa {
            0.5 * u * u
        } else {
            kappa * (u.abs() - 0.5 * kappa)
        };
        weight * huber / kappa
    }

    proptest! {
        #[test]
        fn equals_its_formula(
            x in -1.0..1.0,
            y in -1.0..1.0,
            tau in 0.0..1.0,
            kappa in 1e-3..1.0,
        ) {
            let loss = quantile_huber::<1>(tensor([x]), tensor([y]), tensor([tau]), kappa);

            assert_close(&values(loss), &[formula(y - x, tau, kappa)], 1e-14);
        }

        #[test]
        fn the_gradient_equals_finite_differences(
            u in -1.0..1.0_f64,
            tau in 0.0..1.0,
            kappa in 1e-1..1.0,
        ) {
            // The slope is continuous and jumps in derivative by 1 / kappa at most, so the central
            // difference is off by STEP / kappa at worst, and that only at a join.
            const STEP: f64 = 1e-6;
            let prediction = tensor::<1>([-u]).require_grad();
            let target = tensor::<1>([0.0]).require_grad();
            let loss = quantile_huber(prediction.clone(), target.clone(), tensor([tau]), kappa);
            let slope =
                (formula(u + STEP, tau, kappa) - formula(u - STEP, tau, kappa)) / (2.0 * STEP);

            let gradients = loss.backward();

            let of_prediction = prediction.grad(&gradients).expect("a tracked leaf");
            let of_target = target.grad(&gradients).expect("a tracked leaf");
            assert_close(&values(of_prediction), &[-slope], 2e-5);
            assert_close(&values(of_target), &[slope], 2e-5);
        }
    }

    #[test]
    fn tends_to_the_pinball_loss() {
        let prediction = tensor::<1>([-0.7, -0.1, 0.0, 0.1, 0.7]);
        let target = tensor::<1>([0.0]);
        let tau = tensor::<1>([0.1]);
        let limit = values(pinball(prediction.clone(), target.clone(), tau.clone()));
        let at = |kappa| {
            values(quantile_huber(
                prediction.clone(),
                target.clone(),
                tau.clone(),
                kappa,
            ))
        };

        assert_eq!(at(0.0), limit);
        for kappa in [1e-1, 1e-2, 1e-3] {
            assert_close(&at(kappa), &limit, kappa / 2.0);
        }
    }

    #[test]
    fn many_levels_at_once_equal_a_loop_over_them() {
        let levels = [0.1, 0.5, 0.8];
        let target = tensor::<3>([[[0.3], [0.6]]]);
        let prediction = tensor::<3>([[[0.1, 0.4, 0.9], [0.6, 0.5, 0.7]]]);

        let at_once = quantile_huber(prediction.clone(), target.clone(), tensor([[levels]]), 0.15);

        assert_eq!(at_once.dims(), [1, 2, 3]);
        for (i, tau) in levels.into_iter().enumerate() {
            let column = prediction.clone().narrow(2, i, 1);
            let alone = quantile_huber(column, target.clone(), tensor([[[tau]]]), 0.15);
            let of_all = at_once.clone().narrow(2, i, 1);
            assert_close(&values(of_all), &values(alone), 0.0);
        }
    }

    #[test]
    fn the_configured_loss_has_its_kappa_and_reductions() {
        let loss = QuantileHuberLossConfig::new().with_kappa(0.2).init();
        let prediction = tensor::<2>([[0.9], [0.0]]);
        let target = tensor::<2>([[1.0], [-1.0]]);
        let tau = tensor::<2>([[0.1]]);
        // Residuals 0.1, within kappa, and -1, beyond it.
        let expected = [0.1 * 0.01 / 0.4, 0.9 * (1.0 - 0.1)];
        let sum = expected[0] + expected[1];

        let none = loss.forward_no_reduction(prediction.clone(), target.clone(), tau.clone());

        assert_close(&values(none), &expected, 1e-15);
        for (reduction, expected) in [(Reduction::Sum, sum), (Reduction::Mean, sum / 2.0)] {
            let reduced = loss.forward(prediction.clone(), target.clone(), tau.clone(), reduction);
            assert_close(&values(reduced), &[expected], 1e-15);
        }
        assert_eq!(QuantileHuberLossConfig::new().init().kappa, 0.002);
    }

    #[test]
    fn keeps_the_precision_of_its_arguments() {
        for dtype in [DType::F32, DType::F64] {
            let x = Tensor::<1>::from_data([0.5], (&Device::flex(), dtype));
            assert_eq!(quantile_huber(x.clone(), x.clone(), x, 0.1).dtype(), dtype);
        }
    }

    #[test]
    #[should_panic = "must be finite and not negative, not -0.5"]
    fn a_negative_kappa_is_refused_by_the_configuration() {
        QuantileHuberLossConfig::new().with_kappa(-0.5).init();
    }

    #[test]
    #[should_panic = "must be finite and not negative, not inf"]
    fn an_infinite_kappa_is_refused_by_the_function() {
        quantile_huber::<1>(tensor([0.0]), tensor([0.0]), tensor([0.5]), f64::INFINITY);
    }

    #[test]
    #[should_panic = "prediction [2], target [3] and tau [1] do not broadcast"]
    fn sizes_that_do_not_fit_are_named() {
        quantile_huber::<1>(tensor([0.0; 2]), tensor([0.0; 3]), tensor([0.5]), 0.1);
    }
}

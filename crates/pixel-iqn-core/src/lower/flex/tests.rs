//! Verifies the operations against composed ones, and their gradients against differences in double
//! precision.

use burn::tensor::{Device, Distribution, FloatDType, Gradients, Tensor, TensorData, Tolerance};
use pixel_iqn_kernels::Bfloat16;
use pixel_iqn_loss::{Knots, QuantileFunctions};
use proptest::prelude::*;

use super::{Kernel, convolve, cosines, crps_of_increments, gate, handles, project_tau};
use crate::lower::{self, KernelMask, Lowering, ReceptiveField, composed};

/// The weights of a convolution in single precision.
fn kernel(weight: Tensor<4>, mask: Option<&KernelMask>, field: ReceptiveField) -> Kernel {
    Kernel {
        weight,
        mask: mask.map(|mask| mask.kernel.clone()),
        field,
        bfloat16: None,
    }
}

fn random<const D: usize>(shape: [usize; D]) -> Tensor<D> {
    let device = Device::flex().autodiff();
    Tensor::random(shape, Distribution::Uniform(-1.0, 1.0), &device).require_grad()
}

/// Compares two outputs, and the gradients of every operand under a loss that weighs the outputs.
fn check<const D: usize>(
    custom: Tensor<D>,
    composed: Tensor<D>,
    gradients: impl Fn(&Gradients) -> Vec<TensorData>,
) {
    check_within([1e-5, 1e-4], custom, composed, gradients);
}

/// As [`check`], with the tolerances of the output and of the gradients.
fn check_within<const D: usize>(
    [of_output, of_gradients]: [f32; 2],
    custom: Tensor<D>,
    composed: Tensor<D>,
    gradients: impl Fn(&Gradients) -> Vec<TensorData>,
) {
    let weights = random(custom.dims()).detach();
    // In units of the largest value: a sum that cancels has the error of its terms.
    let close = |a: &TensorData, b: &TensorData, tolerance: f32| {
        let largest = b
            .iter::<f32>()
            .fold(1.0, |largest: f32, value| largest.max(value.abs()));
        let absolute = Tolerance::absolute(tolerance * largest);
        a.assert_approx_eq::<f32>(b, absolute.set_relative(tolerance));
    };
    close(&custom.to_data(), &composed.to_data(), of_output);
    let [custom, composed] =
        [custom, composed].map(|output| gradients(&(output * weights.clone()).sum().backward()));
    for (custom, composed) in custom.iter().zip(&composed) {
        close(custom, composed, of_gradients);
    }
}

/// Compares the derivative of the sum of `weights * f(operands)` along a direction, computed by the
/// gradients of the operation in single precision and by a difference of the composed operation in
/// double precision.
fn check_by_difference<const N: usize>(
    operands: [Tensor<4>; N],
    custom: impl Fn([Tensor<4>; N]) -> Tensor<4>,
    composed: impl Fn([Tensor<4>; N]) -> Tensor<4>,
) {
    const STEP: f64 = 1e-4;
    let output = custom(operands.clone());
    let weights = random(output.dims()).detach();
    let directions = operands.each_ref().map(|x| random(x.dims()).detach());
    let gradients = (output * weights.clone()).sum().backward();
    let slopes = operands.iter().zip(&directions).map(|(x, direction)| {
        let slope = x.grad(&gradients).unwrap() * direction.clone().inner();
        slope.into_scalar_sum()
    });
    let slope: f64 = slopes.sum();

    let double = |x: &Tensor<4>| x.clone().detach().inner().cast(FloatDType::F64);
    let loss = |step: f64| -> f64 {
        let moved = core::array::from_fn(|i| {
            double(&operands[i]) + double(&directions[i]).mul_scalar(step)
        });
        (composed(moved) * double(&weights)).into_scalar_sum()
    };
    let expected = (loss(STEP) - loss(-STEP)) / (2.0 * STEP);
    let scale = expected.abs().max(1.0);
    assert!(
        (slope - expected).abs() < 1e-4 * scale,
        "{slope} is not {expected}"
    );
}

fn field(rows: (isize, isize), columns: (isize, isize), dilation: usize) -> ReceptiveField {
    ReceptiveField {
        rows,
        columns,
        dilation: [dilation; 2],
    }
}

trait Sum {
    fn into_scalar_sum(self) -> f64;
}

impl Sum for Tensor<4> {
    /// Adds up the values in double precision.
    fn into_scalar_sum(self) -> f64 {
        self.into_data().iter::<f64>().sum()
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]

    #[test]
    fn gradients_equal_differences_in_double_precision(
        (batch, height, width) in (1..=2usize, 1..=6usize, 1..=6usize),
        (groups, group, embedding) in (1..=3usize, 1..=5usize, 1..=9usize),
        (inputs, outputs) in prop_oneof![(Just(3), 1..=9usize), (24..=26usize, 24..=26usize)],
    ) {
        let features = 2 * groups * group;
        let field = field((-1, 0), (-1, 1), 1 + batch % 2);
        check_by_difference(
            [
                random([batch, height, width, inputs]),
                random([outputs, inputs, 2, 3]),
                random([1, 1, 1, outputs]),
                random([batch, height, width, outputs]),
            ],
            |[x, weight, bias, base]| {
                convolve(x, kernel(weight, None, field), Some(bias.flatten(0, 2)), Some(base))
            },
            |[x, weight, bias, base]| {
                let bias = Some(bias.flatten(0, 2));
                composed::convolve(x, weight, None, field, bias, Some(base), Lowering::Product)
            },
        );
        // A mask that keeps a block of weights of the last tap, as that of channel groups does.
        let corner = (outputs / 2, inputs / 2);
        let mask: Vec<f32> = (0..outputs * inputs * 2)
            .map(|k| (k / 2 / inputs, k / 2 % inputs, k % 2))
            .map(|(o, i, tap)| f32::from(u8::from(tap == 0 || o >= corner.0 || i < corner.1)))
            .collect();
        let mask = Tensor::<1>::from_data(mask.as_slice(), &Device::flex());
        let mask = KernelMask::new(mask.reshape([outputs, inputs, 1, 2]));
        let row = ReceptiveField { rows: (0, 0), columns: (-1, 0), ..field };
        check_by_difference(
            [random([batch, height, width, inputs]), random([outputs, inputs, 1, 2])],
            |[x, weight]| convolve(x, kernel(weight, Some(&mask), row), None, None),
            |[x, weight]| {
                let mask = KernelMask::new(mask.kernel.clone().cast(FloatDType::F64));
                composed::convolve(x, weight, Some(&mask), row, None, None, Lowering::Product)
            },
        );
        let x = [random([batch, height, width, features])];
        check_by_difference(x, |[x]| gate(x), |[x]| composed::gate(x));
        check_by_difference(
            [
                random([batch, height, width, features]),
                random([1, groups, batch * height * width, embedding]),
                random([1, 2, features / 2, embedding]),
            ],
            |[base, phi, weight]| project_tau(base, phi.squeeze_dim(0), weight.squeeze_dim(0)),
            |[base, phi, weight]| {
                composed::project_tau(base, phi.squeeze_dim(0), weight.squeeze_dim(0))
            },
        );
    }

    #[test]
    fn convolutions_equal_composed_ones(
        (batch, height, width) in (1..=3usize, 1..=12usize, 1..=12usize),
        // From 24 features on some have the products of Winograd.
        (inputs, outputs) in prop_oneof![(1..=20usize, 1..=40usize), (24..=30usize, 24..=40usize)],
        field in prop::sample::select(vec![
            ReceptiveField::POINT,
            ReceptiveField::ABOVE,
            field((-1, 0), (-1, 1), 1),
            field((-3, 0), (-3, 3), 1),
            field((0, 0), (-2, 0), 1),
            field((0, 0), (-2, -1), 1),
            field((-1, 0), (-1, 1), 2),
            field((-2, 0), (-2, 2), 4),
            field((0, 0), (-2, -1), 3),
        ]),
        (biased, by_image, based) in any::<(bool, bool, bool)>(),
    ) {
        let [rows, columns] = field.size();
        let x = random([batch, height, width, inputs]);
        let weight = random([outputs, inputs, rows, columns]);
        let bias = biased.then(|| random([if by_image { batch } else { 1 }, outputs]));
        let base = based.then(|| random([batch, height, width, outputs]));
        for lowering in [Lowering::Product, Lowering::Convolution] {
            let operands = || (x.clone(), weight.clone(), bias.clone(), base.clone());
            let (a, b, c, d) = operands();
            let ours = convolve(a, kernel(b, None, field), c, d);
            let (a, b, c, d) = operands();
            check(ours, composed::convolve(a, b, None, field, c, d, lowering), |gradients| {
                let mut all = vec![
                    x.grad(gradients).unwrap().into_data(),
                    weight.grad(gradients).unwrap().into_data(),
                ];
                all.extend(bias.iter().map(|b| b.grad(gradients).unwrap().into_data()));
                all.extend(base.iter().map(|b| b.grad(gradients).unwrap().into_data()));
                all
            });
        }
    }

    #[test]
    fn convolutions_in_bfloat16_are_near_composed_ones(
        (batch, height, width) in (1..=3usize, 1..=9usize, 4..=9usize),
        (inputs, outputs) in (32..=50usize, 32..=50usize),
        field in prop::sample::select(vec![
            ReceptiveField::POINT,
            field((0, 0), (-2, 0), 1),
            field((0, 0), (-2, -1), 3),
            field((-2, 0), (-2, 2), 2),
        ]),
        masked in any::<bool>(),
    ) {
        // Elsewhere the lowering is that in single precision, and nothing is left to test.
        let Some(bfloat16) = Bfloat16::detect() else { return Ok(()) };
        let [rows, columns] = field.size();
        let x = random([batch, height, width, inputs]);
        let weight = random([outputs, inputs, rows, columns]);
        let mask = masked.then(|| {
            let half = Tensor::<4>::ones([outputs, inputs / 2, rows, columns], &Device::flex());
            let rest = Tensor::zeros([outputs, inputs - inputs / 2, rows, columns], &Device::flex());
            KernelMask::new(Tensor::cat(vec![half, rest], 1))
        });
        let exact = kernel(weight.clone(), mask.as_ref(), field);
        let rounded = Kernel { bfloat16: Some(bfloat16), ..kernel(weight.clone(), mask.as_ref(), field) };
        let exact = convolve(x.clone(), exact, None, None);
        let rounded = convolve(x.clone(), rounded, None, None);
        prop_assert!(exact.to_data() != rounded.to_data(), "nothing was rounded");
        // Each product is off by up to 2^-8 of itself, and the errors of a sum cancel in part.
        check_within([1e-2, 1e-2], rounded, exact, |gradients| {
            [&x, &weight].map(|x| x.grad(gradients).unwrap().into_data()).to_vec()
        });
    }

    #[test]
    fn scores_of_increments_equal_composed_ones(
        (batch, height, width, channels) in (1..=2usize, 1..=9usize, 1..=9usize, 1..=3usize),
        bounded in any::<bool>(),
    ) {
        let knots = Knots::default();
        let bounds = if bounded { [0.0, 1.0] } else { [f64::NEG_INFINITY, f64::INFINITY] };
        let positions = [batch, height, width, channels];
        let increments = random([batch, height, width, channels, knots.len()]);
        let target = random(positions).detach().abs().unsqueeze_dim::<5>(4);
        check(
            crps_of_increments(increments.clone(), &knots, target.clone(), bounds),
            QuantileFunctions::from_increments(increments.clone(), knots.clone())
                .with_bounds(bounds[0], bounds[1])
                .crps(target.clone()),
            |gradients| vec![increments.grad(gradients).unwrap().into_data()],
        );
    }

    #[test]
    fn gates_equal_composed_ones(rows in 1..600usize, features in 1..40usize) {
        let x = random([rows, 2 * features]);
        check(gate(x.clone()), composed::gate(x.clone()), |gradients| {
            vec![x.grad(gradients).unwrap().into_data()]
        });
    }

    #[test]
    fn projections_of_tau_equal_composed_ones(
        (batch, height, width) in (1..=3usize, 1..=12usize, 1..=12usize),
        (groups, group, embedding) in (1..=4usize, 1..=20usize, 1..=40usize),
    ) {
        let base = random([batch, height, width, 2 * groups * group]);
        let phi = random([groups, batch * height * width, embedding]);
        let weight = random([2, groups * group, embedding]);
        check(
            project_tau(base.clone(), phi.clone(), weight.clone()),
            composed::project_tau(base.clone(), phi.clone(), weight.clone()),
            |gradients| {
                vec![
                    base.grad(gradients).unwrap().into_data(),
                    phi.grad(gradients).unwrap().into_data(),
                    weight.grad(gradients).unwrap().into_data(),
                ]
            },
        );
    }

    #[test]
    fn cosines_equal_composed_ones(positions in 1..600usize, n in 1..80usize) {
        let tau = Tensor::random(
            [positions, 1],
            Distribution::Uniform(0.0, 1.0),
            &Device::flex().autodiff(),
        )
        .require_grad();
        // An angle up to 80 pi is rounded by 1e-5.
        let (custom, composed) = (cosines(tau.clone(), n), composed::cosines(tau.clone(), n));
        custom
            .to_data()
            .assert_approx_eq::<f32>(&composed.to_data(), Tolerance::absolute(3e-5));
        let [custom, composed] = [custom, composed]
            .map(|output| tau.grad(&output.sum().backward()).unwrap().into_data());
        // Sums of terms up to 80 pi.
        custom.assert_approx_eq::<f32>(&composed, Tolerance::absolute(1e-1).set_relative(1e-4));
    }
}

#[test]
fn checkpointing_takes_composed_operations() {
    let device = Device::flex().autodiff().gradient_checkpointing();
    let x = Tensor::<2>::ones([2, 4], &device).require_grad();
    assert!(!handles([&x]));
    let y = lower::gate(x.clone());
    let composed = composed::gate(x.clone());
    let gradients = |y: Tensor<2>| x.grad(&y.sum().backward()).unwrap().into_data();
    gradients(y).assert_eq(&gradients(composed), true);
}

#[test]
fn a_base_that_is_used_twice_stays_as_it_is() {
    let device = Device::flex();
    let base = Tensor::<4>::ones([1, 2, 2, 3], &device);
    let x = Tensor::ones([1, 2, 2, 1], &device);
    let weight = Tensor::ones([3, 1, 1, 1], &device);
    let weight = kernel(weight, None, ReceptiveField::POINT);
    let sum = convolve(x, weight, None, Some(base.clone()));
    assert_eq!(sum.sum().into_scalar::<f32>(), 24.0);
    assert_eq!(base.sum().into_scalar::<f32>(), 12.0);
}

use burn::tensor::{Tensor, assert_shape};

use crate::lower::{Lowering, ReceptiveField, convolve};

/// Applies an ordinary convolution, which reads the square around a position, with zeros outside of the
/// image.
///
/// The models have causal convolutions alone. This function is for networks that read whole images, such
/// as a classifier of samples, and gives them the same kernels ([`Lowering::Fastest`]).
///
/// # Shapes
///
/// - `x`: `[batch, height, width, features_in]`
/// - `weight`: `[features_out, features_in, K, K]`
/// - output: `[batch, height, width, features_out]`
///
/// # Panics
///
/// Panics if the weight is not a square of an odd size, or has another number of features than `x`.
pub fn same_convolution(x: Tensor<4>, weight: Tensor<4>) -> Tensor<4> {
    let [_, features, size, _] = weight.dims();
    assert!(
        size % 2 == 1,
        "the size of a kernel must be odd, and not {size}"
    );
    assert_shape!(weight, [_, features, size, size]);
    assert_shape!(x, [_, _, _, features]);
    let half = size as isize / 2;
    let field = ReceptiveField {
        rows: (-half, half),
        columns: (-half, half),
        dilation: [1, 1],
    };
    convolve(x, weight, None, field, None, None, Lowering::Fastest)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::module::conv2d;
    use burn::tensor::ops::ConvOptions;
    use burn::tensor::{Device, Distribution, Tolerance};

    #[test]
    fn equals_the_convolution_of_the_backend_and_so_do_its_gradients() {
        let device = Device::flex().autodiff();
        let uniform = Distribution::Uniform(-1.0, 1.0);
        for ([height, width], [inputs, outputs], size) in [
            ([6, 5], [3, 4], 3),
            // Features from which on some convolutions have the products of Winograd.
            ([9, 8], [24, 25], 3),
            ([4, 7], [2, 1], 5),
            ([1, 1], [5, 3], 3),
            ([3, 2], [4, 2], 1),
        ] {
            let x = Tensor::<4>::random([2, height, width, inputs], uniform, &device);
            let weight = Tensor::<4>::random([outputs, inputs, size, size], uniform, &device);
            let scale = Tensor::<4>::random([2, height, width, outputs], uniform, &device);
            let [x, weight] = [x, weight].map(Tensor::require_grad);
            let options =
                ConvOptions::new_with_padding([1; 2], [(size / 2, size / 2); 2], [1; 2], 1);
            let theirs = conv2d(
                x.clone().permute([0, 3, 1, 2]),
                weight.clone(),
                None,
                options,
            )
            .permute([0, 2, 3, 1]);
            let results = [same_convolution(x.clone(), weight.clone()), theirs].map(|y| {
                let gradients = (y.clone() * scale.clone()).sum().backward();
                let [dx, dweight] = [&x, &weight].map(|x| x.grad(&gradients).unwrap().into_data());
                [y.into_data(), dx, dweight]
            });
            let [ours, theirs] = results;
            for (ours, theirs) in ours.iter().zip(&theirs) {
                let tolerance = Tolerance::absolute(1e-4).set_relative(1e-4);
                ours.assert_approx_eq::<f32>(theirs, tolerance);
            }
        }
    }

    #[test]
    #[should_panic(expected = "must be odd, and not 2")]
    fn refuses_even_sizes() {
        let device = Device::flex();
        same_convolution(
            Tensor::zeros([1, 4, 4, 1], &device),
            Tensor::zeros([1, 1, 2, 2], &device),
        );
    }
}

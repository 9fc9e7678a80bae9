use burn::tensor::{FloatDType, Tensor};

/// Computes the crossing rate of predicted quantiles: the fraction of all pairs of neighbouring
/// quantile levels whose quantiles are in the wrong order.
///
/// ```text
/// rate = mean of 1{Q(τ_i) > Q(τ_{i+1})} over all i and all forecasts
/// ```
///
/// The quantile function of a distribution never decreases, so a model whose quantiles cross
/// predicts no distribution there; 0 is a model whose quantiles never do. Equal neighbours are in
/// the right order. It has no unit and no gradient.
///
/// # Shapes
///
/// - quantiles: `[.., levels, ..]`, by ascending quantile level along the axis `dim`
/// - output: `[1]`, in `[0, 1]`
///
/// # Panics
///
/// Panics if `dim` is not an axis, or if it has fewer than 2 levels.
///
/// # Example
///
/// The second forecast has one crossing, out of four pairs in all:
///
/// ```
/// use burn::tensor::{Device, Tensor};
///
/// let quantiles = Tensor::<2>::from_floats([[0.1, 0.5, 0.9], [0.2, 0.7, 0.6]], &Device::flex());
/// assert_eq!(pixel_iqn_loss::crossing_rate(quantiles, 1).into_scalar::<f32>(), 0.25);
/// ```
pub fn crossing_rate<const D: usize>(quantiles: Tensor<D>, dim: usize) -> Tensor<1> {
    let dims = quantiles.dims();
    assert!(dim < D, "quantiles {dims:?} have no axis {dim}");
    let levels = dims[dim];
    assert!(
        levels >= 2,
        "quantiles {dims:?} have no neighbours on axis {dim}: it must have 2 levels or more"
    );
    let dtype = FloatDType::from(quantiles.dtype());
    let quantiles = quantiles.detach();
    let lower = quantiles.clone().narrow(dim, 0, levels - 1);
    let upper = quantiles.narrow(dim, 1, levels - 1);
    lower.greater(upper).cast(dtype).mean()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{assert_close, tensor, values};
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn it_counts_the_wrong_pairs_along_any_axis(
            rows in prop::collection::vec(prop::array::uniform4(0_u8..4), 1..6),
        ) {
            let wrong: usize = rows
                .iter()
                .map(|row| row.windows(2).filter(|pair| pair[0] > pair[1]).count())
                .sum();
            let expected = wrong as f64 / (3 * rows.len()) as f64;
            let flat: Vec<f64> = rows.iter().flatten().map(|&x| x.into()).collect();
            let quantiles = tensor::<1>(flat.as_slice()).reshape([rows.len(), 4]);

            let along_1 = crossing_rate(quantiles.clone(), 1);
            let along_0 = crossing_rate(quantiles.transpose(), 0);

            assert_close(&values(along_1), &[expected], 1e-15);
            assert_close(&values(along_0), &[expected], 1e-15);
        }
    }

    #[test]
    #[should_panic = "quantiles [2, 1] have no neighbours on axis 1"]
    fn one_level_is_refused() {
        crossing_rate::<2>(tensor([[0.0]; 2]), 1);
    }

    #[test]
    #[should_panic = "quantiles [2, 1] have no axis 2"]
    fn an_axis_that_is_not_there_is_refused() {
        crossing_rate::<2>(tensor([[0.0]; 2]), 2);
    }
}

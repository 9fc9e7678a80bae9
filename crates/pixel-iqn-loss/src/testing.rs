//! Tensors in double precision, so that tests need not allow for rounding.

use burn::tensor::{DType, Device, Tensor, TensorData};

/// An untracked `f64` tensor that autodiff can be asked for.
pub fn tensor<const D: usize>(data: impl Into<TensorData>) -> Tensor<D> {
    Tensor::from_data(data, (&Device::flex().autodiff(), DType::F64))
}

/// The elements of a tensor, which must be of `f64`.
pub fn values<const D: usize>(tensor: Tensor<D>) -> Vec<f64> {
    tensor.into_data().try_to_vec().expect("a tensor of f64")
}

pub fn assert_close(actual: &[f64], expected: &[f64], tolerance: f64) {
    assert_eq!(actual.len(), expected.len());
    for (index, (a, e)) in actual.iter().zip(expected).enumerate() {
        assert!((a - e).abs() <= tolerance, "at {index}: {a} is not {e}");
    }
}

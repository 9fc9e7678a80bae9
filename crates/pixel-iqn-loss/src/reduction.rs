use burn::{nn::loss::Reduction, tensor::Tensor};

/// Reduces the losses of all elements to one number. [`Reduction::BatchMean`] takes the first axis
/// for the batch, as Burn does.
pub(crate) fn reduce<const D: usize>(loss: Tensor<D>, reduction: Reduction) -> Tensor<1> {
    match reduction {
        Reduction::Mean | Reduction::Auto => loss.mean(),
        Reduction::Sum => loss.sum(),
        Reduction::BatchMean => {
            let batch_size = loss.dims()[0];
            loss.sum().div_scalar(batch_size as f64)
        }
    }
}

use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::{Device, Int, Tensor};

use crate::draw::normal;
use crate::order::Order;

/// The configuration of a [`LabelEmbedding`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct LabelEmbeddingConfig {
    /// The number of classes, or of orders.
    pub classes: usize,
    /// The number of features of the bias.
    pub features: usize,
}

/// Class conditioning by a learned bias for each class and feature, the same at every position (van
/// den Oord et al. 2016, equation 4). The generation order conditions a model in the same way (our
/// choice).
///
/// Should be created with [`LabelEmbeddingConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct LabelEmbedding {
    /// The biases, `[classes, features]`, initialised from a standard normal distribution.
    pub weight: Param<Tensor<2>>,
}

impl LabelEmbeddingConfig {
    /// Creates the layer.
    pub fn init(&self, device: &Device) -> LabelEmbedding {
        LabelEmbedding {
            weight: normal([self.classes, self.features], device),
        }
    }
}

impl LabelEmbedding {
    /// Looks up the biases of the images' classes. An image without a class, such as one whose
    /// label was dropped in training, has a bias of 0 (our choice).
    ///
    /// # Shapes
    ///
    /// - `labels`: `[batch]`, each a class, or the number of classes for an image without one
    /// - output: `[batch, 1, 1, features]`
    pub fn forward(&self, labels: Tensor<1, Int>) -> Tensor<4> {
        let weight = self.weight.val();
        let ([batch], [_, features]) = (labels.dims(), weight.dims());
        let no_class = Tensor::zeros([1, features], &weight.device());
        Tensor::cat(vec![weight, no_class], 0)
            .select(0, labels)
            .reshape([batch, 1, 1, features])
    }

    /// Looks up the biases of a generation order.
    ///
    /// # Shapes
    ///
    /// - output: `[features]`
    ///
    /// # Panics
    ///
    /// Panics if the layer has no bias for the order.
    pub fn of_order(&self, order: Order) -> Tensor<1> {
        let weight = self.weight.val();
        let [orders, _] = weight.dims();
        assert!(
            order.index() < orders,
            "this model has {orders} generation orders, not one of index {order}"
        );
        weight.narrow(0, order.index(), 1).squeeze_dim(0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_image_without_a_class_has_no_bias() {
        let device = Device::flex();
        let mut embedding = LabelEmbeddingConfig::new(2, 3).init(&device);
        embedding.weight = embedding.weight.map(|weight| weight.ones_like());
        let labels = Tensor::from_data([1, 2], &device);
        let bias = embedding.forward(labels).into_data();
        let bias: Vec<f32> = bias.iter().collect();
        assert_eq!(bias, [1.0, 1.0, 1.0, 0.0, 0.0, 0.0]);
    }
}

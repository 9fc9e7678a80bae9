use burn::config::Config;
use burn::module::{Initializer, Module, Param};
use burn::tensor::{Device, Int, Tensor};

/// Configuration of a [`LabelEmbedding`].
#[derive(Config, Debug)]
pub struct LabelEmbeddingConfig {
    /// Number of classes.
    pub classes: usize,
    /// Features of the bias.
    pub features: usize,
}

/// Label conditioning: a learned bias per class and feature, the same at every position (van den
/// Oord et al. 2016, equation 4).
///
/// Should be created with [`LabelEmbeddingConfig`].
#[derive(Module, Debug)]
pub struct LabelEmbedding {
    /// `[classes, features]`, initialised standard normal.
    pub weight: Param<Tensor<2>>,
}

impl LabelEmbeddingConfig {
    /// Creates the layer.
    pub fn init(&self, device: &Device) -> LabelEmbedding {
        let normal = Initializer::Normal {
            mean: 0.0,
            std: 1.0,
        };
        LabelEmbedding {
            weight: normal.init([self.classes, self.features], device),
        }
    }
}

impl LabelEmbedding {
    /// # Shapes
    ///
    /// - `labels`: `[batch]`, each a class, or the number of classes for an image without one,
    ///   whose bias is 0 (label dropout; our choice)
    /// - output: `[batch, 1, 1, features]`
    pub fn forward(&self, labels: Tensor<1, Int>) -> Tensor<4> {
        let weight = self.weight.val();
        let ([batch], [_, features]) = (labels.dims(), weight.dims());
        let no_class = Tensor::zeros([1, features], &weight.device());
        Tensor::cat(vec![weight, no_class], 0)
            .select(0, labels)
            .reshape([batch, 1, 1, features])
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

use burn::module::{Module, Param};
use burn::nn::{BatchNorm, BatchNormConfig, Linear, LinearConfig};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, TensorData, s};
use pixel_iqn_core::{Noise, same_convolution};

use super::ClassifierConfig;

/// The residual network of a [`ClassifierConfig`]. Its feature maps are `[batch, height, width, features]`,
/// as the kernels of the convolutions have them.
#[derive(Module, Debug)]
pub(super) struct ResNet {
    input: Layer,
    blocks: Vec<Block>,
    output: Linear,
}

/// Two convolutions, and a shortcut around them without parameters (option A of the paper).
#[derive(Module, Debug)]
struct Block {
    first: Layer,
    second: Layer,
}

/// A 3x3 convolution without a bias, and the batch normalisation of its output.
#[derive(Module, Debug)]
struct Layer {
    /// The weights, `[features_out, features_in, 3, 3]`.
    weight: Param<Tensor<4>>,
    norm: BatchNorm,
    /// The distance of the positions that are kept, in rows and columns.
    stride: usize,
}

impl ResNet {
    /// Creates the network with weights that follow from the seed of the config alone.
    pub fn init(
        config: &ClassifierConfig,
        channels: usize,
        classes: usize,
        device: &Device,
    ) -> Self {
        let mut weights = Weights {
            noise: Noise::new(config.seed ^ u64::from_be_bytes(*b"classify")),
            tensors: 0,
        };
        let input = weights.layer(channels, config.features, 1, device);
        let mut blocks = Vec::new();
        let mut features = config.features;
        for stage in 0..3 {
            for block in 0..config.blocks {
                let halves = stage > 0 && block == 0;
                let wider = if halves { 2 * features } else { features };
                let stride = if halves { 2 } else { 1 };
                blocks.push(Block {
                    first: weights.layer(features, wider, stride, device),
                    second: weights.layer(wider, wider, 1, device),
                });
                features = wider;
            }
        }
        Self {
            input,
            blocks,
            output: weights.linear(features, classes, device),
        }
    }

    /// Computes the logits of the classes.
    ///
    /// # Shapes
    ///
    /// - `images`: `[batch, channels, height, width]`, normalised
    /// - output: `[batch, classes]`
    pub fn forward(&self, images: Tensor<4>) -> Tensor<2> {
        let mut x = relu(self.input.forward(images.permute([0, 2, 3, 1])));
        for block in &self.blocks {
            x = block.forward(x);
        }
        let [batch, .., features] = x.dims();
        let means = x.reshape([batch as i32, -1, features as i32]).mean_dim(1);
        self.output.forward(means.reshape([batch, features]))
    }
}

impl Block {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = relu(self.first.forward(x.clone()));
        let y = self.second.forward(y);
        relu(y + self.shortcut(x))
    }

    /// Every second pixel where the block halves the resolution, and zeros for features that the input
    /// does not have.
    fn shortcut(&self, x: Tensor<4>) -> Tensor<4> {
        let x = every(self.first.stride, x);
        let [batch, height, width, features] = x.dims();
        let [wider, ..] = self.first.weight.dims();
        if wider == features {
            return x;
        }
        let zeros = Tensor::zeros([batch, height, width, wider - features], &x.device());
        Tensor::cat(vec![x, zeros], 3)
    }
}

impl Layer {
    fn forward(&self, x: Tensor<4>) -> Tensor<4> {
        let y = every(self.stride, same_convolution(x, self.weight.val()));
        let [batch, height, width, features] = y.dims();
        let y = y.reshape([batch * height * width, features]);
        let y = self.norm.forward(y);
        y.reshape([batch, height, width, features])
    }
}

/// Every position of a stride of 1, every second one of a stride of 2, in rows and columns.
fn every(stride: usize, x: Tensor<4>) -> Tensor<4> {
    match stride as isize {
        1 => x,
        stride => x.slice(s![.., ..;stride, ..;stride, ..]),
    }
}

/// Random weights, tensor after tensor.
struct Weights {
    noise: Noise,
    tensors: u64,
}

impl Weights {
    /// Draws evenly, with the mean 0 and the variance of He et al. (2015), 2 divided by the inputs of an
    /// output.
    fn draw<const D: usize>(
        &mut self,
        shape: [usize; D],
        inputs: usize,
        device: &Device,
    ) -> Param<Tensor<D>> {
        let bound = (6.0 / inputs as f32).sqrt();
        let uniform = self.noise.uniform(self.tensors, shape.iter().product());
        self.tensors += 1;
        let values: Vec<f32> = uniform
            .into_iter()
            .map(|u| bound * (2.0 * u - 1.0))
            .collect();
        Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
    }

    fn layer(&mut self, inputs: usize, outputs: usize, stride: usize, device: &Device) -> Layer {
        Layer {
            weight: self.draw([outputs, inputs, 3, 3], 9 * inputs, device),
            norm: BatchNormConfig::new(outputs).init(device),
            stride,
        }
    }

    fn linear(&mut self, inputs: usize, outputs: usize, device: &Device) -> Linear {
        let mut layer = LinearConfig::new(inputs, outputs).init(device);
        layer.weight = self.draw([inputs, outputs], inputs, device);
        layer.bias = Some(Param::from_tensor(Tensor::zeros([outputs], device)));
        layer
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn has_the_layers_and_parameters_of_the_paper() {
        let device = Device::flex();
        let network = ResNet::init(&ClassifierConfig::resnet56(), 3, 10, &device);
        // Two convolutions in each of 27 blocks, the first one, and the linear layer: 56.
        assert_eq!(2 * network.blocks.len() + 2, 56);
        // 0.85 million in table 6 of the paper; the running means and variances are none.
        let running = 2 * (16 * 19 + 32 * 18 + 64 * 18);
        assert_eq!(network.num_params() - running, 853_018);
    }

    #[test]
    fn odd_sizes_and_grey_images_go_through_and_seeds_make_other_weights() {
        let device = Device::flex();
        let config = ClassifierConfig::small().with_features(4);
        let network = ResNet::init(&config, 1, 3, &device);
        let image = Tensor::ones([2, 1, 7, 10], &device);
        let logits = network.forward(image.clone());
        assert_eq!(logits.dims(), [2, 3]);
        let same = ResNet::init(&config, 1, 3, &device).forward(image.clone());
        assert_eq!(same.to_data(), logits.to_data());
        let other = ResNet::init(&config.with_seed(1), 1, 3, &device).forward(image);
        assert_ne!(other.to_data(), logits.to_data());
    }
}

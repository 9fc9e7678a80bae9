use std::collections::HashMap;

use burn::tensor::activation::relu;
use burn::tensor::module::{avg_pool2d, conv2d, max_pool2d};
use burn::tensor::ops::{AvgPoolOptions, ConvOptions, MaxPoolOptions};
use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_kernels::Window;

use super::architecture::{Conv, Engine};
use super::weights::InceptionWeights;

/// The network on a batch, on any of Burn's devices.
#[derive(Debug, Clone)]
pub(super) struct TensorEngine {
    /// Weight, `[outputs, inputs, height, width]`, and bias, `[outputs]`.
    convs: HashMap<String, (Tensor<4>, Tensor<1>)>,
    pub device: Device,
}

impl TensorEngine {
    pub fn new(weights: &InceptionWeights, device: &Device) -> Self {
        let convs = weights.convs.iter().map(|(name, conv)| {
            let weight = TensorData::new(conv.weight.clone(), conv.shape);
            let bias = Tensor::from_floats(conv.bias.as_slice(), device);
            (name.clone(), (Tensor::from_data(weight, device), bias))
        });
        Self {
            convs: convs.collect(),
            device: device.clone(),
        }
    }
}

impl Engine for TensorEngine {
    /// `[batch, channels, height, width]`
    type Map = Tensor<4>;

    fn conv(&self, name: &str, x: &Tensor<4>, conv: Conv) -> Tensor<4> {
        let Window { stride, padding } = conv.window;
        let (weight, bias) = self.convs[name].clone();
        let options = ConvOptions::new([stride; 2], padding, [1, 1], 1);
        relu(conv2d(x.clone(), weight, Some(bias), options))
    }

    fn max_pool(&self, x: &Tensor<4>, window: Window) -> Tensor<4> {
        let Window { stride, padding } = window;
        let options = MaxPoolOptions::new([3, 3]);
        max_pool2d(
            x.clone(),
            options.with_stride([stride; 2]).with_padding(padding),
        )
    }

    fn avg_pool(&self, x: &Tensor<4>) -> Tensor<4> {
        let options = AvgPoolOptions::new([3, 3]).with_stride([1, 1]);
        let options = options.with_padding([1, 1]).with_count_include_pad(false);
        avg_pool2d(x.clone(), options)
    }

    fn concat(&self, maps: Vec<Tensor<4>>) -> Tensor<4> {
        Tensor::cat(maps, 1)
    }
}

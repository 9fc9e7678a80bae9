use crate::config::ModelConfig;
use crate::output::Output;

impl ModelConfig {
    /// Counts the floating-point operations of a training step for one pixel: those of a forward
    /// pass, [`pixel_flops`](Self::pixel_flops), and twice as many for the backward pass.
    pub fn training_flops(&self) -> usize {
        3 * self.pixel_flops()
    }

    /// Counts the floating-point operations of a forward pass for one pixel with all its channels:
    /// two for each product with a weight that the masks keep. Taps that lead out of the image are
    /// counted too.
    pub fn pixel_flops(&self) -> usize {
        let (channels, features) = (self.channels, self.features);
        let group = features / channels;
        // The pairs of groups of a masked product: those before the output's own (mask A), and
        // those up to it (mask B).
        let before = channels * (channels - 1) / 2;
        let up_to = before + channels;
        let layers = (0..self.layers).map(|layer| {
            let (input, kernel, reads) = match layer {
                0 => (channels, self.input_kernel, before),
                _ => (features, self.kernel, up_to),
            };
            let half = kernel / 2;
            let vertical = (half + 1) * kernel * input * 2 * features;
            let from_above = 4 * features * features;
            let left = half * input * 2 * features;
            let centre = reads * (input / channels) * 2 * group;
            vertical + from_above + left + centre + up_to * group * group
        });
        let trunk = layers.sum::<usize>() + up_to * group * group;
        let tau = |tau_features: usize| tau_features * 2 * features;
        let output = match self.output {
            Output::Gates {
                cosines,
                tau_features,
            } => {
                let embedding = channels * cosines * tau_features;
                embedding + self.layers * tau(tau_features) + up_to * group
            }
            Output::Head {
                blocks,
                cosines,
                tau_features,
            } => {
                let embedding = channels * cosines * tau_features;
                let block = 3 * channels * group * group + tau(tau_features);
                embedding + blocks * block + features
            }
            Output::Monotone { ref knots } => up_to * group * knots.len(),
            Output::Categorical { levels } => up_to * group * levels,
        };
        2 * (trunk + output)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{GatedPixelCnn, PixelIqn, QuantileOutput, Trunk};
    use burn::module::{Module, ModuleMapper, Param};
    use burn::tensor::{Device, Tensor};
    use pixel_iqn_loss::Knots;

    /// Sets every weight to 1, since one in millions of random ones is exactly zero.
    struct Ones;

    impl ModuleMapper for Ones {
        fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
            param.map(|weight| weight.ones_like())
        }
    }

    /// Counts the weights that are used. Only those that a mask removes are zero.
    fn used<const D: usize>(weight: Tensor<D>) -> usize {
        let values: Vec<f32> = weight.into_data().try_to_vec().unwrap();
        values.iter().filter(|&&value| value != 0.0).count()
    }

    fn trunk(trunk: &Trunk) -> usize {
        let layers = trunk.layers.iter().map(|layer| {
            used(layer.vertical.weight.val())
                + used(layer.horizontal.masked_weight())
                + used(layer.vertical_to_horizontal.weight.val())
                + used(layer.output.masked_weight())
                + layer.tau.as_ref().map_or(0, |tau| used(tau.weight.val()))
        });
        layers.sum::<usize>() + used(trunk.hidden.masked_weight())
    }

    fn quantile(model: &PixelIqn, config: &ModelConfig) -> usize {
        let (embedding, out) = match &model.output {
            QuantileOutput::Monotone(output) => {
                return trunk(&model.trunk) + used(output.out.masked_weight());
            }
            QuantileOutput::Gates(output) => {
                (&output.tau_embedding, used(output.out.masked_weight()))
            }
            QuantileOutput::Head(output) => {
                let blocks = output.head_blocks.iter().map(|block| {
                    let input = block.input.iter().map(|half| used(half.weight.val()));
                    let tau = used(block.tau.weight.val());
                    input.sum::<usize>() + tau + used(block.output.weight.val())
                });
                let blocks = blocks.sum::<usize>();
                (
                    &output.tau_embedding,
                    blocks + used(output.out.weight.val()),
                )
            }
        };
        // The embedding is computed for each channel's tau.
        let embedding = config.channels * used(embedding.linear.weight.val());
        trunk(&model.trunk) + out + embedding
    }

    fn categorical(model: &GatedPixelCnn) -> usize {
        trunk(&model.trunk) + used(model.output.out.masked_weight())
    }

    #[test]
    fn every_used_weight_is_one_product() {
        let device = Device::flex();
        for channels in [1, 2, 3] {
            let config = ModelConfig::tiny().with_channels(channels).with_kernel(5);
            let model = config.init_pixel_iqn(&device).map(&mut Ones);
            assert_eq!(config.pixel_flops(), 2 * quantile(&model, &config));
            let head = config.clone().with_output(Output::head(2, 16, 8));
            let model = head.init_pixel_iqn(&device).map(&mut Ones);
            assert_eq!(head.pixel_flops(), 2 * quantile(&model, &head));
            let monotone = config
                .clone()
                .with_output(Output::monotone(&Knots::default()));
            let model = monotone.init_pixel_iqn(&device).map(&mut Ones);
            assert_eq!(monotone.pixel_flops(), 2 * quantile(&model, &monotone));
            let config = config.with_output(Output::categorical(16));
            let model = config.init_gated_pixel_cnn(&device).map(&mut Ones);
            assert_eq!(config.pixel_flops(), 2 * categorical(&model));
        }
    }
}

//! The weights of the horizontal stack and of the layers after the trunk, split by channel group,
//! so that the outputs of a group can be computed alone, from the inputs that they may read.

use burn::tensor::Tensor;

use crate::config::ModelConfig;
use crate::gated_layer::GatedLayer;
use crate::lower::gates_by_group;
use crate::pointwise::{GroupedPointwise, MaskedPointwise};
use crate::tau::TauProjection;
use crate::tau_head::TauHeadBlock;

/// A 1x1 convolution split by channel group: for each group, the weights from the inputs that it
/// may read to its outputs.
#[derive(Debug)]
pub(super) struct ByGroup {
    /// The weights of each group, `[inputs, outputs]`.
    weight: Vec<Tensor<2>>,
    /// The biases of each group, `[1, outputs]`.
    bias: Vec<Tensor<2>>,
}

impl ByGroup {
    /// Splits a masked convolution, in which a group reads the groups up to its own.
    pub(super) fn masked(layer: &MaskedPointwise, groups: usize) -> Self {
        let weight = layer.masked_weight();
        let [outputs, inputs] = weight.dims().map(|features| features / groups);
        let weight = (0..groups).map(|group| {
            let rows = weight.clone().narrow(0, group * outputs, outputs);
            rows.narrow(1, 0, (group + 1) * inputs).transpose()
        });
        let bias = layer.bias.val().reshape([groups, outputs]);
        Self {
            weight: weight.collect(),
            bias: bias.split(1, 0),
        }
    }

    /// Splits grouped convolutions, in which a group reads its own inputs, and joins the outputs of
    /// all of them.
    pub(super) fn grouped(layers: &[&GroupedPointwise]) -> Self {
        let (weights, biases): (Vec<_>, Vec<_>) =
            layers.iter().map(|layer| layer.matrices()).unzip();
        let split = |tensors| -> Vec<Tensor<2>> {
            let groups = Tensor::<3>::cat(tensors, 2).split(1, 0);
            groups
                .into_iter()
                .map(|group| group.squeeze_dim(0))
                .collect()
        };
        Self {
            weight: split(weights),
            bias: split(biases),
        }
    }

    /// The weights and biases of one group, `[inputs, outputs]` and `[1, outputs]`.
    #[cfg(feature = "cube")]
    pub(super) fn of_group(&self, group: usize) -> (Tensor<2>, Tensor<2>) {
        (self.weight[group].clone(), self.bias[group].clone())
    }

    /// Computes the outputs of one group.
    ///
    /// # Shapes
    ///
    /// - `x`: `[batch, inputs]`
    /// - output: `[batch, outputs]`
    pub(super) fn forward(&self, group: usize, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight[group].clone()) + self.bias[group].clone()
    }
}

/// The weights of the horizontal stack of a layer.
#[derive(Debug)]
pub(super) struct LayerWeights {
    /// The weights of the taps left of the pixel, the farthest first, `[K / 2 * input, 2 F]`, with
    /// the outputs in the order of [`gates_by_group`]; `None` for a kernel of one pixel.
    pub left: Option<Tensor<2>>,
    /// The weights of the pixel itself, `[inputs, 2 F / C]` for each group, from the groups that it
    /// may read; `None` for the first group under mask A, which reads nothing.
    pub centre: Vec<Option<Tensor<2>>>,
    /// The distance of neighbouring taps.
    pub dilation: usize,
    /// The 1x1 convolution from the gated features.
    pub output: ByGroup,
}

impl LayerWeights {
    /// Splits the horizontal stack of a layer.
    pub(super) fn new(layer: &GatedLayer, config: &ModelConfig) -> Self {
        let groups = config.channels;
        let weight = layer.horizontal.masked_weight();
        let [output, input, _, taps] = weight.dims();
        // The axes go from [2 F, input, 1, taps] to [1, taps, input, 2 F], then the outputs are
        // ordered by group.
        let weight = gates_by_group(
            weight
                .permute([2, 3, 1, 0])
                .reshape([1, 1, taps * input, output]),
            groups,
        )
        .reshape([taps * input, output]);
        let left = (taps - 1) * input;
        let centre = (0..groups).map(|group| {
            let reads = if layer.is_first() { group } else { group + 1 } * input / groups;
            (reads > 0).then(|| {
                let columns = weight
                    .clone()
                    .narrow(1, group * output / groups, output / groups);
                columns.narrow(0, left, reads)
            })
        });
        Self {
            centre: centre.collect(),
            left: (left > 0).then(|| weight.clone().narrow(0, 0, left)),
            dilation: layer.horizontal.dilation(),
            output: ByGroup::masked(&layer.output, groups),
        }
    }
}

/// The weights of a block after the trunk.
#[derive(Debug)]
pub(super) struct BlockWeights {
    /// The 1x1 convolution to both gate halves.
    pub input: ByGroup,
    /// The projection of the quantile embedding to both gate halves.
    pub tau: TauProjection,
    /// The 1x1 convolution from the gated features.
    pub output: ByGroup,
}

impl From<&TauHeadBlock> for BlockWeights {
    fn from(block: &TauHeadBlock) -> Self {
        Self {
            input: ByGroup::grouped(&block.input.iter().collect::<Vec<_>>()),
            tau: block.tau.clone(),
            output: ByGroup::grouped(&[&block.output]),
        }
    }
}

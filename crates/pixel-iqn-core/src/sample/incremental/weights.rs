//! The horizontal stack and the head, cut by channel group, so that a group's outputs can be
//! computed alone and from nothing but the inputs that they may read.

use burn::tensor::Tensor;

use crate::config::ModelConfig;
use crate::gated_layer::GatedLayer;
use crate::lower::gates_by_group;
use crate::pointwise::{GroupedPointwise, MaskedPointwise};
use crate::tau::TauProjection;
use crate::tau_head::TauHeadBlock;

/// One product per channel group: the group's outputs from the inputs that it may read.
#[derive(Debug)]
pub(super) struct ByGroup {
    /// `[inputs, outputs]`
    weight: Vec<Tensor<2>>,
    /// `[1, outputs]`
    bias: Vec<Tensor<2>>,
}

impl ByGroup {
    /// A group reads the groups up to its own.
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

    /// A group reads its own inputs; the outputs of the layers lie side by side.
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

    /// # Shapes
    ///
    /// - `x`: `[batch, inputs]`
    /// - output: `[batch, outputs]`
    pub(super) fn forward(&self, group: usize, x: Tensor<2>) -> Tensor<2> {
        x.matmul(self.weight[group].clone()) + self.bias[group].clone()
    }
}

/// The horizontal stack of a layer.
#[derive(Debug)]
pub(super) struct LayerWeights {
    /// The taps left of the pixel, the farthest first: `[K / 2 * input, 2 F]`, the outputs in the
    /// order of [`gates_by_group`]. None for a kernel of one pixel.
    pub left: Option<Tensor<2>>,
    /// The pixel itself, by group: `[inputs, 2 F / C]` of the groups that it may read, none for
    /// the first group under mask A.
    pub centre: Vec<Option<Tensor<2>>>,
    /// The bias of the convolution, `[1, 1, C, 2 F / C]`.
    pub bias: Tensor<4>,
    /// From the gated features.
    pub output: ByGroup,
}

impl LayerWeights {
    pub(super) fn new(layer: &GatedLayer, config: &ModelConfig) -> Self {
        let groups = config.channels;
        let weight = layer.horizontal.masked_weight();
        let [output, input, _, taps] = weight.dims();
        // [2 F, input, 1, taps] to [1, taps, input, 2 F], then the outputs by group.
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
        let bias = layer.horizontal.bias.val().reshape([1, 1, 1, output]);
        Self {
            centre: centre.collect(),
            left: (left > 0).then(|| weight.clone().narrow(0, 0, left)),
            bias: gates_by_group(bias, groups),
            output: ByGroup::masked(&layer.output, groups),
        }
    }
}

/// A block after the trunk.
#[derive(Debug)]
pub(super) struct BlockWeights {
    /// To both gate halves.
    pub input: ByGroup,
    pub tau: TauProjection,
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

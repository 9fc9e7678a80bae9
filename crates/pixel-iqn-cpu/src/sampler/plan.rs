//! The weights of a model, packed in the order of their use.
//!
//! The inputs of the gates are ordered by channel group, with the two gate halves of a group side
//! by side, so that a group is one contiguous range of columns.

use burn::tensor::Tensor;
use pixel_iqn_core::{
    GatedLayer, GatedPixelCnn, GroupedPointwise, Knots, LabelEmbedding, MaskedPointwise,
    ModelConfig, PixelIqn, PixelModel, QuantileOutput, TauEmbedding, TauProjection, Trunk,
};
use pixel_iqn_kernels::Panels;

use super::unknown;
use super::vertical::VerticalWeights;

/// A compiled model.
#[derive(Debug)]
pub(super) struct Plan {
    pub config: ModelConfig,
    /// The number of features of a channel group.
    pub group: usize,
    pub layers: Vec<Layer>,
    /// The hidden 1x1 layer, for each group.
    pub hidden: Vec<GroupLinear>,
    /// The embedding of tau and the blocks that it enters, for a model that predicts quantiles.
    pub tau: Option<TauWeights>,
    pub output: OutputWeights,
}

/// The weights of a gated layer.
#[derive(Debug)]
pub(super) struct Layer {
    /// The number of features in.
    pub input: usize,
    /// Half the kernel size, rounded down: the number of taps on each side of the position.
    pub half: usize,
    /// The distance of neighbouring taps.
    pub dilation: usize,
    /// The distance of the farthest tap, `half * dilation`.
    pub reach: usize,
    pub vertical: VerticalWeights,
    pub vertical_bias: Vec<f32>,
    pub vertical_to_horizontal: Panels,
    /// The biases of the horizontal convolution and of `vertical_to_horizontal`, added up.
    pub horizontal_bias: Vec<f32>,
    /// The weights of the taps left of the pixel, the farthest first, `[half * input, 2 F]`.
    pub left: Panels,
    /// The weights of the pixel itself, for each group, from the inputs that the group may read.
    pub centre: Vec<Panels>,
    /// The 1x1 convolution, for each group, from the gated features of the groups up to its own.
    pub output: Vec<GroupLinear>,
    /// The projection of the embedding of tau, for each group; empty where tau does not enter the
    /// gates.
    pub tau: Vec<Panels>,
    /// The class biases of the vertical stack, `[classes, 2 F]`; empty for an unconditional model.
    pub label_vertical: Vec<f32>,
    /// The class biases of the horizontal stack, `[classes, 2 F]`; empty for an unconditional
    /// model.
    pub label_horizontal: Vec<f32>,
    /// The biases of the generation orders for the vertical stack, `[orders, 2 F]`; empty for a
    /// model of one order.
    pub order_vertical: Vec<f32>,
    /// The biases of the generation orders for the horizontal stack, `[orders, 2 F]`; empty for a
    /// model of one order.
    pub order_horizontal: Vec<f32>,
}

/// A linear layer to the features of one channel group, from the inputs that they may read.
#[derive(Debug)]
pub(super) struct GroupLinear {
    pub weight: Panels,
    pub bias: Vec<f32>,
}

/// The embedding of tau and the blocks after the trunk.
#[derive(Debug)]
pub(super) struct TauWeights {
    /// The weights of the embedding, `[cosines, E]`.
    pub weight: Panels,
    pub bias: Vec<f32>,
    /// The blocks after the trunk; empty where tau enters the gates of the layers.
    pub blocks: Vec<Block>,
}

/// A block after the trunk, for each group.
#[derive(Debug)]
pub(super) struct Block {
    pub input: Vec<GroupLinear>,
    pub tau: Vec<Panels>,
    pub output: Vec<GroupLinear>,
}

/// The last layer, for each channel.
#[derive(Debug)]
pub(super) enum OutputWeights {
    /// A quantile, from the hidden features of the groups up to the channel's own.
    Gates(Vec<GroupLinear>),
    /// A quantile, from the features of the channel's own group after the blocks.
    Head(Vec<GroupLinear>),
    /// The increments of a quantile function, from the hidden features of the groups up to the
    /// channel's own.
    Monotone(Vec<GroupLinear>, Knots),
    /// The logits of all intensity levels, from the hidden features of the groups up to the
    /// channel's own.
    Categorical(Vec<GroupLinear>),
}

impl Plan {
    /// Compiles a PixelIQN.
    pub(super) fn pixel_iqn(model: &PixelIqn) -> Self {
        let config = model.config().clone();
        let groups = config.channels;
        let (tau, output) = match &model.output {
            QuantileOutput::Gates(output) => (
                Some(TauWeights::new(&output.tau_embedding, Vec::new())),
                OutputWeights::Gates(masked(&output.out, groups)),
            ),
            QuantileOutput::Head(output) => {
                let blocks = output.head_blocks.iter().map(|block| Block {
                    input: grouped(&block.input.iter().collect::<Vec<_>>(), groups),
                    tau: tau_matrices(&block.tau),
                    output: grouped(&[&block.output], groups),
                });
                (
                    Some(TauWeights::new(&output.tau_embedding, blocks.collect())),
                    OutputWeights::Head(grouped(&[&output.out], groups)),
                )
            }
            QuantileOutput::Monotone(output) => {
                let out = masked(&output.out, groups);
                (None, OutputWeights::Monotone(out, output.knots().clone()))
            }
            _ => unknown(),
        };
        Self::new(config, &model.trunk, tau, output)
    }

    /// Compiles a Gated PixelCNN.
    pub(super) fn gated_pixel_cnn(model: &GatedPixelCnn) -> Self {
        let config = model.config().clone();
        let output = OutputWeights::Categorical(masked(&model.output.out, config.channels));
        Self::new(config, &model.trunk, None, output)
    }

    fn new(
        config: ModelConfig,
        trunk: &Trunk,
        tau: Option<TauWeights>,
        output: OutputWeights,
    ) -> Self {
        Self {
            layers: trunk
                .layers
                .iter()
                .map(|layer| Layer::new(layer, &config))
                .collect(),
            hidden: masked(&trunk.hidden, config.channels),
            group: config.features / config.channels,
            tau,
            output,
            config,
        }
    }
}

impl TauWeights {
    fn new(embedding: &TauEmbedding, blocks: Vec<Block>) -> Self {
        let linear = &embedding.linear;
        let [features, cosines] = linear.weight.val().dims();
        let weight = floats(linear.weight.val());
        Self {
            weight: Panels::new([1, cosines, features], |k, n| weight[n * cosines + k]),
            bias: floats(linear.bias.val()),
            blocks,
        }
    }
}

impl Layer {
    fn new(layer: &GatedLayer, config: &ModelConfig) -> Self {
        let (features, groups) = (config.features, config.channels);
        let group = features / groups;
        let [_, input, rows, columns] = layer.vertical.weight.val().dims();
        let half = columns / 2;
        let dilation = layer.vertical.dilation();
        let order = gate_order(features, groups);
        // The axes are [outputs, rows, columns, inputs].
        let vertical = floats(layer.vertical.weight.val().permute([0, 2, 3, 1]));
        let taps = rows * columns;
        // Its inputs are the outputs of the vertical convolution, which are reordered, too.
        let from_above = floats(layer.vertical_to_horizontal.weight.val());
        // The axes are [outputs, columns, inputs].
        let horizontal = floats(layer.horizontal.masked_weight().permute([0, 2, 3, 1]));
        let horizontal = |k: usize, n: usize| horizontal[order[n] * (half + 1) * input + k];
        let input_group = input / groups;
        let first = layer.is_first();
        let centre = (0..groups).map(|g| {
            let reads = if first { g } else { g + 1 } * input_group;
            Panels::new([1, reads, 2 * group], |k, n| {
                horizontal(half * input + k, g * 2 * group + n)
            })
        });
        let label = |embedding: &Option<LabelEmbedding>| match embedding {
            Some(embedding) => floats(embedding.weight.val())
                .chunks_exact(2 * features)
                .flat_map(|row| order.iter().map(|&i| row[i]))
                .collect(),
            None => Vec::new(),
        };
        let bias = |bias: Tensor<1>| -> Vec<f32> {
            let bias = floats(bias);
            order.iter().map(|&i| bias[i]).collect()
        };
        Self {
            input,
            half,
            dilation,
            reach: half * dilation,
            vertical: VerticalWeights::new([rows, columns], [input, 2 * features], |tap, k, n| {
                vertical[(order[n] * taps + tap) * input + k]
            }),
            vertical_bias: bias(layer.vertical.bias.val()),
            vertical_to_horizontal: Panels::new([1, 2 * features, 2 * features], |k, n| {
                from_above[order[n] * 2 * features + order[k]]
            }),
            horizontal_bias: bias(
                layer.horizontal.bias.val() + layer.vertical_to_horizontal.bias.val(),
            ),
            left: Panels::new([half, input, 2 * features], horizontal),
            centre: centre.collect(),
            output: masked(&layer.output, groups),
            tau: layer.tau.as_ref().map(tau_matrices).unwrap_or_default(),
            label_vertical: label(&layer.label_vertical),
            label_horizontal: label(&layer.label_horizontal),
            order_vertical: label(&layer.order_vertical),
            order_horizontal: label(&layer.order_horizontal),
        }
    }
}

/// Lists for each column of a gate's inputs, in the order of `(group, half, feature)`, its index in
/// the model's order, `(half, group, feature)`.
fn gate_order(features: usize, groups: usize) -> Vec<usize> {
    let group = features / groups;
    (0..groups)
        .flat_map(|g| (0..2).map(move |half| half * features + g * group))
        .flat_map(|start| start..start + group)
        .collect()
}

/// Packs a masked 1x1 convolution for each group, from the features of the groups up to its own.
fn masked(layer: &MaskedPointwise, groups: usize) -> Vec<GroupLinear> {
    let weight = layer.masked_weight();
    let [outputs, inputs] = weight.dims();
    let weight = floats(weight);
    let bias = floats(layer.bias.val());
    let group = outputs / groups;
    (0..groups)
        .map(|g| GroupLinear {
            weight: Panels::new([1, (g + 1) * inputs / groups, group], |k, n| {
                weight[(g * group + n) * inputs + k]
            }),
            bias: bias[g * group..(g + 1) * group].to_vec(),
        })
        .collect()
}

/// Packs grouped 1x1 convolutions for each group, with the outputs of all of them side by side.
fn grouped(layers: &[&GroupedPointwise], groups: usize) -> Vec<GroupLinear> {
    let (weights, biases): (Vec<_>, Vec<_>) = layers.iter().map(|layer| layer.matrices()).unzip();
    let weights = Tensor::cat(weights, 2);
    let [_, inputs, outputs] = weights.dims();
    let weights = floats(weights);
    let biases = floats(Tensor::cat(biases, 2));
    (0..groups)
        .map(|g| GroupLinear {
            weight: Panels::new([1, inputs, outputs], |k, n| {
                weights[(g * inputs + k) * outputs + n]
            }),
            bias: biases[g * outputs..(g + 1) * outputs].to_vec(),
        })
        .collect()
}

/// Packs a projection of the quantile embedding for each group.
fn tau_matrices(projection: &TauProjection) -> Vec<Panels> {
    let matrices = projection.matrices();
    let [_, inputs, outputs] = matrices.dims();
    floats(matrices)
        .chunks_exact(inputs * outputs)
        .map(|matrix| Panels::new([1, inputs, outputs], |k, n| matrix[k * outputs + n]))
        .collect()
}

/// The values of a tensor.
fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_to_vec().expect("the data was converted to f32")
}

//! The weights of a model, packed in the order of their use.
//!
//! The inputs of a gate are stored group by group, the two halves of a group side by side, so that
//! one channel group is one contiguous run of columns.

use burn::tensor::Tensor;
use pixel_iqn_core::{
    GatedLayer, GatedPixelCnn, GroupedPointwise, LabelEmbedding, MaskedPointwise, ModelConfig,
    OutputLayer, PixelIqn, TauProjection, Trunk,
};

use super::math::Matrix;

/// A compiled model.
#[derive(Debug)]
pub(super) struct Plan {
    pub config: ModelConfig,
    /// Features of a channel group.
    pub group: usize,
    pub layers: Vec<Layer>,
    /// The hidden 1x1 layer, by group.
    pub hidden: Vec<Masked>,
    pub tau: Option<TauWeights>,
    pub out: Out,
}

#[derive(Debug)]
pub(super) struct Layer {
    /// Features in.
    pub input: usize,
    /// Half the kernel size.
    pub radius: usize,
    /// `[taps * input, 2 F]`.
    pub vertical: Matrix,
    pub vertical_bias: Vec<f32>,
    pub vertical_to_horizontal: Matrix,
    /// Of the horizontal convolution and of what comes from above.
    pub horizontal_bias: Vec<f32>,
    /// The taps left of the pixel: `[input, 2 F]` at distance 1, 2, ...
    pub left: Vec<Matrix>,
    /// The pixel itself, by group: from the inputs that the group may read.
    pub centre: Vec<Matrix>,
    /// By group: from the gated features up to its own.
    pub output: Vec<Masked>,
    /// By group: from the embedding of tau. Empty where tau does not enter the gates.
    pub tau: Vec<Matrix>,
    /// `[classes, 2 F]`; empty for an unconditional model.
    pub label_vertical: Vec<f32>,
    pub label_horizontal: Vec<f32>,
}

/// A product for one group with its bias.
#[derive(Debug)]
pub(super) struct Masked {
    pub weight: Matrix,
    pub bias: Vec<f32>,
}

#[derive(Debug)]
pub(super) struct TauWeights {
    /// `[cosines, E]`.
    pub weight: Matrix,
    pub bias: Vec<f32>,
    /// The blocks after the trunk.
    pub blocks: Vec<Block>,
}

/// A block after the trunk, by group.
#[derive(Debug)]
pub(super) struct Block {
    pub input: Vec<Masked>,
    pub tau: Vec<Matrix>,
    pub output: Vec<Masked>,
}

/// The last layer, by group.
#[derive(Debug)]
pub(super) enum Out {
    /// One quantile.
    Quantile(Vec<Masked>),
    /// A logit for each level.
    Categorical(Vec<Masked>),
}

impl Plan {
    pub(super) fn pixel_iqn(model: &PixelIqn) -> Self {
        let config = pixel_iqn_core::PixelModel::config(model).clone();
        let group = config.features / config.channels;
        let out = match &model.out {
            OutputLayer::Masked(layer) => masked(layer, config.channels),
            OutputLayer::Grouped(layer) => grouped(&[layer], config.channels),
        };
        let linear = &model.tau_embedding.linear;
        let blocks = model.head_blocks.iter().map(|block| Block {
            input: grouped(&block.input.iter().collect::<Vec<_>>(), config.channels),
            tau: tau_matrices(&block.tau),
            output: grouped(&[&block.output], config.channels),
        });
        let tau = TauWeights {
            weight: Matrix::new(
                floats(linear.weight.val().transpose()),
                config.cosines,
                config.tau_features,
            ),
            bias: floats(linear.bias.val()),
            blocks: blocks.collect(),
        };
        Self::new(config, group, &model.trunk, Some(tau), Out::Quantile(out))
    }

    pub(super) fn gated_pixel_cnn(model: &GatedPixelCnn) -> Self {
        let config = pixel_iqn_core::PixelModel::config(model).clone();
        let group = config.features / config.channels;
        let out = Out::Categorical(masked(&model.out, config.channels));
        Self::new(config, group, &model.trunk, None, out)
    }

    fn new(
        config: ModelConfig,
        group: usize,
        trunk: &Trunk,
        tau: Option<TauWeights>,
        out: Out,
    ) -> Self {
        Self {
            layers: trunk
                .layers
                .iter()
                .map(|layer| Layer::new(layer, &config))
                .collect(),
            hidden: masked(&trunk.hidden, config.channels),
            group,
            tau,
            out,
            config,
        }
    }
}

impl Layer {
    fn new(layer: &GatedLayer, config: &ModelConfig) -> Self {
        let (features, groups) = (config.features, config.channels);
        let group = features / groups;
        let [_, input, rows, columns] = layer.vertical.weight.val().dims();
        let radius = columns / 2;
        let order = gate_order(features, groups);
        // [outputs, inputs, rows, columns] to one row per output, taps first.
        let vertical = floats(layer.vertical.weight.val().permute([0, 2, 3, 1]));
        let vertical = transposed(&vertical, rows * columns * input, &order);
        // Its inputs are the outputs of the vertical convolution: reordered, too.
        let from_above = floats(layer.vertical_to_horizontal.weight.val());
        let from_above: Vec<f32> = from_above
            .chunks_exact(2 * features)
            .flat_map(|row| order.iter().map(|&i| row[i]))
            .collect();
        let taps = floats(layer.horizontal.masked_weight().permute([3, 0, 1, 2]));
        let taps: Vec<&[f32]> = taps.chunks_exact(2 * features * input).collect();
        let (centre, left) = taps.split_last().expect("a kernel has its centre");
        let centre = transposed(centre, input, &order);
        let input_group = input / groups;
        let first = layer.is_first();
        let centre = (0..groups).map(|g| {
            let reads = if first { g } else { g + 1 } * input_group;
            columns_of(&centre, reads, g * 2 * group, 2 * group)
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
            radius,
            vertical,
            vertical_bias: bias(layer.vertical.bias.val()),
            vertical_to_horizontal: transposed(&from_above, 2 * features, &order),
            horizontal_bias: bias(
                layer.horizontal.bias.val() + layer.vertical_to_horizontal.bias.val(),
            ),
            left: left
                .iter()
                .rev()
                .map(|tap| transposed(tap, input, &order))
                .collect(),
            centre: centre.collect(),
            output: masked(&layer.output, groups),
            tau: layer.tau.as_ref().map(tau_matrices).unwrap_or_default(),
            label_vertical: label(&layer.label_vertical),
            label_horizontal: label(&layer.label_horizontal),
        }
    }
}

/// Where the columns of a gate's input come from: `(group, half, feature)` from `(half, group,
/// feature)`.
fn gate_order(features: usize, groups: usize) -> Vec<usize> {
    let group = features / groups;
    (0..groups)
        .flat_map(|g| (0..2).map(move |half| half * features + g * group))
        .flat_map(|start| start..start + group)
        .collect()
}

/// `[outputs, inputs]` to `[inputs, outputs]`, the outputs in `order`.
fn transposed(weight: &[f32], inputs: usize, order: &[usize]) -> Matrix {
    let data = (0..inputs).flat_map(|i| order.iter().map(move |&o| weight[o * inputs + i]));
    Matrix::new(data.collect(), inputs, order.len())
}

/// The first `inputs` rows of some columns.
fn columns_of(matrix: &Matrix, inputs: usize, start: usize, count: usize) -> Matrix {
    let rows = matrix.data.chunks_exact(matrix.outputs).take(inputs);
    let data = rows.flat_map(|row| &row[start..start + count]).copied();
    Matrix::new(data.collect(), inputs, count)
}

/// A masked 1x1 convolution by group: from the features up to its own.
fn masked(layer: &MaskedPointwise, groups: usize) -> Vec<Masked> {
    let weight = layer.masked_weight();
    let [outputs, inputs] = weight.dims();
    let order: Vec<usize> = (0..outputs).collect();
    let matrix = transposed(&floats(weight), inputs, &order);
    let bias = floats(layer.bias.val());
    let group = outputs / groups;
    (0..groups)
        .map(|g| Masked {
            weight: columns_of(&matrix, (g + 1) * inputs / groups, g * group, group),
            bias: bias[g * group..(g + 1) * group].to_vec(),
        })
        .collect()
}

/// Grouped 1x1 convolutions side by side, by group.
fn grouped(layers: &[&GroupedPointwise], groups: usize) -> Vec<Masked> {
    let (weights, biases): (Vec<_>, Vec<_>) = layers.iter().map(|layer| layer.matrices()).unzip();
    let weights = Tensor::cat(weights, 2);
    let [_, inputs, outputs] = weights.dims();
    let weights = floats(weights);
    let biases = floats(Tensor::cat(biases, 2));
    (0..groups)
        .map(|g| Masked {
            weight: Matrix::new(
                weights[g * inputs * outputs..(g + 1) * inputs * outputs].to_vec(),
                inputs,
                outputs,
            ),
            bias: biases[g * outputs..(g + 1) * outputs].to_vec(),
        })
        .collect()
}

fn tau_matrices(projection: &TauProjection) -> Vec<Matrix> {
    let matrices = projection.matrices();
    let [_, inputs, outputs] = matrices.dims();
    floats(matrices)
        .chunks_exact(inputs * outputs)
        .map(|matrix| Matrix::new(matrix.to_vec(), inputs, outputs))
        .collect()
}

fn floats<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
    let data = tensor.into_data().convert::<f32>();
    data.try_to_vec().expect("the data was converted to f32")
}

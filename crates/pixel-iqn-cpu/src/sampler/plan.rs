//! The weights of a model, packed in the order of their use.
//!
//! The inputs of the gates are ordered by channel group, with the two gate halves of a group side
//! by side, so that a group is one contiguous range of columns.

use super::matrix::{Matrix, Source};
use super::row::VerticalWeights;
use super::unknown;
use pixel_iqn_core::weights::WeightsError;
use pixel_iqn_core::{Knots, ModelConfig, Output};

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
    pub vertical_to_horizontal: Matrix,
    /// The biases of the horizontal convolution and of `vertical_to_horizontal`, added up.
    pub horizontal_bias: Vec<f32>,
    /// The weights of the taps left of the pixel, the farthest first, `[half * input, 2 F]`.
    pub left: Matrix,
    /// The weights of the pixel itself, for each group, from the inputs that the group may read.
    pub centre: Vec<Matrix>,
    /// The 1x1 convolution, for each group, from the gated features of the groups up to its own.
    pub output: Vec<GroupLinear>,
    /// The projection of the embedding of tau, for each group; empty where tau does not enter the
    /// gates.
    pub tau: Vec<Matrix>,
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
    pub weight: Matrix,
    pub bias: Vec<f32>,
}

/// The embedding of tau and the blocks after the trunk.
#[derive(Debug)]
pub(super) struct TauWeights {
    /// The weights of the embedding, `[cosines, E]`.
    pub weight: Matrix,
    pub bias: Vec<f32>,
    /// The blocks after the trunk; empty where tau enters the gates of the layers.
    pub blocks: Vec<Block>,
}

/// A block after the trunk, for each group.
#[derive(Debug)]
pub(super) struct Block {
    pub input: Vec<GroupLinear>,
    pub tau: Vec<Matrix>,
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
    /// Compiles a model of a valid config from its weights.
    ///
    /// # Panics
    ///
    /// Panics for an output that this version does not know.
    pub(super) fn new(config: &ModelConfig, mut weights: Source) -> Result<Self, WeightsError> {
        let (features, groups) = (config.features, config.channels);
        let source = &mut weights;
        let layers = (0..config.layers).map(|index| Layer::new(source, config, index));
        let layers = layers.collect();
        let hidden = masked(source, "hidden", [features, features], groups);
        let blocks = match config.output {
            Output::Head {
                blocks,
                tau_features,
                ..
            } => (0..blocks)
                .map(|block| Block::new(source, config, block, tau_features))
                .collect(),
            _ => Vec::new(),
        };
        // A rounded tau or value would be off by up to an intensity level.
        source.stop_rounding();
        let (tau, output) = match &config.output {
            Output::Gates {
                cosines,
                tau_features,
            } => (
                Some(TauWeights::new(source, [*cosines, *tau_features], blocks)),
                OutputWeights::Gates(masked(source, "out", [groups, features], groups)),
            ),
            Output::Head {
                cosines,
                tau_features,
                ..
            } => {
                let tau = TauWeights::new(source, [*cosines, *tau_features], blocks);
                let out = grouped(source, &["out".to_owned()], [groups, features], groups);
                (Some(tau), OutputWeights::Head(out))
            }
            Output::Monotone { knots } => {
                let knots = Knots::new(knots.as_slice()).expect("the config is valid");
                let shape = [groups * knots.len(), features];
                let out = masked(source, "out", shape, groups);
                (None, OutputWeights::Monotone(out, knots))
            }
            Output::Categorical { levels } => {
                let out = masked(source, "out", [groups * levels, features], groups);
                (None, OutputWeights::Categorical(out))
            }
            _ => unknown(),
        };
        weights.finish()?;
        Ok(Self {
            config: config.clone(),
            group: features / groups,
            layers,
            hidden,
            tau,
            output,
        })
    }
}

impl TauWeights {
    fn new(source: &mut Source, [cosines, features]: [usize; 2], blocks: Vec<Block>) -> Self {
        let weight = source.take("tau_embedding.linear.weight", &[features, cosines]);
        Self {
            weight: Matrix::new(source, [1, cosines, features], |k, n| {
                weight[n * cosines + k]
            }),
            bias: source.take("tau_embedding.linear.bias", &[features]),
            blocks,
        }
    }
}

impl Block {
    fn new(source: &mut Source, config: &ModelConfig, index: usize, tau_features: usize) -> Self {
        let (features, groups) = (config.features, config.channels);
        let name = format!("head_blocks.{index}");
        let shape = [features, features];
        let halves = [0, 1].map(|half| format!("{name}.input.{half}"));
        Self {
            input: grouped(source, &halves, shape, groups),
            tau: tau_matrices(source, &name, [features, tau_features], groups),
            output: grouped(source, &[format!("{name}.output")], shape, groups),
        }
    }
}

impl Layer {
    fn new(source: &mut Source, config: &ModelConfig, index: usize) -> Self {
        let (features, groups) = (config.features, config.channels);
        let (group, outputs) = (features / groups, 2 * features);
        let first = index == 0;
        let (input, kernel) = match first {
            true => (config.channels, config.input_kernel),
            false => (features, config.kernel),
        };
        let (half, dilation) = (kernel / 2, config.dilation(index));
        let order = gate_order(features, groups);
        let name = |part: &str| format!("layers.{index}.{part}");
        let (rows, columns) = (half + 1, kernel);
        let taps = rows * columns;
        let vertical = source.take(&name("vertical.weight"), &[outputs, input, rows, columns]);
        // Its inputs are the outputs of the vertical convolution, which are reordered, too.
        let from_above = source.take(
            &name("vertical_to_horizontal.weight"),
            &[outputs, outputs, 1, 1],
        );
        let horizontal = source.take(&name("horizontal.weight"), &[outputs, input, 1, half + 1]);
        // Row `k` is input `k % input` of tap `k / input`.
        let horizontal = |k: usize, n: usize| {
            horizontal[(order[n] * input + k % input) * (half + 1) + k / input]
        };
        let input_group = input / groups;
        // What the mask removes is not read.
        let centre: Vec<Matrix> = (0..groups)
            .map(|g| {
                let reads = if first { g } else { g + 1 } * input_group;
                Matrix::new(source, [1, reads, 2 * group], |k, n| {
                    horizontal(half * input + k, g * 2 * group + n)
                })
            })
            .collect();
        let mut bias = |part: &str| -> Vec<f32> {
            let bias = source.take(&name(part), &[outputs]);
            order.iter().map(|&i| bias[i]).collect()
        };
        let vertical_bias = bias("vertical.bias");
        let from_above_bias = bias("vertical_to_horizontal.bias");
        let horizontal_bias = bias("horizontal.bias").into_iter().zip(from_above_bias);
        let mut biases_of = |part: &str, count: usize| -> Vec<f32> {
            source
                .take(&name(part), &[count, outputs])
                .chunks_exact(outputs)
                .flat_map(|row| order.iter().map(|&i| row[i]))
                .collect()
        };
        let mut of_labels = |part: &str| match config.classes {
            0 => Vec::new(),
            classes => biases_of(part, classes),
        };
        let label_vertical = of_labels("label_vertical.weight");
        let label_horizontal = of_labels("label_horizontal.weight");
        let mut of_orders = |part: &str| match config.orders {
            1 => Vec::new(),
            orders => biases_of(part, orders),
        };
        let order_vertical = of_orders("order_vertical.weight");
        let order_horizontal = of_orders("order_horizontal.weight");
        Self {
            input,
            half,
            dilation,
            reach: half * dilation,
            vertical: VerticalWeights::new(
                source,
                [rows, columns],
                [input, outputs],
                |tap, k, n| vertical[(order[n] * input + k) * taps + tap],
            ),
            vertical_bias,
            vertical_to_horizontal: Matrix::new(source, [1, outputs, outputs], |k, n| {
                from_above[order[n] * outputs + order[k]]
            }),
            horizontal_bias: horizontal_bias.map(|(a, b)| a + b).collect(),
            left: Matrix::new(source, [half, input, outputs], horizontal),
            centre,
            output: masked(source, &name("output"), [features, features], groups),
            tau: match config.output {
                Output::Gates { tau_features, .. } => tau_matrices(
                    source,
                    &format!("layers.{index}"),
                    [features, tau_features],
                    groups,
                ),
                _ => Vec::new(),
            },
            label_vertical,
            label_horizontal,
            order_vertical,
            order_horizontal,
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
fn masked(
    source: &mut Source,
    name: &str,
    [outputs, inputs]: [usize; 2],
    groups: usize,
) -> Vec<GroupLinear> {
    let weight = source.take(&format!("{name}.weight"), &[outputs, inputs, 1, 1]);
    let bias = source.take(&format!("{name}.bias"), &[outputs]);
    let group = outputs / groups;
    (0..groups)
        .map(|g| GroupLinear {
            weight: Matrix::new(source, [1, (g + 1) * inputs / groups, group], |k, n| {
                weight[(g * group + n) * inputs + k]
            }),
            bias: bias[g * group..(g + 1) * group].to_vec(),
        })
        .collect()
}

/// Packs grouped 1x1 convolutions of one shape for each group, with the outputs of all of them side by
/// side.
fn grouped(
    source: &mut Source,
    names: &[String],
    [outputs, inputs]: [usize; 2],
    groups: usize,
) -> Vec<GroupLinear> {
    let (inputs, group) = (inputs / groups, outputs / groups);
    let layers = names.iter().map(|name| {
        let weight = source.take(&format!("{name}.weight"), &[outputs, inputs, 1, 1]);
        let bias = source.take(&format!("{name}.bias"), &[outputs]);
        (weight, bias)
    });
    let layers: Vec<_> = layers.collect();
    (0..groups)
        .map(|g| GroupLinear {
            weight: Matrix::new(source, [1, inputs, layers.len() * group], |k, n| {
                let (weight, _) = &layers[n / group];
                weight[(g * group + n % group) * inputs + k]
            }),
            bias: (layers.iter())
                .flat_map(|(_, bias)| &bias[g * group..(g + 1) * group])
                .copied()
                .collect(),
        })
        .collect()
}

/// Packs a projection of the quantile embedding for each group, with its two gate halves side by side.
fn tau_matrices(
    source: &mut Source,
    name: &str,
    [features, embedding]: [usize; 2],
    groups: usize,
) -> Vec<Matrix> {
    let weight = source.take(&format!("{name}.tau.weight"), &[2, features, embedding]);
    let group = features / groups;
    (0..groups)
        .map(|g| {
            Matrix::new(source, [1, embedding, 2 * group], |k, n| {
                let (half, feature) = (n / group, g * group + n % group);
                weight[(half * features + feature) * embedding + k]
            })
        })
        .collect()
}

//! The horizontal stack of an [`IncrementalSampler`](super::IncrementalSampler) as one kernel of our own for each
//! value, on CubeCL backends: with Burn's operations a value of a deep network launches hundreds.

use burn::tensor::Tensor;
use pixel_iqn_cube::{CubeTensor, TrunkLayer, TrunkRow, TrunkWeights, primitive};

use crate::config::ModelConfig;

use super::weights::LayerWeights;

/// The kernel's weights for a model.
pub(super) fn weights(layers: &[LayerWeights], config: &ModelConfig) -> Option<TrunkWeights> {
    let groups = config.channels;
    let group = config.features / groups;
    let mut parts: Vec<Tensor<1>> = Vec::new();
    let mut add = |part: Tensor<2>| parts.push(part.flatten(0, 1));
    for layer in layers {
        for index in 0..groups {
            let gates = 2 * group;
            if let Some(left) = &layer.left {
                add(left.clone().narrow(1, index * gates, gates));
            }
            if let Some(centre) = &layer.centre[index] {
                add(centre.clone());
            }
            let (weight, bias) = layer.output.of_group(index);
            add(weight);
            add(bias);
        }
    }
    let shapes = layers.iter().zip(0..).map(|(layer, i)| {
        let inputs = if i == 0 { groups } else { config.features };
        let left = layer.left.as_ref().map_or(0, |left| left.dims()[0]);
        TrunkLayer {
            left: left / inputs,
            dilation: layer.dilation,
        }
    });
    let shapes: Vec<TrunkLayer> = shapes.collect();
    let parts = primitive(&Tensor::cat(parts, 0))?;
    Some(TrunkWeights::new(parts, &shapes, [groups, group]))
}

/// The state of a run.
pub(super) struct Row<'a> {
    row: TrunkRow<'a>,
    /// The inputs that the gates of this row get from everything but the row itself,
    /// `[layers, images, width, channels, 2 F / C]`.
    gates: Option<CubeTensor>,
    channels: usize,
}

impl<'a> Row<'a> {
    pub(super) fn new(weights: &'a TrunkWeights, [images, width, channels]: [usize; 3]) -> Self {
        Self {
            row: TrunkRow::new(weights, [images, width]),
            gates: None,
            channels,
        }
    }

    /// Takes the inputs of the gates of a row from everything but the row itself, `[images, width, channels, 2 F / C]`
    /// for each layer.
    pub(super) fn begin(&mut self, gates: Vec<Tensor<4>>) {
        // In contiguous memory once for the row, since a device may pad what Burn stacks.
        self.gates = Some(primitive(&Tensor::stack::<5>(gates, 0)).expect(SAME));
    }

    /// Computes the output of the last layer after its ReLU for a channel group and those before it,
    /// `[images, features]`, which the next call overwrites.
    pub(super) fn top(&mut self, column: usize, channel: usize) -> Tensor<2> {
        let gates = self.gates.as_ref().expect("a row has begun");
        let top = self.row.compute(gates, [column, channel]);
        let top: Tensor<2> = pixel_iqn_cube::tensor(top);
        let [_, features] = top.dims();
        top.narrow(1, 0, (channel + 1) * features / self.channels)
    }

    /// Takes the values of a channel at a column, `[images, 1]`.
    pub(super) fn set(&mut self, column: usize, channel: usize, values: &Tensor<2>) {
        let values = primitive(values).expect(SAME);
        self.row.set([column, channel], &values);
    }
}

const SAME: &str = "a run is on the device of its weights";

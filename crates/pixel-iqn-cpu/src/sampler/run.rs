//! The run of a plan over some images of a batch.
//!
//! Rows of features are ordered by column, then by image, so that all images of a pixel are
//! contiguous rows.

use std::sync::Arc;

use pixel_iqn_core::{Order, RowProgress, SampleBatch, SampleError};
use pixel_iqn_kernels::{Rows, cosines, gate};
use pixel_iqn_loss::quantile_of_increments;

use super::ahead::{Ahead, Layers};
use super::layer_state::LayerState;
use super::plan::{GroupLinear, Layer, OutputWeights, Plan};
use super::vertical::{VerticalLayer, VerticalOutputs, fill};

/// The state of a run.
#[derive(Debug)]
pub(super) struct Run {
    plan: Arc<Plan>,
    /// The batch in the raster of its order.
    batch: Arc<SampleBatch>,
    /// The index in the batch of the first image of the run.
    first: usize,
    /// The number of images of the run.
    images: usize,
    layers: Arc<Layers>,
    /// The second thread, if there is one.
    ahead: Option<Ahead>,
    /// The threads that the vertical stack takes.
    threads: usize,
    /// The output of the last gated layer for the current pixel, `[images, F]`.
    top: Vec<f32>,
    /// The inputs of the gates of the blocks after the trunk, `[width * images, 2 F]` each.
    blocks: Vec<Vec<f32>>,
    /// A row of the vertical stack before its gate, `[width * images, 2 F]`.
    row: Vec<f32>,
    /// The biases of the vertical and of the horizontal stack of each layer, with those of the order.
    biases: Vec<[Vec<f32>; 2]>,
}

impl Run {
    /// Creates the states of the layers before the first row, for `images` images of the batch from
    /// `first` on.
    pub(super) fn layers(
        plan: &Plan,
        batch: &SampleBatch,
        first: usize,
        images: usize,
    ) -> Arc<Layers> {
        let states = plan.layers.iter().map(|layer| {
            let mut state = LayerState::new(layer, plan.config.features, batch.dims[3], images);
            let [_, bias] = biases(layer, batch.order);
            let labels = labels(batch, first, images);
            fill(
                &mut state.gates,
                &bias,
                &layer.label_horizontal,
                labels,
                images,
            );
            state
        });
        Arc::new(Layers::new(states.collect()))
    }

    /// Creates the state before the first row, beside that of the layers.
    pub(super) fn new(
        plan: &Arc<Plan>,
        batch: &Arc<SampleBatch>,
        [first, images]: [usize; 2],
        layers: Arc<Layers>,
        ahead: Option<Ahead>,
        threads: usize,
    ) -> Self {
        let features = plan.config.features;
        let positions = batch.dims[3] * images;
        let blocks = plan.tau.as_ref().map_or(0, |tau| tau.blocks.len());
        Self {
            plan: Arc::clone(plan),
            batch: Arc::clone(batch),
            first,
            images,
            layers,
            ahead,
            threads,
            top: vec![0.0; images * features],
            blocks: vec![vec![0.0; positions * 2 * features]; blocks],
            row: vec![0.0; positions * 2 * features],
            biases: (plan.layers.iter())
                .map(|layer| biases(layer, batch.order))
                .collect(),
        }
    }

    /// Counts the numbers in the state.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        let blocks = self.blocks.iter().map(Vec::len);
        self.layers.numbers() + blocks.sum::<usize>() + self.top.len() + self.row.len()
    }

    /// Samples all rows into `predictions` and `sampled`, both `[images, channels, height, width]`.
    pub(super) fn sample(
        mut self,
        predictions: &mut [f32],
        sampled: &mut [f32],
        progress: &RowProgress<'_>,
    ) -> Result<(), SampleError> {
        let [_, _, height, width] = self.batch.dims;
        for row in 0..height {
            for column in 0..width {
                self.pixel([row, column], predictions, sampled);
            }
            progress.finish(row, self.first, sampled)?;
        }
        Ok(())
    }

    /// Samples the next pixel of all images, which is that of this row and column, into `predictions` and
    /// `sampled`, both `[images, channels, height, width]`. The pixels follow each other in raster order.
    pub(super) fn pixel(
        &mut self,
        [row, column]: [usize; 2],
        predictions: &mut [f32],
        sampled: &mut [f32],
    ) {
        let [_, channels, height, width] = self.batch.dims;
        if column == 0 {
            self.add_tau(row);
            if let Some(ahead) = &self.ahead {
                ahead.begin_row(row);
            }
        }
        for channel in 0..channels {
            let values = self.values(row, column, channel);
            for (image, value) in values.into_iter().enumerate() {
                let at = ((image * channels + channel) * height + row) * width + column;
                let offset = self.first * channels * height * width;
                predictions[at] = value;
                sampled[at] = self.batch.final_value(offset + at, value);
                let pixel = (self.plan.layers[0].reach + column) * self.images + image;
                self.layers.lock(0).horizontal[pixel * channels + channel] =
                    2.0 * sampled[at] - 1.0;
            }
        }
        if let Some(ahead) = &self.ahead {
            ahead.sampled(0, row * width + column + 1);
        }
        if column + 1 == width && row + 1 < height {
            self.vertical(row);
        }
    }

    /// Adds the projections of tau to the inputs of a row's gates.
    fn add_tau(&mut self, row: usize) {
        let Some(tau) = &self.plan.tau else { return };
        let [_, channels, height, width] = self.batch.dims;
        let (images, features) = (self.images, self.plan.config.features);
        let positions = width * images;
        let (inputs, embedding) = (tau.weight.inputs(), tau.weight.outputs());
        let group = 2 * self.plan.group;
        for block in &mut self.blocks {
            block.fill(0.0);
        }
        for channel in 0..channels {
            let mut levels = Vec::with_capacity(positions);
            for column in 0..width {
                for image in self.first..self.first + images {
                    let at = ((image * channels + channel) * height + row) * width + column;
                    levels.push(self.batch.tau[at]);
                }
            }
            let mut phi = tau.bias.repeat(positions);
            let cos = Rows {
                data: &cosines(&levels, inputs),
                stride: inputs,
            };
            tau.weight.accumulate(cos, &mut phi, embedding, positions);
            relu(&mut phi);
            let phi = Rows {
                data: &phi,
                stride: embedding,
            };
            let at = channel * group;
            for (l, layer) in self.plan.layers.iter().enumerate() {
                if let Some(weight) = layer.tau.get(channel) {
                    let mut state = self.layers.lock(l);
                    weight.accumulate(phi, &mut state.gates[at..], 2 * features, positions);
                }
            }
            for (block, gates) in tau.blocks.iter().zip(&mut self.blocks) {
                block.tau[channel].accumulate(phi, &mut gates[at..], 2 * features, positions);
            }
        }
    }

    /// Computes the model's predictions for one channel of a pixel, one per image.
    fn values(&mut self, row: usize, column: usize, channel: usize) -> Vec<f32> {
        let [_, channels, _, width] = self.batch.dims;
        let (layers, pixel) = (self.plan.layers.len(), row * width + column);
        for l in 0..layers {
            // In the first column nothing is to the left.
            if channel == 0 && column > 0 {
                match &self.ahead {
                    Some(ahead) => (l..layers.min(l + 2)).for_each(|l| ahead.wait(l, pixel)),
                    None => {
                        let layer = &self.plan.layers[l];
                        self.layers.lock(l).add_left(layer, column, self.images);
                    }
                }
            }
            self.step(l, column, channel);
            if let Some(ahead) = &self.ahead
                && l > 0
                && channel + 1 == channels
            {
                ahead.sampled(l, pixel + 1);
            }
        }
        self.output(row, column, channel)
    }

    /// Runs a layer for one channel of a pixel: its gates and its output, to the next layer or the top.
    fn step(&mut self, l: usize, column: usize, channel: usize) {
        let (images, features, group) = (self.images, self.plan.config.features, self.plan.group);
        let layer = &self.plan.layers[l];
        let state = &mut *self.layers.lock(l);
        let input = &state.horizontal[(layer.reach + column) * images * layer.input..];
        let at = column * images * 2 * features + channel * 2 * group;
        let gates = &mut state.gates[at..];
        let x = Rows {
            data: input,
            stride: layer.input,
        };
        layer.centre[channel].accumulate(x, gates, 2 * features, images);
        let x = Rows {
            data: gates,
            stride: 2 * features,
        };
        let gated = &mut state.gated[channel * group..];
        gate(x, gated, features, images, 1, group);
        let mut next = (self.plan.layers.get(l + 1)).map(|next| (next, self.layers.lock(l + 1)));
        let output = match &mut next {
            Some((layer, next)) => {
                &mut next.horizontal[(layer.reach + column) * images * features..]
            }
            None => &mut self.top[..],
        };
        let output = &mut output[channel * group..];
        let residual = (l > 0).then_some(input);
        for image in 0..images {
            let output = &mut output[image * features..][..group];
            output.copy_from_slice(&layer.output[channel].bias);
            if let Some(residual) = residual {
                let residual = &residual[image * features + channel * group..];
                for (output, residual) in output.iter_mut().zip(residual) {
                    *output += residual;
                }
            }
        }
        let x = Rows {
            data: &state.gated,
            stride: features,
        };
        layer.output[channel]
            .weight
            .accumulate(x, output, features, images);
    }

    /// Computes the predictions for one channel from the output of the last gated layer.
    fn output(&mut self, row: usize, column: usize, channel: usize) -> Vec<f32> {
        let (images, features, group) = (self.images, self.plan.config.features, self.plan.group);
        for image in 0..images {
            relu(&mut self.top[image * features + channel * group..][..group]);
        }
        // The hidden features of the groups so far are in `row`, which the vertical stack does not
        // need now.
        let hidden = &mut self.row[..images * features];
        let layer = &self.plan.hidden[channel];
        for image in 0..images {
            let at = image * features + channel * group;
            hidden[at..at + group].copy_from_slice(&layer.bias);
        }
        let x = Rows {
            data: &self.top,
            stride: features,
        };
        layer
            .weight
            .accumulate(x, &mut hidden[channel * group..], features, images);
        for image in 0..images {
            relu(&mut hidden[image * features + channel * group..][..group]);
        }
        if let (OutputWeights::Head(out), Some(tau)) = (&self.plan.output, &self.plan.tau) {
            let mut h: Vec<f32> = hidden
                .chunks_exact(features)
                .flat_map(|row| &row[channel * group..][..group])
                .copied()
                .collect();
            let mut gated = vec![0.0; images * group];
            for (block, gates) in tau.blocks.iter().zip(&mut self.blocks) {
                let at = column * images * 2 * features + channel * 2 * group;
                let mut sums = affine(
                    &block.input[channel],
                    Rows {
                        data: &h,
                        stride: group,
                    },
                    images,
                );
                for (sum, gates) in sums
                    .chunks_exact_mut(2 * group)
                    .zip(gates[at..].chunks(2 * features))
                {
                    for (sum, gate) in sum.iter_mut().zip(gates) {
                        *sum += gate;
                    }
                }
                gate(
                    Rows {
                        data: &sums,
                        stride: 2 * group,
                    },
                    &mut gated,
                    group,
                    images,
                    1,
                    group,
                );
                let x = Rows {
                    data: &gated,
                    stride: group,
                };
                for (h, y) in h.iter_mut().zip(affine(&block.output[channel], x, images)) {
                    *h += y;
                }
            }
            return affine(
                &out[channel],
                Rows {
                    data: &h,
                    stride: group,
                },
                images,
            );
        }
        let x = Rows {
            data: hidden,
            stride: features,
        };
        match &self.plan.output {
            OutputWeights::Gates(out) | OutputWeights::Head(out) => {
                affine(&out[channel], x, images)
            }
            OutputWeights::Monotone(out, knots) => {
                let increments = affine(&out[channel], x, images);
                let increments = increments.chunks_exact(knots.len());
                increments
                    .zip(self.tau(row, column, channel))
                    .map(|(increments, tau)| {
                        quantile_of_increments(increments, knots, f64::from(tau)) as f32
                    })
                    .collect()
            }
            OutputWeights::Categorical(out) => {
                let logits = affine(&out[channel], x, images);
                logits
                    .chunks_exact(out[channel].bias.len())
                    .zip(self.tau(row, column, channel))
                    .map(|(l, tau)| inverse_cdf(l, tau))
                    .collect()
            }
        }
    }

    /// The tau of a value of each image of the run.
    fn tau(&self, row: usize, column: usize, channel: usize) -> impl Iterator<Item = f32> {
        let [_, channels, height, width] = self.batch.dims;
        let images = self.first..self.first + self.images;
        images.map(move |image| {
            self.batch.tau[((image * channels + channel) * height + row) * width + column]
        })
    }

    /// Runs the vertical stack over a finished row, and adds its output to the inputs of the next
    /// row's gates.
    fn vertical(&mut self, row: usize) {
        let (images, features) = (self.images, self.plan.config.features);
        let width = self.batch.dims[3];
        self.layers
            .lock(0)
            .add_row(&self.plan.layers[0], [row, width, images]);
        for (l, layer) in self.plan.layers.iter().enumerate() {
            let state = &mut *self.layers.lock(l);
            let mut next =
                (self.plan.layers.get(l + 1)).map(|next| (next, self.layers.lock(l + 1)));
            let next = next.as_mut().map(|(layer, next)| {
                let row = &mut next.vertical[layer.row_start(row, width, images)..];
                &mut row[..width * images * features]
            });
            let layer = VerticalLayer {
                layer,
                biases: &self.biases[l],
                labels: labels(&self.batch, self.first, images),
                x: &state.vertical,
                taps: layer.vertical_taps(row, width, images),
                images,
                groups: [self.plan.config.channels, self.plan.group],
                threads: self.threads,
            };
            layer.run(VerticalOutputs {
                sums: &mut self.row,
                gates: &mut state.gates,
                next,
            });
        }
    }
}

/// The biases of the vertical and of the horizontal stack of a layer, with those of an order.
fn biases(layer: &Layer, order: Order) -> [Vec<f32>; 2] {
    let with_order = |bias: &[f32], by_order: &[f32]| {
        let mut bias = bias.to_vec();
        if !by_order.is_empty() {
            let of_order = &by_order[order.index() * bias.len()..];
            for (bias, of_order) in bias.iter_mut().zip(of_order) {
                *bias += of_order;
            }
        }
        bias
    };
    [
        with_order(&layer.vertical_bias, &layer.order_vertical),
        with_order(&layer.horizontal_bias, &layer.order_horizontal),
    ]
}

/// The labels of a run's images.
fn labels(batch: &SampleBatch, first: usize, images: usize) -> Option<&[Option<usize>]> {
    Some(&batch.labels.as_ref()?[first..first + images])
}

/// Applies a linear layer to `count` rows: `[count, outputs]`.
fn affine(layer: &GroupLinear, x: Rows<'_>, count: usize) -> Vec<f32> {
    let mut y = layer.bias.repeat(count);
    layer.weight.accumulate(x, &mut y, layer.bias.len(), count);
    y
}

/// Applies the ReLU in place.
fn relu(values: &mut [f32]) {
    for value in values {
        // A maximum would turn what is no number into 0.
        if *value < 0.0 {
            *value = 0.0;
        }
    }
}

/// Finds the lowest intensity level whose cumulative probability is at least `tau`, divided by the
/// highest level. Where a logit is not a number, neither is the result.
fn inverse_cdf(logits: &[f32], tau: f32) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    if !total.is_finite() {
        return f32::NAN;
    }
    let top = logits.len() - 1;
    let mut cumulative = 0.0;
    let below = logits[..top].iter().take_while(|logit| {
        cumulative += (**logit - max).exp() / total;
        cumulative < tau
    });
    below.count() as f32 / top as f32
}

//! One run of a plan over some images of a batch.
//!
//! Rows of features are ordered by column, then by image, so that the images of one pixel are
//! contiguous rows.

use pixel_iqn_core::{RowProgress, SampleBatch, SampleError};
use pixel_iqn_kernels::{Init, OutputMatrix, Rows, cosines, gate};

use super::plan::{Layer, Masked, Out, Plan};

pub(super) struct Run<'a> {
    plan: &'a Plan,
    batch: &'a SampleBatch,
    /// The first image, and how many.
    first: usize,
    images: usize,
    layers: Vec<LayerState>,
    /// The current row of the horizontal stack after the last layer, one pixel: `[images, F]`.
    top: Vec<f32>,
    /// The inputs of the gates of the blocks after the trunk: `[width * images, 2 F]` each.
    blocks: Vec<Vec<f32>>,
    /// A row of the vertical stack before its gate, `[width * images, 2 F]`.
    row: Vec<f32>,
}

/// What a layer remembers.
struct LayerState {
    /// The input rows of the vertical stack that are still read, row `r` at `r` modulo their
    /// number: `[rows, (radius + width + radius) * images, input]`, zero beyond the image.
    vertical: Vec<f32>,
    /// The input of the horizontal stack, this row: `[(radius + width) * images, input]`, zero
    /// beyond the image.
    horizontal: Vec<f32>,
    /// The inputs of the gates of this row: `[width * images, 2 F]`.
    gates: Vec<f32>,
    /// The gated features of this pixel: `[images, F]`.
    gated: Vec<f32>,
}

impl<'a> Run<'a> {
    pub(super) fn new(plan: &'a Plan, batch: &'a SampleBatch, first: usize, images: usize) -> Self {
        let features = plan.config.features;
        let width = batch.dims[3];
        let positions = width * images;
        let layers: Vec<LayerState> = plan
            .layers
            .iter()
            .map(|layer| LayerState {
                vertical: vec![0.0; (layer.radius + 1) * layer.row_len(width, images)],
                horizontal: vec![0.0; (layer.radius + width) * images * layer.input],
                gates: vec![0.0; positions * 2 * features],
                gated: vec![0.0; images * features],
            })
            .collect();
        let blocks = plan.tau.as_ref().map_or(0, |tau| tau.blocks.len());
        let mut run = Self {
            plan,
            batch,
            first,
            images,
            layers,
            top: vec![0.0; images * features],
            blocks: vec![vec![0.0; positions * 2 * features]; blocks],
            row: vec![0.0; positions * 2 * features],
        };
        for (layer, state) in plan.layers.iter().zip(&mut run.layers) {
            let labels = labels(batch, first, images);
            fill(
                &mut state.gates,
                &layer.horizontal_bias,
                &layer.label_horizontal,
                labels,
                images,
            );
        }
        run
    }

    /// Numbers that the run holds.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        let layers = self.layers.iter().map(|layer| {
            let caches = [
                &layer.vertical,
                &layer.horizontal,
                &layer.gates,
                &layer.gated,
            ];
            caches.map(Vec::len).iter().sum::<usize>()
        });
        let blocks = self.blocks.iter().map(Vec::len);
        layers.chain(blocks).sum::<usize>() + self.top.len() + self.row.len()
    }

    /// Samples all rows into `[images, channels, height, width]`.
    pub(super) fn sample(
        mut self,
        predictions: &mut [f32],
        sampled: &mut [f32],
        progress: &RowProgress<'_>,
    ) -> Result<(), SampleError> {
        let [_, channels, height, width] = self.batch.dims;
        for row in 0..height {
            self.add_tau(row);
            for column in 0..width {
                self.add_left(column);
                for channel in 0..channels {
                    let values = self.values(row, column, channel);
                    for (image, value) in values.into_iter().enumerate() {
                        let at = ((image * channels + channel) * height + row) * width + column;
                        let offset = self.first * channels * height * width;
                        predictions[at] = value;
                        sampled[at] = self.batch.final_value(offset + at, value);
                        let pixel = (self.plan.layers[0].radius + column) * self.images + image;
                        self.layers[0].horizontal[pixel * channels + channel] =
                            2.0 * sampled[at] - 1.0;
                    }
                }
            }
            if row + 1 < height {
                self.vertical(row);
            }
            progress.finish(row, self.first, sampled)?;
        }
        Ok(())
    }

    /// Adds to the gates of a row what depends on tau alone.
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
            for (layer, state) in self.plan.layers.iter().zip(&mut self.layers) {
                if let Some(weight) = layer.tau.get(channel) {
                    weight.accumulate(phi, &mut state.gates[at..], 2 * features, positions);
                }
            }
            for (block, gates) in tau.blocks.iter().zip(&mut self.blocks) {
                block.tau[channel].accumulate(phi, &mut gates[at..], 2 * features, positions);
            }
        }
    }

    /// Adds to the gates of a pixel what comes from the pixels left of it.
    fn add_left(&mut self, column: usize) {
        let (images, features) = (self.images, self.plan.config.features);
        for (layer, state) in self.plan.layers.iter().zip(&mut self.layers) {
            if layer.radius == 0 {
                continue;
            }
            let x = Rows {
                data: &state.horizontal,
                stride: layer.input,
            };
            let taps = (column..column + layer.radius).map(|column| column * images * layer.input);
            let y = OutputMatrix {
                data: &mut state.gates[column * images * 2 * features..],
                row_stride: 2 * features,
                rows: images,
                columns: 2 * features,
            };
            let taps: Vec<usize> = taps.collect();
            layer.left.multiply(x, &taps, Init::Output, y);
        }
    }

    /// The model's values of one channel of a pixel, one per image.
    fn values(&mut self, row: usize, column: usize, channel: usize) -> Vec<f32> {
        let (images, features, group) = (self.images, self.plan.config.features, self.plan.group);
        for l in 0..self.plan.layers.len() {
            let layer = &self.plan.layers[l];
            let (state, after) = self.layers[l..].split_first_mut().expect("l is a layer");
            let input = &state.horizontal[(layer.radius + column) * images * layer.input..];
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
            gate(
                x,
                &mut state.gated[channel * group..],
                features,
                images,
                1,
                group,
            );
            let output = match after.first_mut() {
                Some(next) => {
                    let radius = self.plan.layers[l + 1].radius;
                    &mut next.horizontal[(radius + column) * images * features..]
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
        self.head(row, column, channel)
    }

    /// From the top of the trunk to the values of one channel.
    fn head(&mut self, row: usize, column: usize, channel: usize) -> Vec<f32> {
        let (images, features, group) = (self.images, self.plan.config.features, self.plan.group);
        for image in 0..images {
            relu(&mut self.top[image * features + channel * group..][..group]);
        }
        // Groups before this one hold their hidden features in the rows of `row`, which the
        // vertical stack does not need now.
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
        if let (Out::Head(out), Some(tau)) = (&self.plan.out, &self.plan.tau) {
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
        match &self.plan.out {
            Out::Gates(out) | Out::Head(out) => affine(&out[channel], x, images),
            Out::Categorical(out) => {
                let logits = affine(&out[channel], x, images);
                let [_, channels, height, width] = self.batch.dims;
                let images = self.first..self.first + images;
                let tau = images.map(|image| {
                    self.batch.tau[((image * channels + channel) * height + row) * width + column]
                });
                logits
                    .chunks_exact(out[channel].bias.len())
                    .zip(tau)
                    .map(|(l, tau)| inverse_cdf(l, tau))
                    .collect()
            }
        }
    }

    /// Runs the vertical stack over a finished row, up to what it adds to the next row's gates.
    fn vertical(&mut self, row: usize) {
        let (images, features) = (self.images, self.plan.config.features);
        let width = self.batch.dims[3];
        let positions = width * images;
        let (input, state) = (&self.plan.layers[0], &mut self.layers[0]);
        let pixels = &state.horizontal[input.radius * images * input.input..];
        state.vertical[input.row_start(row, width, images)..][..pixels.len()]
            .copy_from_slice(pixels);
        for (l, layer) in self.plan.layers.iter().enumerate() {
            let labels = || labels(self.batch, self.first, images);
            let (state, after) = self.layers[l..].split_first_mut().expect("l is a layer");
            fill(
                &mut self.row,
                &layer.vertical_bias,
                &layer.label_vertical,
                labels(),
                images,
            );
            let x = Rows {
                data: &state.vertical,
                stride: layer.input,
            };
            let y = OutputMatrix {
                data: &mut self.row,
                row_stride: 2 * features,
                rows: positions,
                columns: 2 * features,
            };
            let taps = layer.vertical_taps(row, width, images);
            layer.vertical.multiply(x, &taps, Init::Output, y);
            fill(
                &mut state.gates,
                &layer.horizontal_bias,
                &layer.label_horizontal,
                labels(),
                images,
            );
            let x = Rows {
                data: &self.row,
                stride: 2 * features,
            };
            layer
                .vertical_to_horizontal
                .accumulate(x, &mut state.gates, 2 * features, positions);
            if let Some(next) = after.first_mut() {
                let start = self.plan.layers[l + 1].row_start(row, width, images);
                let output = &mut next.vertical[start..];
                gate(
                    x,
                    output,
                    features,
                    positions,
                    self.plan.config.channels,
                    self.plan.group,
                );
            }
        }
    }
}

/// The labels of this run's images.
fn labels(batch: &SampleBatch, first: usize, images: usize) -> Option<&[Option<usize>]> {
    Some(&batch.labels.as_ref()?[first..first + images])
}

/// Sets each row to the bias and the label's.
fn fill(
    rows: &mut [f32],
    bias: &[f32],
    by_label: &[f32],
    labels: Option<&[Option<usize>]>,
    images: usize,
) {
    for (position, row) in rows.chunks_exact_mut(bias.len()).enumerate() {
        row.copy_from_slice(bias);
        if let Some(label) = labels.and_then(|labels| labels[position % images]) {
            for (value, bias) in row.iter_mut().zip(&by_label[label * bias.len()..]) {
                *value += bias;
            }
        }
    }
}

impl Layer {
    /// Numbers in a row of the vertical stack's inputs, with the zeros beside the image.
    fn row_len(&self, width: usize, images: usize) -> usize {
        (width + 2 * self.radius) * images * self.input
    }

    /// Where the first pixel of a row stands among them.
    fn row_start(&self, row: usize, width: usize, images: usize) -> usize {
        row % (self.radius + 1) * self.row_len(width, images) + self.radius * images * self.input
    }

    /// Where the taps of a row's first pixel stand. Rows above the image are those not yet
    /// written: zero.
    fn vertical_taps(&self, row: usize, width: usize, images: usize) -> Vec<usize> {
        let rows = self.radius + 1;
        // The row `up` above is, modulo the number of rows, the row `rows - up` below.
        let starts = (0..rows).rev().map(|up| (row + rows - up) % rows);
        starts
            .flat_map(|slot| {
                let start = slot * self.row_len(width, images);
                (0..=2 * self.radius).map(move |column| start + column * images * self.input)
            })
            .collect()
    }
}

/// `x * weight + bias`, `[count, outputs]`.
fn affine(layer: &Masked, x: Rows<'_>, count: usize) -> Vec<f32> {
    let mut y = layer.bias.repeat(count);
    layer.weight.accumulate(x, &mut y, layer.bias.len(), count);
    y
}

fn relu(values: &mut [f32]) {
    for value in values {
        *value = value.max(0.0);
    }
}

/// The lowest level whose cumulative probability is at least `tau`, over the highest level.
fn inverse_cdf(logits: &[f32], tau: f32) -> f32 {
    let max = logits.iter().copied().fold(f32::NEG_INFINITY, f32::max);
    let total: f32 = logits.iter().map(|logit| (logit - max).exp()).sum();
    let top = logits.len() - 1;
    let mut cumulative = 0.0;
    let below = logits[..top].iter().take_while(|logit| {
        cumulative += (**logit - max).exp() / total;
        cumulative < tau
    });
    below.count() as f32 / top as f32
}

//! The run of a plan over some images of a batch, pixel by pixel.

use std::sync::Arc;

use pixel_iqn_core::{RowProgress, SampleError};
use pixel_iqn_kernels::{Rows, gate};
use pixel_iqn_loss::quantile_of_increments;

use super::guidance::{guided_value, probabilities_of_increments, probabilities_of_logits};
use super::plan::{GroupLinear, OutputWeights};
use super::relu;
use super::state::State;
use super::team::Helpers;

/// The first thread of a run, which samples its pixels.
#[derive(Debug)]
pub(super) struct Run {
    state: Arc<State>,
    /// The other threads, if there are any.
    helpers: Option<Helpers>,
    /// The output of the last gated layer for the current pixel, `[images, F]`.
    top: Vec<f32>,
    /// The hidden features of the current pixel, `[images, F]`.
    hidden: Vec<f32>,
}

impl Run {
    /// Creates the run of a state before the first row.
    pub(super) fn new(state: Arc<State>, helpers: Option<Helpers>) -> Self {
        let features = state.images * state.plan.config.features;
        Self {
            state,
            helpers,
            top: vec![0.0; features],
            hidden: vec![0.0; features],
        }
    }

    /// Counts the numbers in the state.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        self.state.numbers() + self.top.len() + self.hidden.len()
    }

    /// Samples all rows into `predictions` and `sampled`, both `[images, channels, height, width]`.
    pub(super) fn sample(
        mut self,
        predictions: &mut [f32],
        sampled: &mut [f32],
        progress: &RowProgress<'_>,
    ) -> Result<(), SampleError> {
        let [_, _, height, width] = self.state.batch.dims;
        for row in 0..height {
            for column in 0..width {
                self.pixel([row, column], predictions, sampled);
            }
            let first = self.state.first / self.state.batch.copies();
            progress.finish(row, first, sampled)?;
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
        let state = Arc::clone(&self.state);
        let [_, channels, height, width] = state.batch.dims;
        if column == 0 {
            if let Some(above) = row.checked_sub(1) {
                state.add_row(above);
            }
            state.begin_row(row, self.helpers.as_ref());
        }
        for channel in 0..channels {
            let values = self.values([row, column], channel);
            for (image, value) in values.into_iter().enumerate() {
                let at = ((image * channels + channel) * height + row) * width + column;
                let offset = state.first * channels * height * width;
                predictions[at] = value;
                sampled[at] = state.batch.final_value(offset + at, value);
                let pixel = (state.plan.layers[0].reach + column) * state.images + image;
                state.lock(0).horizontal[pixel * channels + channel] = 2.0 * sampled[at] - 1.0;
            }
        }
        if let Some(helpers) = &self.helpers {
            helpers.sampled(0, row * width + column + 1);
        }
    }

    /// Computes the model's predictions for one channel of a pixel, one per image.
    fn values(&mut self, [row, column]: [usize; 2], channel: usize) -> Vec<f32> {
        let state = Arc::clone(&self.state);
        let [_, channels, _, width] = state.batch.dims;
        let (layers, pixel) = (state.plan.layers.len(), row * width + column);
        for l in 0..layers {
            // In the first column nothing is to the left.
            if channel == 0 && column > 0 {
                match &self.helpers {
                    // Both layers that this thread is about to work on.
                    Some(helpers) => {
                        (l..layers.min(l + 2)).for_each(|l| helpers.add_left(l, row, column));
                    }
                    None => state.add_left(l, column),
                }
            }
            self.step(l, column, channel);
            if let Some(helpers) = &self.helpers
                && l > 0
                && channel + 1 == channels
            {
                helpers.sampled(l, pixel + 1);
            }
        }
        self.output(row, column, channel)
    }

    /// Runs a layer for one channel of a pixel: its gates and its output, to the next layer or the top.
    fn step(&mut self, l: usize, column: usize, channel: usize) {
        let (plan, images) = (&self.state.plan, self.state.images);
        let (features, group) = (plan.config.features, plan.group);
        let layer = &plan.layers[l];
        let state = &mut *self.state.lock(l);
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
        let mut next = (plan.layers.get(l + 1)).map(|next| (next, self.state.lock(l + 1)));
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
        let (plan, images) = (&self.state.plan, self.state.images);
        let (features, group) = (plan.config.features, plan.group);
        for image in 0..images {
            relu(&mut self.top[image * features + channel * group..][..group]);
        }
        let hidden = &mut self.hidden[..];
        let layer = &plan.hidden[channel];
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
        if let (OutputWeights::Head(out), Some(tau)) = (&plan.output, &plan.tau) {
            let mut h: Vec<f32> = hidden
                .chunks_exact(features)
                .flat_map(|row| &row[channel * group..][..group])
                .copied()
                .collect();
            let mut gated = vec![0.0; images * group];
            for (block, gates) in tau.blocks.iter().zip(&self.state.blocks) {
                let gates = gates.lock().expect("no thread panicked");
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
        match &plan.output {
            OutputWeights::Gates(out) | OutputWeights::Head(out) => {
                affine(&out[channel], x, images)
            }
            OutputWeights::Monotone(out, knots) => {
                let increments = affine(&out[channel], x, images);
                let increments = increments.chunks_exact(knots.len());
                let tau = self.state.tau(row, column, channel);
                match (self.state.guidance(), self.state.batch.levels) {
                    (Some(weight), Some(levels)) => {
                        let each = increments
                            .map(|image| probabilities_of_increments(image, knots, levels));
                        guided(each, tau, weight)
                    }
                    _ => increments
                        .zip(tau)
                        .map(|(increments, tau)| {
                            quantile_of_increments(increments, knots, f64::from(tau)) as f32
                        })
                        .collect(),
                }
            }
            OutputWeights::Categorical(out) => {
                let logits = affine(&out[channel], x, images);
                let logits = logits.chunks_exact(out[channel].bias.len());
                let tau = self.state.tau(row, column, channel);
                match self.state.guidance() {
                    Some(weight) => guided(logits.map(probabilities_of_logits), tau, weight),
                    None => logits
                        .zip(tau)
                        .map(|(logits, tau)| inverse_cdf(logits, tau))
                        .collect(),
                }
            }
        }
    }
}

/// Draws the values of images and of their unconditional copies, which are the same, from the probabilities of
/// levels of both, by the tau of each.
fn guided(
    mut each: impl Iterator<Item = Vec<f64>>,
    mut tau: impl Iterator<Item = f32>,
    weight: f64,
) -> Vec<f32> {
    let mut values = Vec::new();
    while let (Some(conditional), Some(unconditional), Some(tau), Some(_)) =
        (each.next(), each.next(), tau.next(), tau.next())
    {
        values.extend([guided_value(&conditional, &unconditional, weight, tau); 2]);
    }
    values
}

/// Applies a linear layer to `count` rows: `[count, outputs]`.
fn affine(layer: &GroupLinear, x: Rows<'_>, count: usize) -> Vec<f32> {
    let mut y = layer.bias.repeat(count);
    layer.weight.accumulate(x, &mut y, layer.bias.len(), count);
    y
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

//! The run of an [`IncrementalSampler`] over one batch.

use std::borrow::Cow;
use std::collections::VecDeque;

use burn::tensor::activation::relu;
use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_loss::QuantileFunctions;

use crate::gated_layer::{Conditions, gate};
use crate::gated_pixel_cnn::inverse_cdf;
use crate::lower::{ReceptiveField, gates_by_group};
use crate::progress::{RowProgress, row_values};
use crate::sample::{SampleBatch, SampleError};
use crate::tau::TauProjection;

#[cfg(feature = "cube")]
use super::gpu;
use super::{IncrementalSampler, OutputWeights};

/// The state of a run over one batch.
pub(super) struct Run<'a> {
    model: &'a IncrementalSampler,
    /// The batch in the raster of its order.
    batch: Cow<'a, SampleBatch>,
    labels: Option<Tensor<1, Int>>,
    layers: Vec<LayerCache>,
    /// The inputs that the gates of the blocks after the trunk get from tau in this row, `[batch,
    /// width, C, 2 F / C]` for each block.
    blocks: Vec<Tensor<4>>,
    /// The horizontal stack as a kernel of our own, which then has the gates and what is left of a pixel.
    #[cfg(feature = "cube")]
    kernel: Option<gpu::Row<'a>>,
}

/// The cached features of a layer.
struct LayerCache {
    /// The input rows that the vertical stack still reads, now or later, `[batch, 1, width, input]`
    /// each, the oldest first. Rows above the image are zeros.
    rows: VecDeque<Tensor<4>>,
    /// The inputs that the gates of this row get from everything but the row itself,
    /// `[batch, width, C, 2 F / C]`.
    gates: Tensor<4>,
    /// The inputs of the horizontal stack left of this pixel, which it reads now or later,
    /// `[batch, input]` each, the farthest first. Pixels outside of the image are zeros.
    left: VecDeque<Tensor<2>>,
}

/// The features of one pixel, for each channel group that is sampled so far: `[batch, features]`.
struct Pixel {
    column: usize,
    /// The inputs of the gates of each layer without those of the pixel itself,
    /// `[batch, C, 2 F / C]`.
    gates: Vec<Tensor<3>>,
    /// The inputs of each layer.
    inputs: Vec<Vec<Tensor<2>>>,
    /// The gated features of each layer.
    gated: Vec<Vec<Tensor<2>>>,
    /// The output of the last gated layer after its ReLU.
    top: Vec<Tensor<2>>,
    /// The hidden features.
    hidden: Vec<Tensor<2>>,
}

impl Pixel {
    /// A pixel of which no channel is sampled yet.
    fn new(column: usize, gates: Vec<Tensor<3>>, layers: usize) -> Self {
        Self {
            column,
            gates,
            inputs: vec![Vec::new(); layers],
            gated: vec![Vec::new(); layers],
            top: Vec::new(),
            hidden: Vec::new(),
        }
    }
}

impl<'a> Run<'a> {
    /// Creates the caches of a batch.
    pub(super) fn new(model: &'a IncrementalSampler, batch: Cow<'a, SampleBatch>) -> Self {
        let [images, _, _, width] = batch.dims;
        let device = &model.device;
        let layers = model.trunk.layers.iter().map(|layer| {
            let [_, input, taps, _] = layer.vertical.weight.val().dims();
            let reach = (taps - 1) * layer.vertical.dilation();
            let row = Tensor::zeros([images, 1, width, input], device);
            LayerCache {
                rows: vec![row; reach + 1].into(),
                gates: Tensor::zeros([0, 0, 0, 0], device),
                left: vec![Tensor::zeros([images, input], device); model.left(reach)].into(),
            }
        });
        Self {
            #[cfg(feature = "cube")]
            kernel: model.kernel.as_ref().map(|weights| {
                let channels = model.config.channels;
                gpu::Row::new(weights, [images, width, channels])
            }),
            layers: layers.collect(),
            labels: batch.label_tensor(model.config.classes, device),
            blocks: Vec::new(),
            model,
            batch,
        }
    }

    /// Samples all rows, and returns the model's predictions and the images.
    pub(super) fn sample(
        mut self,
        progress: &RowProgress<'_>,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        let [images, channels, height, width] = self.batch.dims;
        let at = |image, channel, row, column| {
            ((image * channels + channel) * height + row) * width + column
        };
        let mut predictions = vec![0.0; self.batch.tau.len()];
        let mut sampled = predictions.clone();
        let mut above: Option<Vec<f32>> = None;
        for row in 0..height {
            self.begin_row(row, above.as_deref());
            for column in 0..width {
                let mut pixel = self.begin_pixel(column);
                for channel in 0..channels {
                    let values = self.values(&mut pixel, row, channel);
                    let values = values.into_data().convert::<f32>();
                    let values = values.as_slice::<f32>().expect("converted to f32");
                    let mut inputs = Vec::with_capacity(images);
                    for (image, &value) in values.iter().enumerate() {
                        let at = at(image, channel, row, column);
                        predictions[at] = value;
                        sampled[at] = self.batch.final_value(at, value);
                        inputs.push(2.0 * sampled[at] - 1.0);
                    }
                    let inputs = tensor(inputs, [images, 1], &self.model.device);
                    #[cfg(feature = "cube")]
                    if let Some(kernel) = &mut self.kernel {
                        kernel.set(column, channel, &inputs);
                        continue;
                    }
                    pixel.inputs[0].push(inputs);
                }
                #[cfg(feature = "cube")]
                if self.kernel.is_some() {
                    continue;
                }
                for (cache, inputs) in self.layers.iter_mut().zip(pixel.inputs) {
                    if cache.left.pop_front().is_some() {
                        cache.left.push_back(Tensor::cat(inputs, 1));
                    }
                }
            }
            progress.finish(row, 0, &sampled)?;
            above = Some(row_values(&sampled, row, [channels, height, width]));
        }
        Ok((predictions, sampled))
    }

    /// Runs the vertical stack over the row `above`, `[images, channels, width]`, and computes the
    /// inputs that the gates of row `row` get from the rows above, from tau and from labels.
    pub(super) fn begin_row(&mut self, row: usize, above: Option<&[f32]>) {
        let [images, channels, height, width] = self.batch.dims;
        let device = &self.model.device;
        let groups = self.model.config.channels;
        let features = self.model.config.features;
        let conditions = Conditions::new(self.labels.as_ref()).with_order(self.batch.order);
        let phi = match &self.model.output {
            OutputWeights::Gates { embedding, .. } | OutputWeights::Head { embedding, .. } => {
                let planes = 0..images * channels;
                let tau = planes
                    .flat_map(|plane| &self.batch.tau[(plane * height + row) * width..][..width]);
                let tau = tensor(tau.copied().collect(), [images, channels, 1, width], device);
                Some(embedding.forward_images(tau))
            }
            OutputWeights::Monotone { .. } | OutputWeights::Categorical { .. } => None,
        };
        let from_tau = |projection: &TauProjection| {
            let phi = phi
                .clone()
                .expect("only quantile models have projections of tau");
            let [.., group] = projection.matrices().dims();
            projection
                .forward_groups(phi)
                .swap_dims(0, 1)
                .reshape([images, width, groups, group])
        };
        let mut v = above.map(|values| {
            let x = tensor(values.to_vec(), [images, channels, 1, width], device);
            x.permute([0, 2, 3, 1]) * 2.0 - 1.0
        });
        for (layer, cache) in self.model.trunk.layers.iter().zip(&mut self.layers) {
            // The first row gets zeros from above, not the output of the vertical stack for zeros.
            let v_in = v.take().map(|v| {
                cache.rows.pop_front();
                cache.rows.push_back(v);
                let rows = cache.rows.iter().step_by(layer.vertical.dilation());
                let rows = Tensor::cat(rows.cloned().collect(), 1);
                layer
                    .vertical
                    .forward_last(rows, layer.vertical_bias(conditions))
            });
            let zeros = || Tensor::zeros([images, 1, width, 2 * features], device);
            let above = v_in.clone().unwrap_or_else(zeros);
            let bias = layer.horizontal_bias(conditions);
            let projection = &layer.vertical_to_horizontal;
            let above = projection.forward_at(above, ReceptiveField::POINT, bias);
            let gates = gates_by_group(above, groups);
            cache.gates = match &layer.tau {
                Some(projection) => gates + from_tau(projection),
                None => gates,
            };
            for left in &mut cache.left {
                *left = left.zeros_like();
            }
            v = v_in.map(gate);
        }
        #[cfg(feature = "cube")]
        if let Some(kernel) = &mut self.kernel {
            let none = || Tensor::zeros([0, 0, 0, 0], device);
            let caches = self.layers.iter_mut();
            let gates = caches.map(|cache| core::mem::replace(&mut cache.gates, none()));
            kernel.begin(gates.collect());
        }
        if let OutputWeights::Head { blocks, .. } = &self.model.output {
            self.blocks = blocks.iter().map(|block| from_tau(&block.tau)).collect();
        }
    }

    /// Computes the inputs that the gates of a pixel get from everything but the pixel itself.
    fn begin_pixel(&self, column: usize) -> Pixel {
        #[cfg(feature = "cube")]
        if self.kernel.is_some() {
            return Pixel::new(column, Vec::new(), 0);
        }
        let gates = self.layers.iter().zip(&self.model.layers);
        let gates = gates.map(|(cache, weights)| {
            let [images, _, groups, group] = cache.gates.dims();
            let shape = [images, groups, group];
            let gates = cache.gates.clone().narrow(1, column, 1).reshape(shape);
            match &weights.left {
                Some(weight) => {
                    let left = cache.left.iter().step_by(weights.dilation);
                    let left = Tensor::cat(left.cloned().collect(), 1);
                    gates + left.matmul(weight.clone()).reshape(shape)
                }
                None => gates,
            }
        });
        Pixel::new(column, gates.collect(), self.layers.len())
    }

    /// Computes the output of the last gated layer after its ReLU for the channel groups so far,
    /// `[batch, features]`.
    fn top(&mut self, pixel: &mut Pixel, channel: usize) -> Tensor<2> {
        #[cfg(feature = "cube")]
        if let Some(kernel) = &mut self.kernel {
            return kernel.top(pixel.column, channel);
        }
        for (l, weights) in self.model.layers.iter().enumerate() {
            let [images, _, group] = pixel.gates[l].dims();
            let gates = pixel.gates[l].clone().narrow(1, channel, 1);
            let mut gates = gates.reshape([images, group]);
            if let Some(weight) = &weights.centre[channel] {
                gates = gates + join(&pixel.inputs[l]).matmul(weight.clone());
            }
            pixel.gated[l].push(gate(gates));
            let mut output = weights.output.forward(channel, join(&pixel.gated[l]));
            if l > 0 {
                output = output + pixel.inputs[l][channel].clone();
            }
            match pixel.inputs.get_mut(l + 1) {
                Some(next) => next.push(output),
                None => pixel.top.push(relu(output)),
            }
        }
        join(&pixel.top)
    }

    /// Computes the model's predictions for one channel of a pixel, `[batch, 1]`.
    fn values(&mut self, pixel: &mut Pixel, row: usize, channel: usize) -> Tensor<2> {
        let model = self.model;
        let top = self.top(pixel, channel);
        let hidden = model.hidden.forward(channel, top);
        pixel.hidden.push(relu(hidden));
        match &model.output {
            OutputWeights::Gates { out, .. } => out.forward(channel, join(&pixel.hidden)),
            OutputWeights::Head { blocks, out, .. } => {
                let mut h = pixel.hidden[channel].clone();
                for (block, gates) in blocks.iter().zip(&self.blocks) {
                    let [images, .., group] = gates.dims();
                    let gates = gates.clone().narrow(1, pixel.column, 1);
                    let gates = gates.narrow(2, channel, 1).reshape([images, group]);
                    let gates = block.input.forward(channel, h.clone()) + gates;
                    h = h + block.output.forward(channel, gate(gates));
                }
                out.forward(channel, h)
            }
            OutputWeights::Monotone { out, knots } => {
                let increments = out.forward(channel, join(&pixel.hidden));
                QuantileFunctions::from_increments(increments, knots.clone()).quantile(self.tau(
                    row,
                    pixel.column,
                    channel,
                ))
            }
            OutputWeights::Categorical { out } => {
                let tau = self.tau(row, pixel.column, channel);
                inverse_cdf(out.forward(channel, join(&pixel.hidden)), tau)
            }
        }
    }

    /// The tau of a value of each image, `[batch, 1]`.
    fn tau(&self, row: usize, column: usize, channel: usize) -> Tensor<2> {
        let [images, channels, height, width] = self.batch.dims;
        let tau = (0..images).map(|image| {
            self.batch.tau[((image * channels + channel) * height + row) * width + column]
        });
        tensor(tau.collect(), [images, 1], &self.model.device)
    }

    /// Counts the numbers in the caches.
    #[cfg(test)]
    pub(super) fn cached_numbers(&self) -> usize {
        let count = |shape: &[usize]| shape.iter().product::<usize>();
        let layers = self.layers.iter().map(|cache| {
            count(&cache.gates.dims())
                + cache
                    .rows
                    .iter()
                    .map(|row| count(&row.dims()))
                    .sum::<usize>()
                + cache
                    .left
                    .iter()
                    .map(|left| count(&left.dims()))
                    .sum::<usize>()
        });
        layers.sum::<usize>()
            + self
                .blocks
                .iter()
                .map(|block| count(&block.dims()))
                .sum::<usize>()
    }
}

/// Joins the features of the groups so far.
fn join(groups: &[Tensor<2>]) -> Tensor<2> {
    Tensor::cat(groups.to_vec(), 1)
}

/// Creates a tensor from its values.
fn tensor<const D: usize>(values: Vec<f32>, shape: [usize; D], device: &Device) -> Tensor<D> {
    Tensor::from_data(TensorData::new(values, shape), device)
}

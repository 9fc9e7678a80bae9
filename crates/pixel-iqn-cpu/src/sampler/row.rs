//! What is computed for a whole row at a time, before its pixels: the embedding of tau, the vertical stack
//! of the row above, and what these give to the inputs of the gates.
//!
//! A row is computed in steps, each of which reads what those before it wrote. The threads of a run share
//! each step in parts.

use core::ops::{Deref, DerefMut, Range};
use std::sync::RwLock;

use pixel_iqn_kernels::{OutputMatrix, RowPanels, RowTaps, Rows, cosines, gate};

use super::matrix::{Matrix, Source};
use super::plan::{Plan, TauWeights};
use super::relu;
use super::state::State;

/// The input features from which on the products of Winograd take less time than those of the definition,
/// as measured.
const WINOGRAD_FEATURES: usize = 24;

/// The weights of a vertical convolution, which is computed one row at a time.
#[derive(Debug)]
pub(super) enum VerticalWeights {
    /// As they are, `[taps * input, 2 F]`, with taps of `half + 1` rows and `2 * half + 1` columns.
    Direct(Matrix),
    /// Those of two rows of three taps, transformed for the fewer products of Winograd.
    Rows(RowPanels),
}

/// One of the parts of a step.
#[derive(Debug, Clone, Copy)]
pub(super) struct Part {
    pub index: usize,
    /// The number of parts.
    pub count: usize,
}

impl Part {
    /// Whether the part is all of the step.
    fn is_whole(self) -> bool {
        self.count == 1
    }

    /// The positions of the part, which are whole columns, so that they begin with the first image.
    fn positions(self, width: usize, images: usize) -> Range<usize> {
        let part = width.div_ceil(self.count) * images;
        let positions = width * images;
        (self.index * part).min(positions)..((self.index + 1) * part).min(positions)
    }
}

impl VerticalWeights {
    /// Packs the weights of taps of some rows and columns. `weight(tap, input, output)` is one of them,
    /// with the taps in row-major order.
    pub(super) fn new(
        source: &Source,
        [rows, columns]: [usize; 2],
        [inputs, outputs]: [usize; 2],
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        let winograd = [rows, columns] == [2, 3] && inputs >= WINOGRAD_FEATURES;
        // Products of rounded numbers take as little time, and read a quarter of the memory.
        if winograd && !source.rounds() {
            return Self::Rows(RowPanels::new([inputs, outputs], |row, input, output| {
                core::array::from_fn(|c| weight(3 * row + c, input, output))
            }));
        }
        let element = |k: usize, output| weight(k / inputs, k % inputs, output);
        Self::Direct(Matrix::new(
            source,
            [rows * columns, inputs, outputs],
            element,
        ))
    }

    /// The positions and the outputs of a part, of `[width, images, outputs]` in all.
    fn part(
        &self,
        part: Part,
        [width, images, outputs]: [usize; 3],
    ) -> (Range<usize>, Range<usize>) {
        match self {
            Self::Direct(_) => (part.positions(width, images), 0..outputs),
            Self::Rows(weights) => (0..width * images, weights.part(part.index, part.count)),
        }
    }
}

/// The number of steps of a row.
pub(super) fn steps(plan: &Plan) -> usize {
    2 * plan.layers.len() + 2
}

impl State {
    /// Computes a part of a step of a row. The first layer's row above must be there (see
    /// [`add_row`](Self::add_row)).
    pub(super) fn step(&self, row: usize, step: usize, part: Part) {
        let layers = self.plan.layers.len();
        match (step.checked_sub(1), row.checked_sub(1)) {
            (None, _) => self.embed(row, part),
            (Some(step), _) if step == 2 * layers => self.block_gates(part),
            (Some(step), Some(above)) if step % 2 == 0 => self.vertical_sums(step / 2, above, part),
            // Above the first row there is nothing.
            (Some(step), None) if step % 2 == 0 => {}
            (Some(step), above) => self.gates(step / 2, above, part),
        }
    }

    /// Takes the current row of the first layer's horizontal stack, once it is finished, as a row of its
    /// vertical one.
    pub(super) fn add_row(&self, row: usize) {
        let [.., width] = self.batch.dims;
        let (layer, images) = (&self.plan.layers[0], self.images);
        let state = self.lock(0);
        let pixels = &state.horizontal[layer.reach * images * layer.input..];
        let mut rows = write(&self.vertical[0]);
        rows[layer.row_start(row, width, images)..][..pixels.len()].copy_from_slice(pixels);
    }

    /// Embeds the tau of a row, for each channel.
    fn embed(&self, row: usize, part: Part) {
        let Some(tau) = &self.plan.tau else { return };
        let [_, channels, _, width] = self.batch.dims;
        let positions = part.positions(width, self.images);
        let (inputs, embedding) = (tau.weight.inputs(), tau.weight.outputs());
        for channel in 0..channels {
            let columns = positions.start / self.images..positions.end / self.images;
            let levels: Vec<f32> = columns
                .flat_map(|column| self.tau(row, column, channel))
                .collect();
            let mut phi = tau.bias.repeat(levels.len());
            let cos = Rows {
                data: &cosines(&levels, inputs),
                stride: inputs,
            };
            tau.weight
                .accumulate(cos, &mut phi, embedding, levels.len());
            relu(&mut phi);
            let first = (channel * width * self.images + positions.start) * embedding;
            write(&self.embedding)[first..][..phi.len()].copy_from_slice(&phi);
        }
    }

    /// Adds the projections of the embedding of tau to the inputs of the gates of some positions.
    fn add_tau(&self, tau: &TauWeights, weights: &[Matrix], gates: &mut [f32], first: usize) {
        let [.., width] = self.batch.dims;
        let (embedding, row) = (tau.weight.outputs(), 2 * self.plan.config.features);
        let phi = read(&self.embedding);
        for (channel, weight) in weights.iter().enumerate() {
            let phi = Rows {
                data: &phi[(channel * width * self.images + first) * embedding..],
                stride: embedding,
            };
            let positions = gates.len() / row;
            let gates = &mut gates[channel * 2 * self.plan.group..];
            weight.accumulate(phi, gates, row, positions);
        }
    }

    /// Computes a row of a layer of the vertical stack before its gate.
    fn vertical_sums(&self, l: usize, row: usize, part: Part) {
        let [.., width] = self.batch.dims;
        let (layer, images) = (&self.plan.layers[l], self.images);
        let [bias, _] = &self.biases[l];
        let all = bias.len();
        let (positions, outputs) = layer.vertical.part(part, [width, images, all]);
        let taps = layer.vertical_taps(row, width, images);
        let rows = read(&self.vertical[l]);
        let x = Rows {
            data: &rows[..],
            stride: layer.input,
        };
        let compute = |sums: &mut [f32]| {
            self.fill(sums, bias, &layer.label_vertical, outputs.clone());
            match &layer.vertical {
                VerticalWeights::Direct(weights) => {
                    let shift = positions.start * x.stride;
                    let taps: Vec<usize> = taps.iter().map(|tap| tap + shift).collect();
                    let y = OutputMatrix {
                        data: sums,
                        row_stride: all,
                        rows: positions.len(),
                        columns: all,
                    };
                    weights.multiply(x, &taps, y);
                }
                VerticalWeights::Rows(weights) => {
                    let taps = RowTaps {
                        // Those of the first column of taps.
                        starts: [0, 3].map(|tap| taps[tap] / x.stride),
                        columns: width,
                        images,
                        dilation: layer.dilation,
                    };
                    weights.accumulate(x.data, taps, outputs.clone(), sums);
                }
            }
        };
        if part.is_whole() {
            return compute(&mut write(&self.sums));
        }
        let mut sums = vec![0.0; positions.len() * outputs.len()];
        compute(&mut sums);
        let mut to = write(&self.sums);
        let to = to[positions.start * all..].chunks_exact_mut(all);
        for (to, sums) in to.zip(sums.chunks_exact(outputs.len().max(1))) {
            to[outputs.clone()].copy_from_slice(sums);
        }
    }

    /// Computes what a row gives to the inputs of the gates of the row below, and, where there is a row
    /// above, the input of the next layer's vertical stack.
    fn gates(&self, l: usize, above: Option<usize>, part: Part) {
        let [.., width] = self.batch.dims;
        let (layer, images) = (&self.plan.layers[l], self.images);
        let [_, bias] = &self.biases[l];
        let row = bias.len();
        let positions = part.positions(width, images);
        // There may be fewer columns than threads.
        if positions.is_empty() {
            return;
        }
        let sums = read(&self.sums);
        let x = Rows {
            data: &sums[positions.start * row..],
            stride: row,
        };
        let compute = |gates: &mut [f32]| {
            self.fill(gates, bias, &layer.label_horizontal, 0..row);
            if above.is_some() {
                let vertical = &layer.vertical_to_horizontal;
                vertical.accumulate(x, gates, row, positions.len());
            }
            if let Some(tau) = &self.plan.tau {
                self.add_tau(tau, &layer.tau, gates, positions.start);
            }
        };
        let place = positions.start * row..positions.end * row;
        put(
            part,
            place,
            || self.lock(l),
            |state| &mut state.gates,
            compute,
        );
        if let (Some(above), Some(next)) = (above, self.plan.layers.get(l + 1)) {
            let features = row / 2;
            let start = next.row_start(above, width, images) + positions.start * features;
            let place = start..start + positions.len() * features;
            let [groups, group] = [self.plan.config.channels, self.plan.group];
            let compute =
                |next: &mut [f32]| gate(x, next, features, positions.len(), groups, group);
            let rows = || write(&self.vertical[l + 1]);
            put(part, place, rows, |rows| rows, compute);
        }
    }

    /// Computes the inputs of the gates of the blocks after the trunk.
    fn block_gates(&self, part: Part) {
        let Some(tau) = &self.plan.tau else { return };
        let [.., width] = self.batch.dims;
        let positions = part.positions(width, self.images);
        if positions.is_empty() {
            return;
        }
        let row = 2 * self.plan.config.features;
        for (block, gates) in tau.blocks.iter().zip(&self.blocks) {
            let compute = |gates: &mut [f32]| {
                gates.fill(0.0);
                self.add_tau(tau, &block.tau, gates, positions.start);
            };
            let place = positions.start * row..positions.end * row;
            let gates = || gates.lock().expect("no thread panicked");
            put(part, place, gates, |gates| gates, compute);
        }
    }

    /// Sets some outputs of each position to the bias plus the class bias of its image.
    fn fill(&self, rows: &mut [f32], bias: &[f32], by_label: &[f32], outputs: Range<usize>) {
        let labels = self.labels();
        for (position, row) in rows.chunks_exact_mut(outputs.len().max(1)).enumerate() {
            row.copy_from_slice(&bias[outputs.clone()]);
            if let Some(label) = labels.and_then(|labels| labels[position % self.images]) {
                let by_label = &by_label[label * bias.len()..][outputs.clone()];
                for (value, bias) in row.iter_mut().zip(by_label) {
                    *value += bias;
                }
            }
        }
    }
}

/// Locks numbers that threads read side by side.
fn read(numbers: &RwLock<Vec<f32>>) -> impl Deref<Target = Vec<f32>> {
    numbers.read().expect("no thread panicked")
}

/// Locks numbers that threads write for moments.
fn write(numbers: &RwLock<Vec<f32>>) -> impl DerefMut<Target = Vec<f32>> {
    numbers.write().expect("no thread panicked")
}

/// Computes a part of what a lock guards: in its place where the part is the whole, and else beside it, so
/// that the other threads need not wait.
fn put<G: DerefMut>(
    part: Part,
    place: Range<usize>,
    lock: impl FnOnce() -> G,
    numbers: impl FnOnce(&mut G::Target) -> &mut Vec<f32>,
    compute: impl FnOnce(&mut [f32]),
) {
    if part.is_whole() {
        return compute(&mut numbers(&mut lock())[place]);
    }
    let mut of_part = vec![0.0; place.len()];
    compute(&mut of_part);
    numbers(&mut lock())[place].copy_from_slice(&of_part);
}

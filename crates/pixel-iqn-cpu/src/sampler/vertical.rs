//! The vertical stack, which is computed one row at a time.

use pixel_iqn_kernels::{OutputMatrix, RowPanels, RowTaps, Rows, gate};

use rayon::prelude::*;

use super::matrix::{Matrix, Source};
use super::plan::Layer;

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

    /// Adds the convolution to the outputs of a row, on so many threads. The inputs at tap `t` of the first
    /// pixel start at `taps[t]`, and neighbouring columns of taps are `dilation` columns of `images` pixels
    /// apart.
    fn accumulate(
        &self,
        x: Rows<'_>,
        taps: &[usize],
        [images, dilation]: [usize; 2],
        (y, outputs): (&mut [f32], usize),
        threads: usize,
    ) {
        let positions = y.len() / outputs;
        match self {
            Self::Direct(weights) => {
                let part = positions.div_ceil(threads);
                let parts = y.par_chunks_mut(part * outputs).enumerate();
                parts.for_each(|(i, y)| {
                    let shift = i * part * x.stride;
                    let taps: Vec<usize> = taps.iter().map(|tap| tap + shift).collect();
                    let y = OutputMatrix {
                        rows: y.len() / outputs,
                        data: y,
                        row_stride: outputs,
                        columns: outputs,
                    };
                    weights.multiply(x, &taps, y);
                });
            }
            Self::Rows(weights) => {
                let taps = RowTaps {
                    // Those of the first column of taps.
                    starts: [0, 3].map(|tap| taps[tap] / x.stride),
                    columns: positions / images,
                    images,
                    dilation,
                };
                weights.accumulate(x.data, taps, y, threads);
            }
        }
    }
}

/// A layer of the vertical stack for one row.
pub(super) struct VerticalLayer<'a> {
    pub layer: &'a Layer,
    pub biases: &'a [Vec<f32>; 2],
    pub labels: Option<&'a [Option<usize>]>,
    /// The rows that the layer reads.
    pub x: &'a [f32],
    pub taps: Vec<usize>,
    pub images: usize,
    /// The number of channel groups and the features of each.
    pub groups: [usize; 2],
    pub threads: usize,
}

/// What a layer of the vertical stack computes.
pub(super) struct VerticalOutputs<'a> {
    /// The stack before its gate, `[positions, 2 F]`.
    pub sums: &'a mut [f32],
    /// The inputs of the gates of the horizontal stack, `[positions, 2 F]`.
    pub gates: &'a mut [f32],
    /// The input of the next layer's vertical stack, `[positions, F]`.
    pub next: Option<&'a mut [f32]>,
}

impl VerticalLayer<'_> {
    /// Computes the row.
    pub(super) fn run(&self, outputs: VerticalOutputs<'_>) {
        let VerticalOutputs { sums, gates, next } = outputs;
        let (layer, images) = (self.layer, self.images);
        let [vertical_bias, _] = self.biases;
        let row = vertical_bias.len();
        fill(
            sums,
            vertical_bias,
            &layer.label_vertical,
            self.labels,
            images,
        );
        let x = Rows {
            data: self.x,
            stride: layer.input,
        };
        let steps = [images, layer.dilation];
        (layer.vertical).accumulate(x, &self.taps, steps, (&mut *sums, row), self.threads);
        // Whole columns, so that a part begins with the first image.
        let part = (sums.len() / row / images).div_ceil(self.threads) * images;
        let sums = sums.par_chunks(part * row);
        let parts = sums.zip(gates.par_chunks_mut(part * row));
        match next {
            None => parts.for_each(|(sums, gates)| self.finish(sums, gates, None)),
            Some(next) => parts
                .zip(next.par_chunks_mut(part * row / 2))
                .for_each(|((sums, gates), next)| self.finish(sums, gates, Some(next))),
        }
    }

    /// Computes what some columns give to the horizontal stack and to the next layer.
    fn finish(&self, sums: &[f32], gates: &mut [f32], next: Option<&mut [f32]>) {
        let layer = self.layer;
        let [_, horizontal_bias] = self.biases;
        let row = horizontal_bias.len();
        let positions = sums.len() / row;
        let by_label = &layer.label_horizontal;
        fill(gates, horizontal_bias, by_label, self.labels, self.images);
        let x = Rows {
            data: sums,
            stride: row,
        };
        (layer.vertical_to_horizontal).accumulate(x, gates, row, positions);
        if let Some(next) = next {
            let [groups, group] = self.groups;
            gate(x, next, row / 2, positions, groups, group);
        }
    }
}

/// Sets each row to the bias plus the class bias of its image.
pub(super) fn fill(
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

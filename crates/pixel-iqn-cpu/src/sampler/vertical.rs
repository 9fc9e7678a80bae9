//! The vertical stack, which is computed one row at a time.

use pixel_iqn_kernels::{Init, OutputMatrix, Panels, RowPanels, RowTaps, Rows, gate};

use super::plan::Layer;

/// The input features from which on the products of Winograd take less time than those of the definition,
/// as measured.
const WINOGRAD_FEATURES: usize = 24;

/// The weights of a vertical convolution, which is computed one row at a time.
#[derive(Debug)]
pub(super) enum VerticalWeights {
    /// As they are, `[taps * input, 2 F]`, with taps of `half + 1` rows and `2 * half + 1` columns.
    Direct(Panels),
    /// Those of two rows of three taps, transformed for the fewer products of Winograd.
    Rows(RowPanels),
}

impl VerticalWeights {
    /// Packs the weights of taps of some rows and columns. `weight(tap, input, output)` is one of them,
    /// with the taps in row-major order.
    pub(super) fn new(
        [rows, columns]: [usize; 2],
        [inputs, outputs]: [usize; 2],
        weight: impl Fn(usize, usize, usize) -> f32 + Sync,
    ) -> Self {
        if [rows, columns] == [2, 3] && inputs >= WINOGRAD_FEATURES {
            return Self::Rows(RowPanels::new([inputs, outputs], |row, input, output| {
                core::array::from_fn(|c| weight(3 * row + c, input, output))
            }));
        }
        let element = |k: usize, output| weight(k / inputs, k % inputs, output);
        Self::Direct(Panels::new([rows * columns, inputs, outputs], element))
    }

    /// Adds the convolution to the outputs of a row. The inputs at tap `t` of the first pixel start at
    /// `taps[t]`, and neighbouring columns of taps are `dilation` columns of `images` pixels apart.
    pub(super) fn accumulate(
        &self,
        x: Rows<'_>,
        taps: &[usize],
        [images, dilation]: [usize; 2],
        y: OutputMatrix<'_>,
    ) {
        match self {
            Self::Direct(weights) => weights.multiply(x, taps, Init::Output, y),
            Self::Rows(weights) => {
                let taps = RowTaps {
                    // Those of the first column of taps.
                    starts: [0, 3].map(|tap| taps[tap] / x.stride),
                    columns: y.rows / images,
                    images,
                    dilation,
                };
                weights.accumulate(x.data, taps, y.data);
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
}

/// Some columns of a row, which one thread computes.
pub(super) struct VerticalPart<'a> {
    /// The first position, `column * images`.
    pub first: usize,
    /// The stack before its gate, `[positions, 2 F]`.
    pub sums: &'a mut [f32],
    /// The inputs of the gates of the horizontal stack, `[positions, 2 F]`.
    pub gates: &'a mut [f32],
    /// The input of the next layer's vertical stack, `[positions, F]`.
    pub output: Option<&'a mut [f32]>,
}

impl VerticalLayer<'_> {
    /// Computes some columns.
    pub(super) fn run(&self, part: &mut VerticalPart<'_>) {
        let Self {
            layer,
            labels,
            images,
            groups: [channels, group],
            ..
        } = *self;
        let [vertical_bias, horizontal_bias] = self.biases;
        let features = channels * group;
        let positions = part.sums.len() / (2 * features);
        fill(
            part.sums,
            vertical_bias,
            &layer.label_vertical,
            labels,
            images,
        );
        let shift = part.first * layer.input;
        let taps: Vec<usize> = self.taps.iter().map(|tap| tap + shift).collect();
        let x = Rows {
            data: self.x,
            stride: layer.input,
        };
        let y = OutputMatrix {
            data: part.sums,
            row_stride: 2 * features,
            rows: positions,
            columns: 2 * features,
        };
        (layer.vertical).accumulate(x, &taps, [images, layer.dilation], y);
        fill(
            part.gates,
            horizontal_bias,
            &layer.label_horizontal,
            labels,
            images,
        );
        let x = Rows {
            data: part.sums,
            stride: 2 * features,
        };
        (layer.vertical_to_horizontal).accumulate(x, part.gates, 2 * features, positions);
        if let Some(output) = &mut part.output {
            gate(x, output, features, positions, channels, group);
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

//! The features that a layer of the horizontal stack keeps while a batch is sampled, and their layout.

use pixel_iqn_kernels::{OutputMatrix, Rows};

use super::plan::Layer;

/// The cached features of a layer.
#[derive(Debug)]
pub(super) struct LayerState {
    /// The current row of the input of the horizontal stack, `[(reach + width) * images, input]`,
    /// with zeros outside of the image.
    pub horizontal: Vec<f32>,
    /// The inputs of the gates of the current row, `[width * images, 2 F]`.
    pub gates: Vec<f32>,
    /// The gated features of the current pixel, `[images, F]`.
    pub gated: Vec<f32>,
}

impl LayerState {
    /// Creates the state of a layer with `features` features before the first row.
    pub(super) fn new(layer: &Layer, features: usize, width: usize, images: usize) -> Self {
        Self {
            horizontal: vec![0.0; (layer.reach + width) * images * layer.input],
            gates: vec![0.0; width * images * 2 * features],
            gated: vec![0.0; images * features],
        }
    }

    /// Adds the convolution over the pixels left of a pixel to the inputs of its gates.
    pub(super) fn add_left(&mut self, layer: &Layer, column: usize, images: usize) {
        if layer.half == 0 {
            return;
        }
        let row_stride = layer.left.outputs();
        let x = Rows {
            data: &self.horizontal,
            stride: layer.input,
        };
        let columns = (0..layer.half).map(|tap| column + tap * layer.dilation);
        let taps: Vec<usize> = columns
            .map(|column| column * images * layer.input)
            .collect();
        let y = OutputMatrix {
            data: &mut self.gates[column * images * row_stride..],
            row_stride,
            rows: images,
            columns: row_stride,
        };
        layer.left.multiply(x, &taps, y);
    }

    /// Counts the numbers in the state.
    #[cfg(test)]
    pub(super) fn numbers(&self) -> usize {
        let caches = [&self.horizontal, &self.gates, &self.gated];
        caches.map(Vec::len).iter().sum()
    }
}

impl Layer {
    /// The length of a row of the vertical stack's inputs, including the zeros outside of the
    /// image.
    fn row_len(&self, width: usize, images: usize) -> usize {
        (width + 2 * self.reach) * images * self.input
    }

    /// The length of all rows of the vertical stack's inputs that are kept.
    pub(super) fn rows_len(&self, width: usize, images: usize) -> usize {
        (self.reach + 1) * self.row_len(width, images)
    }

    /// The index of the first pixel of a row in the vertical stack's inputs.
    pub(super) fn row_start(&self, row: usize, width: usize, images: usize) -> usize {
        row % (self.reach + 1) * self.row_len(width, images) + self.reach * images * self.input
    }

    /// The indices of the taps of a row's first pixel in the vertical stack's inputs. Rows above
    /// the image are not yet written, and so are zeros.
    pub(super) fn vertical_taps(&self, row: usize, width: usize, images: usize) -> Vec<usize> {
        let rows = self.reach + 1;
        // Modulo the number of rows, the row `up` above is the row `rows - up` below.
        let above = (0..=self.half).rev().map(|tap| tap * self.dilation);
        let starts = above.map(|up| (row + rows - up) % rows);
        starts
            .flat_map(|slot| {
                let start = slot * self.row_len(width, images);
                let columns = (0..=2 * self.half).map(|tap| tap * self.dilation);
                columns.map(move |column| start + column * images * self.input)
            })
            .collect()
    }
}

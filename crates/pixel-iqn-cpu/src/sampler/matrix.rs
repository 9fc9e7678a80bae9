use core::cell::RefCell;

use pixel_iqn_core::weights::{NamedWeights, WeightsError};
use pixel_iqn_kernels::{Bfloat16, Init, OutputMatrix, Pair, Panels, Rows};

/// The weights of a model by their names, and the precision in which they are packed.
pub(super) struct Source {
    weights: NamedWeights,
    bfloat16: Option<Bfloat16>,
}

impl Source {
    /// Takes the weights in single precision, or rounded to bfloat16 numbers.
    pub fn new(weights: NamedWeights, bfloat16: Option<Bfloat16>) -> Self {
        Self { weights, bfloat16 }
    }

    /// Whether weights are rounded to bfloat16 numbers.
    pub fn rounds(&self) -> bool {
        self.bfloat16.is_some()
    }

    /// Packs all further weights in single precision.
    pub fn stop_rounding(&mut self) {
        self.bfloat16 = None;
    }

    /// Takes the weights of a name, as [`NamedWeights::take`] does.
    pub fn take(&mut self, name: &str, shape: &[usize]) -> Vec<f32> {
        self.weights.take(name, shape)
    }

    /// Checks that all weights were taken, as [`NamedWeights::finish`] does.
    pub fn finish(self) -> Result<(), WeightsError> {
        self.weights.finish()
    }
}

/// The packed weights of a convolution or a linear layer.
#[derive(Debug)]
pub(super) struct Matrix {
    inputs: usize,
    packed: Packed,
}

#[derive(Debug)]
enum Packed {
    Float32(Panels),
    /// Weights that are rounded, which round what they multiply, too.
    Bfloat16(Bfloat16, Panels<Pair>),
}

thread_local! {
    /// Room for rounded inputs.
    static ROUNDED: RefCell<Vec<Pair>> = RefCell::default();
}

impl Matrix {
    /// Packs the weights whose element `[k, n]` is `element(k, n)`, for `k < taps * inputs` and
    /// `n < outputs`, in the precision of the source.
    pub fn new(
        source: &Source,
        shape: [usize; 3],
        element: impl Fn(usize, usize) -> f32 + Sync,
    ) -> Self {
        let [_, inputs, _] = shape;
        let packed = match source.bfloat16 {
            None => Packed::Float32(Panels::new(shape, element)),
            Some(bfloat16) => Packed::Bfloat16(bfloat16, bfloat16.pack(shape, element)),
        };
        Self { inputs, packed }
    }

    /// The number of inputs of each tap.
    pub fn inputs(&self) -> usize {
        self.inputs
    }

    /// The number of outputs.
    pub fn outputs(&self) -> usize {
        match &self.packed {
            Packed::Float32(weights) => weights.outputs(),
            Packed::Bfloat16(_, weights) => weights.outputs(),
        }
    }

    /// Adds to each row of `y` the sum over the taps of the inputs at the tap times the weights of the tap.
    /// The inputs at tap `t` of row `m` start at `taps[t] + m * x.stride`.
    ///
    /// # Panics
    ///
    /// Panics if the taps are not those of the weights, or if `x` or `y` is too short.
    pub fn multiply(&self, x: Rows<'_>, taps: &[usize], y: OutputMatrix<'_>) {
        if self.inputs == 0 {
            return;
        }
        let (bfloat16, weights) = match &self.packed {
            Packed::Float32(weights) => return weights.multiply(x, taps, Init::Output, y),
            Packed::Bfloat16(bfloat16, weights) => (bfloat16, weights),
        };
        ROUNDED.with_borrow_mut(|pairs| {
            // The taps of a row lie side by side.
            let inputs = weights.inputs();
            let stride = taps.len() * inputs;
            pairs.resize(y.rows * stride, Pair::default());
            let places = (0..y.rows).flat_map(|m| taps.iter().map(move |tap| tap + m * x.stride));
            bfloat16.round_rows(x.data, places, self.inputs, pairs);
            let taps: Vec<usize> = (0..taps.len()).map(|tap| tap * inputs).collect();
            weights.multiply(
                Rows {
                    data: pairs,
                    stride,
                },
                &taps,
                Init::Output,
                y,
            );
        });
    }

    /// Adds `x * weight` to `rows` rows of `y`, which start `row_stride` apart, for weights of one tap.
    ///
    /// # Panics
    ///
    /// Panics as [`multiply`](Self::multiply) does.
    pub fn accumulate(&self, x: Rows<'_>, y: &mut [f32], row_stride: usize, rows: usize) {
        let y = OutputMatrix {
            data: y,
            row_stride,
            rows,
            columns: self.outputs(),
        };
        self.multiply(x, &[0], y);
    }
}

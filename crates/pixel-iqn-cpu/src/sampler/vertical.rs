use pixel_iqn_kernels::{Init, OutputMatrix, Panels, RowPanels, RowTaps, Rows};

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

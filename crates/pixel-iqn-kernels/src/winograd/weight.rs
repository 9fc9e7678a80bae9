use super::grid::TapGrid;
use super::transform::weights;
use crate::batch_reduce::PANEL_WIDTH;
use crate::panels::Panels;

/// The transformed weights of a convolution with a [`TapGrid`], packed for its products.
#[derive(Debug, Clone)]
pub struct GridPanels(pub(super) Panels);

impl GridPanels {
    /// Transforms and packs the weights. `taps(input, output)` are those of a pair of features, in
    /// row-major order.
    pub fn new(
        [inputs, outputs]: [usize; 2],
        taps: impl Fn(usize, usize) -> [f32; TapGrid::TAPS] + Sync,
    ) -> Self {
        Self(Panels::by_rows([inputs, outputs], |input, first, rows| {
            let mut lanes = [[0.0; PANEL_WIDTH]; TapGrid::TAPS];
            for lane in 0..PANEL_WIDTH.min(outputs - first) {
                for (of_tap, tap) in lanes.iter_mut().zip(taps(input, first + lane)) {
                    of_tap[lane] = tap;
                }
            }
            *rows = weights(&lanes);
        }))
    }

    /// The number of input features.
    pub fn inputs(&self) -> usize {
        self.0.inputs()
    }

    /// The number of output features.
    pub fn outputs(&self) -> usize {
        self.0.outputs()
    }
}

//! The receptive field of a convolution.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;

/// The positions that a position of an image reads: a grid of taps.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Taps {
    /// The number of taps, in rows and in columns.
    pub size: [usize; 2],
    /// The offset of the first tap, in rows and in columns; negative is above or left.
    pub start: [i32; 2],
    /// The distance from a tap to the next one, in rows and in columns.
    pub step: [i32; 2],
}

impl Taps {
    /// The position itself.
    pub const POINT: Self = Self {
        size: [1, 1],
        start: [0, 0],
        step: [1, 1],
    };

    /// The taps in the opposite directions, in the same order: the positions that read a position.
    pub fn mirrored(self) -> Self {
        Self {
            size: self.size,
            start: self.start.map(|start| -start),
            step: self.step.map(|step| -step),
        }
    }

    /// The number of taps.
    pub fn count(self) -> usize {
        self.size[0] * self.size[1]
    }

    pub(crate) fn launch(self, [batch, height, width]: [usize; 3]) -> FieldLaunch {
        FieldLaunch::new(
            batch * height * width,
            height,
            width,
            self.size[0],
            self.size[1],
            self.start[0],
            self.start[1],
            self.step[0],
            self.step[1],
        )
    }
}

/// The images and the taps of a convolution, as kernels have them.
#[derive(CubeType, CubeLaunch, Clone, Copy)]
pub(crate) struct Field {
    /// The positions of all images together.
    pub positions: usize,
    pub height: usize,
    pub width: usize,
    pub tap_rows: usize,
    pub tap_columns: usize,
    pub row_start: i32,
    pub column_start: i32,
    pub row_step: i32,
    pub column_step: i32,
}

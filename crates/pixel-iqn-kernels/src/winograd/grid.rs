use crate::conv::Tap;

/// The taps of a convolution that has two rows of three: element `[i, j]` leads `first.row + i * d`
/// rows down and `first.column + j * d` columns to the right, with the dilation `d`.
///
/// The vertical stack of a Gated PixelCNN with kernels of 3 x 3 has such taps: its own row and the
/// one above.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct TapGrid {
    /// The first tap of the first row.
    pub first: Tap,
    /// The distance of neighbouring taps, at least 1.
    pub dilation: usize,
}

impl TapGrid {
    /// The rows of taps.
    pub const ROWS: usize = 2;
    /// The taps in a row.
    pub const COLUMNS: usize = 3;
    /// The number of taps.
    pub const TAPS: usize = Self::ROWS * Self::COLUMNS;

    /// Recognises taps in row-major order that are such a grid with a distance of at least 1.
    pub fn of(taps: &[Tap]) -> Option<Self> {
        let (&first, &last) = (taps.first()?, taps.last()?);
        let dilation = usize::try_from(last.row - first.row).ok()?;
        let grid = Self { first, dilation };
        (dilation > 0 && grid.taps() == taps).then_some(grid)
    }

    /// The taps in row-major order.
    pub fn taps(self) -> [Tap; Self::TAPS] {
        core::array::from_fn(|tap| self.tap(tap / Self::COLUMNS, tap % Self::COLUMNS))
    }

    /// The taps that lead back from what these read, in row-major order: tap `t` of them is the
    /// opposite of tap `TAPS - 1 - t` of these.
    pub fn mirrored(self) -> Self {
        Self {
            first: self.tap(Self::ROWS - 1, Self::COLUMNS - 1).mirrored(),
            ..self
        }
    }

    /// The tap in a row and column, which may lie beyond the grid: then it continues the grid.
    pub(super) fn tap(self, row: usize, column: usize) -> Tap {
        Tap {
            row: self.first.row + (row * self.dilation) as isize,
            column: self.first.column + (column * self.dilation) as isize,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn grids_are_recognised_and_mirrored() {
        let first = Tap {
            row: -4,
            column: -4,
        };
        let grid = TapGrid { first, dilation: 4 };
        assert_eq!(TapGrid::of(&grid.taps()), Some(grid));
        let mirrored: Vec<Tap> = grid.taps().iter().rev().map(|tap| tap.mirrored()).collect();
        assert_eq!(TapGrid::of(&mirrored), Some(grid.mirrored()));
        for other in [
            &grid.taps()[..5],
            &[first; 6],
            &[],
            &mirrored.iter().rev().copied().collect::<Vec<_>>(),
        ] {
            assert_eq!(TapGrid::of(other), None);
        }
    }
}

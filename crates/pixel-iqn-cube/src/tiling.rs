//! The division of a product into tiles, one for each cube of units.

use burn_cubecl::cubecl::CubeDim;
use burn_cubecl::cubecl::client::Client;

/// The tile of a product that a cube of units computes, and how its units divide it.
///
/// Each unit computes `rows * columns` vectors of the output, in registers. Neighbouring units have
/// neighbouring vectors, so that they read and write memory side by side.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub(crate) struct Tiling {
    /// The units of a cube along the rows of the output.
    pub units_rows: usize,
    /// The units of a cube along the columns.
    pub units_columns: usize,
    /// The rows of a unit.
    pub rows: usize,
    /// The vectors of columns of a unit.
    pub columns: usize,
    /// The numbers that are multiplied and summed between two loads of operands.
    pub depth: usize,
}

impl Tiling {
    /// The tiling for a product of `rows` rows and `columns` vectors of columns in `parts` parts on a device: that of the
    /// largest cubes which the device can run and which are at least as many as its multiprocessors.
    pub fn new(client: &Client, [rows, columns]: [usize; 2], parts: usize, depth: usize) -> Self {
        let hardware = &client.properties().hardware;
        let most = hardware.max_units_per_cube as usize;
        let busy = hardware.num_streaming_multiprocessors.unwrap_or(16) as usize;
        // With 512 units a compiler must make do with the registers that let as many of them run at once on
        // GPUs of NVIDIA. On a processor a unit is a thread.
        const UNITS: [(usize, usize); 5] = [(32, 16), (16, 16), (8, 8), (4, 4), (1, 1)];
        let tilings = UNITS.map(|(units_rows, units_columns)| Self {
            units_rows,
            units_columns,
            rows: 8,
            columns: columns.div_ceil(units_columns).clamp(1, 2),
            depth,
        });
        let fits = |tiling: &&Self| tiling.units() <= most;
        let mut fitting = tilings.iter().filter(fits);
        let first = fitting
            .next()
            .expect("every device runs a cube of one unit");
        let tiles = |tiling: &&Self| {
            let [rows, columns] = tiling.tiles([rows, columns]);
            rows * columns * parts >= busy
        };
        // One size less is enough: smaller tiles read their operands more often.
        let second = fitting.next().unwrap_or(first);
        *[first, second].into_iter().find(tiles).unwrap_or(second)
    }

    /// The numbers of tiles along the rows and the vectors of columns of a product.
    pub fn tiles(&self, [rows, columns]: [usize; 2]) -> [usize; 2] {
        [
            rows.div_ceil(self.tile_rows()),
            columns.div_ceil(self.tile_columns()),
        ]
    }

    /// The number of units of a cube.
    pub fn units(&self) -> usize {
        self.units_rows * self.units_columns
    }

    /// The rows of the output that a cube computes.
    pub fn tile_rows(&self) -> usize {
        self.units_rows * self.rows
    }

    /// The vectors of columns that a cube computes.
    pub fn tile_columns(&self) -> usize {
        self.units_columns * self.columns
    }

    pub fn cube_dim(&self) -> CubeDim {
        CubeDim::new_2d(self.units_columns as u32, self.units_rows as u32)
    }
}

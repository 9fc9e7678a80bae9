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
    /// The tiling for a product of `rows` rows and `columns` vectors of columns in `parts` parts on a device.
    ///
    /// A cube has no more units along the columns than the product has vectors. Along the rows it has as many as make
    /// 512 units in all for a wide product, where that makes enough cubes: a compiler must then make do with the
    /// registers that let so many of them run at once on GPUs of NVIDIA.
    pub fn new(client: &Client, [rows, columns]: [usize; 2], parts: usize, depth: usize) -> Self {
        // As many cubes keep a part of a large GPU busy; with fewer, smaller ones are better.
        const CUBES: usize = 32;
        // The units of a plane, which run as one; on a processor a unit is a thread, and there are few.
        const PLANE: usize = 32;
        let most = client.properties().hardware.max_units_per_cube as usize;
        let units_columns = columns.div_ceil(2).next_power_of_two().min(16).min(most);
        let tiling = |units_rows| Self {
            units_rows,
            units_columns,
            rows: 8,
            columns: columns.div_ceil(units_columns).min(2),
            depth,
        };
        let mut fitting = [32, 16, 8, 4, 2, 1]
            .into_iter()
            .map(tiling)
            .filter(|tiling| tiling.units() <= most);
        let mut best = fitting
            .next()
            .expect("every device runs a cube of one unit");
        for smaller in fitting {
            let [tiles_rows, tiles_columns] = best.tiles([rows, columns]);
            let too_few = tiles_rows * tiles_columns * parts < CUBES;
            // Half of the rows would be of no use.
            let too_tall = rows <= best.tile_rows() / 2;
            if !(too_few || too_tall) || smaller.units() < PLANE {
                break;
            }
            best = smaller;
        }
        best
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

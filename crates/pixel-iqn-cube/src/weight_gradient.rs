//! The gradients of a convolution's weights and biases.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::field::{Field, Taps};
use crate::pack::unpack;
use crate::tensor::{buffer, dims, empty, expect_shape, vector_size};
use crate::tiling::Tiling;

/// Computes a part of the product `[taps * inputs, positions] * [positions, outputs]` for each cube: a tile of
/// it, summed over some of the positions. As in the forward pass the left matrix is never written. It has one
/// more row, of ones, whose products are the gradient of the biases.
#[cube(launch_unchecked)]
fn weight_gradient_kernel<I: Size, O: Size>(
    x: &[Vector<f32, I>],
    dy: &[Vector<f32, O>],
    parts: &mut [Vector<f32, O>],
    field: Field,
    inputs: usize,
    outputs: usize,
    positions_of_part: usize,
    #[comptime] tiling: Tiling,
) {
    let size_in = I::value().comptime();
    let units = comptime!(tiling.units());
    // The rows of a tile are weights of `tile_vectors` vectors of inputs.
    let unit_vectors = comptime!(tiling.rows / size_in);
    let tile_vectors = comptime!(tiling.tile_rows() / size_in);
    let tile_columns = comptime!(tiling.tile_columns());
    let depth = comptime!(tiling.depth);
    let loads_x = comptime!((depth * tile_vectors).div_ceil(units));
    let loads_dy = comptime!((depth * tile_columns).div_ceil(units));

    let unit = UNIT_POS as usize;
    let unit_row = unit / comptime!(tiling.units_columns);
    let unit_column = unit % comptime!(tiling.units_columns);
    let first_vector = CUBE_POS_X as usize * tile_vectors;
    let first_column = CUBE_POS_Y as usize * tile_columns;
    let part = CUBE_POS_Z as usize;
    let first_position = part * positions_of_part;
    let mut end = first_position + positions_of_part;
    if end > field.positions {
        end = field.positions;
    }

    let mut tile_x = Shared::<[Vector<f32, I>]>::new_slice(comptime!(depth * tile_vectors));
    let mut tile_dy = Shared::<[Vector<f32, O>]>::new_slice(comptime!(depth * tile_columns));

    // What each load of this unit reads: the tap and the vector of its inputs.
    let vectors = inputs / size_in;
    let taps = field.tap_rows * field.tap_columns;
    let mut downs = Array::<i32>::new(loads_x);
    let mut rights = Array::<i32>::new(loads_x);
    let mut of_inputs = Array::<usize>::new(loads_x);
    let mut used = Array::<bool>::new(loads_x);
    // What takes the place of inputs beside the image and behind the taps.
    let mut otherwise = Array::<Vector<f32, I>>::new(loads_x);
    #[unroll]
    for load in 0..loads_x {
        let vector = first_vector + (unit + load * units) % tile_vectors;
        let tap = vector / vectors;
        used[load] = tap < taps;
        let is_ones = vector == taps * vectors;
        otherwise[load] = Vector::new(select(is_ones, 1.0f32, 0.0f32));
        of_inputs[load] = vector % vectors;
        downs[load] = field.row_start + (tap / field.tap_columns) as i32 * field.row_step;
        rights[load] = field.column_start + (tap % field.tap_columns) as i32 * field.column_step;
    }

    let sums_len = comptime!(tiling.rows * tiling.columns);
    let mut sums = Array::<Vector<f32, O>>::new(sums_len);
    #[unroll]
    for i in 0..sums_len {
        sums[i] = Vector::zero();
    }

    let steps = (end - first_position).div_ceil(depth);
    // The operands of the next step are on their way while those of a step are multiplied.
    let mut next_x = Array::<Vector<f32, I>>::new(loads_x);
    let mut next_dy = Array::<Vector<f32, O>>::new(loads_dy);
    for step in 0..steps + 1 {
        if step > 0 {
            #[unroll]
            for load in 0..loads_x {
                let at = unit + load * units;
                if at < comptime!(depth * tile_vectors) {
                    tile_x[at] = next_x[load];
                }
            }
            #[unroll]
            for load in 0..loads_dy {
                let at = unit + load * units;
                if at < comptime!(depth * tile_columns) {
                    tile_dy[at] = next_dy[load];
                }
            }
            sync_cube();
        }
        if step < steps {
            let start = first_position + step * depth;
            #[unroll]
            for load in 0..loads_x {
                let position = start + (unit + load * units) / tile_vectors;
                let row = (position / field.width % field.height) as i32 + downs[load];
                let column = (position % field.width) as i32 + rights[load];
                let inside = row >= 0
                    && row < field.height as i32
                    && column >= 0
                    && column < field.width as i32
                    && position < end
                    && used[load];
                let mut value = otherwise[load];
                if inside {
                    let shift = downs[load] * field.width as i32 + rights[load];
                    value = x[(position as i32 + shift) as usize * vectors + of_inputs[load]];
                }
                next_x[load] = value;
            }
            #[unroll]
            for load in 0..loads_dy {
                let at = unit + load * units;
                let position = start + at / tile_columns;
                let column = first_column + at % tile_columns;
                let mut value = Vector::<f32, O>::zero();
                if position < end && column < outputs {
                    value = dy[position * outputs + column];
                }
                next_dy[load] = value;
            }
        }
        if step > 0 {
            #[unroll]
            for k in 0..depth {
                let mut factors = Array::<Vector<f32, O>>::new(comptime!(tiling.columns));
                #[unroll]
                for j in 0..comptime!(tiling.columns) {
                    let column = unit_column + j * comptime!(tiling.units_columns);
                    factors[j] = tile_dy[k * tile_columns + column];
                }
                #[unroll]
                for i in 0..unit_vectors {
                    let vector = unit_row + i * comptime!(tiling.units_rows);
                    let lefts = tile_x[k * tile_vectors + vector];
                    #[unroll]
                    for e in 0..size_in {
                        let left = Vector::<f32, O>::new(lefts.extract(e));
                        #[unroll]
                        for j in 0..comptime!(tiling.columns) {
                            let sum = comptime!((i * size_in + e) * tiling.columns + j);
                            sums[sum] = fma(left, factors[j], sums[sum]);
                        }
                    }
                }
            }
            sync_cube();
        }
    }

    let weights = taps * inputs + 1;
    #[unroll]
    for i in 0..unit_vectors {
        let vector = first_vector + unit_row + i * comptime!(tiling.units_rows);
        #[unroll]
        for e in 0..size_in {
            let weight = vector * size_in + e;
            #[unroll]
            for j in 0..comptime!(tiling.columns) {
                let column = first_column + unit_column + j * comptime!(tiling.units_columns);
                if weight < weights && column < outputs {
                    let sum = comptime!((i * size_in + e) * tiling.columns + j);
                    parts[(part * weights + weight) * outputs + column] = sums[sum];
                }
            }
        }
    }
}

/// The least number of positions that a cube sums over.
const LEAST_POSITIONS: usize = 512;

/// The number of cubes that keep a large GPU busy.
const CUBES: usize = 1024;

/// Computes the gradients of a convolution's weights and biases in parts, each of which is summed over some of
/// the positions.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dy`: `[batch, height, width, outputs]`
/// - output: `[parts, taps * inputs + 1, outputs]`, with the biases last
fn gradient_parts(x: &CubeTensor, dy: &CubeTensor, taps: Taps) -> CubeTensor {
    let [batch, height, width, inputs] = dims(x);
    let [_, _, _, outputs] = dims(dy);
    let (size_in, size_out) = (vector_size(inputs), vector_size(outputs));
    let columns = outputs / size_out;
    let rows = taps.count() * inputs + 1;
    let positions = batch * height * width;
    let most_parts = positions.div_ceil(LEAST_POSITIONS);
    let tiling = Tiling::new(&x.client, [rows, columns], most_parts, 8);
    let tiles = tiling.tiles([rows, columns]);
    let parts = CUBES.div_ceil(tiles[0] * tiles[1]).min(most_parts);
    let positions_of_part = positions.div_ceil(parts);
    let parts = positions.div_ceil(positions_of_part);
    let output = empty(x, [parts, rows, outputs]);
    // SAFETY: the kernel checks its indices against the sizes, which are those of the buffers.
    unsafe {
        weight_gradient_kernel::launch_unchecked(
            &x.client,
            CubeCount::new_3d(tiles[0] as u32, tiles[1] as u32, parts as u32),
            tiling.cube_dim(),
            size_in,
            size_out,
            buffer(x, size_in),
            buffer(dy, size_out),
            buffer(&output, size_out),
            taps.launch([batch, height, width]),
            inputs,
            columns,
            positions_of_part,
            tiling,
        );
    }
    output
}

/// The gradients of what a convolution learns.
#[derive(Debug)]
#[non_exhaustive]
pub struct ParameterGradients {
    /// That of the weights, `[outputs, inputs, rows, columns]`.
    pub weight: CubeTensor,
    /// That of the biases that all images share, `[1, outputs]`.
    pub bias: CubeTensor,
}

/// Computes the gradients of a convolution's weights, with zeros where a mask has them, and of its biases.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `dy`: `[batch, height, width, outputs]`
/// - `mask`: `shape`, `[outputs, inputs, rows, columns]`
///
/// # Panics
///
/// Panics if a shape is wrong, or a tensor is not [contiguous](crate::contiguous) or not in single precision.
pub fn parameter_gradients(
    x: &CubeTensor,
    dy: &CubeTensor,
    taps: Taps,
    mask: Option<&CubeTensor>,
    shape: [usize; 4],
) -> ParameterGradients {
    let [batch, height, width, inputs] = dims(x);
    let [outputs, ..] = shape;
    expect_shape("the output's gradient", dy, [batch, height, width, outputs]);
    let [rows, columns] = taps.size;
    assert_eq!(
        shape,
        [outputs, inputs, rows, columns],
        "the shape of weights"
    );
    if let Some(mask) = mask {
        expect_shape("the mask", mask, shape);
    }
    let [weight, bias] = unpack(&gradient_parts(x, dy, taps), mask, shape);
    ParameterGradients { weight, bias }
}

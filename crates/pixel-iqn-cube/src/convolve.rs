//! The convolution as a product whose taps are read where they lie.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::field::{Field, Taps};
use crate::tensor::{buffer, dims, empty, expect_shape, vector_size};
use crate::tiling::Tiling;

/// Computes a convolution with zeros outside of the image, plus a bias and a base.
///
/// Each cube computes a tile of the product `[positions, taps * inputs] * [taps * inputs, outputs]`. The left
/// matrix is never written: a tap of it is read from the image, through a tile in shared memory.
#[cube(launch_unchecked)]
fn convolve_kernel<I: Size, O: Size>(
    x: &[Vector<f32, I>],
    weight: &[Vector<f32, O>],
    bias: ComptimeOption<&[Vector<f32, O>]>,
    base: ComptimeOption<&[Vector<f32, O>]>,
    y: &mut [Vector<f32, O>],
    field: Field,
    inputs: usize,
    outputs: usize,
    bias_images: usize,
    #[comptime] tiling: Tiling,
) {
    let size_in = I::value().comptime();
    let units = comptime!(tiling.units());
    let tile_rows = comptime!(tiling.tile_rows());
    let tile_columns = comptime!(tiling.tile_columns());
    let depth_vectors = comptime!(tiling.depth / size_in);
    // A vector of padding, so that the rows that neighbouring units read lie in different banks.
    let row_stride = comptime!(depth_vectors + 1);
    let loads_x = comptime!((tile_rows * depth_vectors).div_ceil(units));
    let loads_weight = comptime!((tiling.depth * tile_columns).div_ceil(units));

    let unit = UNIT_POS as usize;
    let unit_row = unit / comptime!(tiling.units_columns);
    let unit_column = unit % comptime!(tiling.units_columns);
    let first_row = CUBE_POS_X as usize * tile_rows;
    let first_column = CUBE_POS_Y as usize * tile_columns;

    let mut tile_x = Shared::<[Vector<f32, I>]>::new_slice(comptime!(tile_rows * row_stride));
    let mut tile_weight =
        Shared::<[Vector<f32, O>]>::new_slice(comptime!(tiling.depth * tile_columns));

    // What each load of this unit reads: the position, and the vector among those of the depth.
    let mut positions = Array::<usize>::new(loads_x);
    let mut image_rows = Array::<i32>::new(loads_x);
    let mut image_columns = Array::<i32>::new(loads_x);
    #[unroll]
    for load in 0..loads_x {
        let position = first_row + (unit + load * units) / depth_vectors;
        positions[load] = position;
        image_rows[load] = (position / field.width % field.height) as i32;
        image_columns[load] = (position % field.width) as i32;
    }

    let sums_len = comptime!(tiling.rows * tiling.columns);
    let mut sums = Array::<Vector<f32, O>>::new(sums_len);
    #[unroll]
    for i in 0..sums_len {
        sums[i] = Vector::zero();
    }

    let vectors = inputs / size_in;
    let parts = vectors.div_ceil(depth_vectors);
    let steps = field.tap_rows * field.tap_columns * parts;
    // Where a step is: a part of the inputs of a tap.
    let mut tap_row = 0usize;
    let mut tap_column = 0usize;
    let mut part = 0usize;
    // The operands of the next step are on their way while those of a step are multiplied.
    let mut next_x = Array::<Vector<f32, I>>::new(loads_x);
    let mut next_weight = Array::<Vector<f32, O>>::new(loads_weight);
    for step in 0..steps + 1 {
        if step > 0 {
            #[unroll]
            for load in 0..loads_x {
                let at = unit + load * units;
                if at < comptime!(tile_rows * depth_vectors) {
                    tile_x[at / depth_vectors * row_stride + at % depth_vectors] = next_x[load];
                }
            }
            #[unroll]
            for load in 0..loads_weight {
                let at = unit + load * units;
                if at < comptime!(tiling.depth * tile_columns) {
                    tile_weight[at] = next_weight[load];
                }
            }
            sync_cube();
        }
        if step < steps {
            let down = field.row_start + tap_row as i32 * field.row_step;
            let right = field.column_start + tap_column as i32 * field.column_step;
            let shift = down * field.width as i32 + right;
            let tap = tap_row * field.tap_columns + tap_column;
            let first_vector = part * depth_vectors;
            #[unroll]
            for load in 0..loads_x {
                let vector = first_vector + (unit + load * units) % depth_vectors;
                let row = image_rows[load] + down;
                let column = image_columns[load] + right;
                let inside = row >= 0
                    && row < field.height as i32
                    && column >= 0
                    && column < field.width as i32
                    && positions[load] < field.positions
                    && vector < vectors;
                let mut value = Vector::<f32, I>::zero();
                if inside {
                    let position = (positions[load] as i32 + shift) as usize;
                    value = x[position * vectors + vector];
                }
                next_x[load] = value;
            }
            #[unroll]
            for load in 0..loads_weight {
                let at = unit + load * units;
                let input = first_vector * size_in + at / tile_columns;
                let column = first_column + at % tile_columns;
                let mut value = Vector::<f32, O>::zero();
                if input < inputs && column < outputs {
                    value = weight[(tap * inputs + input) * outputs + column];
                }
                next_weight[load] = value;
            }
            part += 1;
            if part == parts {
                part = 0;
                tap_column += 1;
                if tap_column == field.tap_columns {
                    tap_column = 0;
                    tap_row += 1;
                }
            }
        }
        if step > 0 {
            #[unroll]
            for vector in 0..depth_vectors {
                let mut lefts = Array::<Vector<f32, I>>::new(comptime!(tiling.rows));
                #[unroll]
                for i in 0..comptime!(tiling.rows) {
                    let row = unit_row + i * comptime!(tiling.units_rows);
                    lefts[i] = tile_x[row * row_stride + vector];
                }
                #[unroll]
                for k in 0..size_in {
                    #[unroll]
                    for j in 0..comptime!(tiling.columns) {
                        let column = unit_column + j * comptime!(tiling.units_columns);
                        let right = tile_weight[(vector * size_in + k) * tile_columns + column];
                        #[unroll]
                        for i in 0..comptime!(tiling.rows) {
                            let left = Vector::<f32, O>::new(lefts[i].extract(k));
                            let sum = comptime!(i * tiling.columns + j);
                            sums[sum] = fma(left, right, sums[sum]);
                        }
                    }
                }
            }
            sync_cube();
        }
    }

    #[unroll]
    for i in 0..comptime!(tiling.rows) {
        let position = first_row + unit_row + i * comptime!(tiling.units_rows);
        #[unroll]
        for j in 0..comptime!(tiling.columns) {
            let column = first_column + unit_column + j * comptime!(tiling.units_columns);
            if position < field.positions && column < outputs {
                let mut value = sums[comptime!(i * tiling.columns + j)];
                #[comptime]
                if let ComptimeOption::Some(bias) = &bias {
                    let image = position / (field.height * field.width) % bias_images;
                    value += bias[image * outputs + column];
                }
                #[comptime]
                if let ComptimeOption::Some(base) = &base {
                    value += base[position * outputs + column];
                }
                y[position * outputs + column] = value;
            }
        }
    }
}

/// Computes a convolution with zeros outside of the image, plus a bias and a base where they are there.
///
/// # Shapes
///
/// - `x`: `[batch, height, width, inputs]`
/// - `weight`: `[taps, inputs, outputs]`
/// - `bias`: `[1, outputs]` or `[batch, outputs]`
/// - `base`: `[batch, height, width, outputs]`
/// - output: `[batch, height, width, outputs]`
///
/// # Panics
///
/// Panics if a shape is wrong, or a tensor is not [contiguous](crate::contiguous) or not in single precision.
pub fn convolve(
    x: &CubeTensor,
    weight: &CubeTensor,
    taps: Taps,
    bias: Option<&CubeTensor>,
    base: Option<&CubeTensor>,
) -> CubeTensor {
    let [batch, height, width, inputs] = dims(x);
    let [_, _, outputs] = dims(weight);
    expect_shape("weights", weight, [taps.count(), inputs, outputs]);
    let bias_images = bias.map_or(1, |bias| dims::<2>(bias)[0]);
    if let Some(bias) = bias {
        let images = if bias_images == 1 { 1 } else { batch };
        expect_shape("biases", bias, [images, outputs]);
    }
    if let Some(base) = base {
        expect_shape("the base", base, [batch, height, width, outputs]);
    }
    let (size_in, size_out) = (vector_size(inputs), vector_size(outputs));
    let columns = outputs / size_out;
    let depth = if inputs <= 4 { 4 } else { 8 };
    let size = [batch * height * width, columns];
    let tiling = Tiling::new(&x.client, size, 1, depth);
    let [tile_rows, tile_columns] = tiling.tiles(size);
    let y = empty(x, [batch, height, width, outputs]);
    let count = CubeCount::new_2d(tile_rows as u32, tile_columns as u32);
    // SAFETY: the kernel checks its indices against the sizes, which are those of the buffers.
    unsafe {
        convolve_kernel::launch_unchecked(
            &x.client,
            count,
            tiling.cube_dim(),
            size_in,
            size_out,
            buffer(x, size_in),
            buffer(weight, size_out),
            bias.map(|bias| buffer(bias, size_out)).into(),
            base.map(|base| buffer(base, size_out)).into(),
            buffer(&y, size_out),
            taps.launch([batch, height, width]),
            inputs,
            columns,
            bias_images,
            tiling,
        );
    }
    y
}

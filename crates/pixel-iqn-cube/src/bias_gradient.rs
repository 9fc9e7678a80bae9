//! The gradient of a convolution's biases.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, dims, each, empty, vector_size};

/// Sums some of the rows of a part for each unit.
#[cube(launch_unchecked)]
fn sum_rows_kernel<N: Size>(
    rows: &[Vector<f32, N>],
    sums: &mut [Vector<f32, N>],
    elements: usize,
    columns: usize,
    length: usize,
    rows_of_part: usize,
    parts: usize,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        let column = at % columns;
        let part = at / columns % parts;
        let first = at / columns / parts * length + part * rows_of_part;
        let mut count = rows_of_part;
        if part == parts - 1 {
            count = length - part * rows_of_part;
        }
        let mut sum = Vector::<f32, N>::zero();
        for row in 0..count {
            sum += rows[(first + row) * columns + column];
        }
        sums[at] = sum;
    }
}

/// Sums each group of `length` rows, in parts of about `rows_of_part` rows.
///
/// # Shapes
///
/// - `rows`: `groups * length` rows of `columns` floats
/// - output: `groups * parts` rows of `columns` floats
fn sum_rows(
    rows: &CubeTensor,
    groups: usize,
    length: usize,
    rows_of_part: usize,
    columns: usize,
) -> (CubeTensor, usize) {
    let parts = length.div_ceil(rows_of_part);
    let size = vector_size(columns);
    let sums = empty(rows, [groups * parts, columns]);
    let elements = groups * parts * columns / size;
    let (count, dim) = each(&rows.client, elements);
    // SAFETY: the sums have `elements` vectors, and a unit reads the rows of its part alone.
    unsafe {
        sum_rows_kernel::launch_unchecked(
            &rows.client,
            count,
            dim,
            size,
            buffer(rows, size),
            buffer(&sums, size),
            elements,
            columns / size,
            length,
            rows_of_part,
            parts,
        );
    }
    (sums, parts)
}

/// Computes the gradient of the biases of `biases` images, or of all images together where that is 1.
///
/// # Shapes
///
/// - `dy`: `[batch, height, width, outputs]`
/// - output: `[biases, outputs]`
///
/// # Panics
///
/// Panics if `biases` is neither 1 nor the number of images, or the tensor is not [contiguous](crate::contiguous) or
/// not in single precision.
pub fn bias_gradient(dy: &CubeTensor, biases: usize) -> CubeTensor {
    let [batch, height, width, outputs] = dims(dy);
    assert!(
        biases == 1 || biases == batch,
        "{biases} biases for {batch} images"
    );
    let length = batch * height * width / biases;
    // Two passes: the first has many units, each with few rows.
    let (sums, parts) = sum_rows(dy, biases, length, 64, outputs);
    if parts == 1 {
        return sums;
    }
    if parts <= 64 {
        return sum_rows(&sums, biases, parts, parts, outputs).0;
    }
    let (sums, parts) = sum_rows(&sums, biases, parts, 32, outputs);
    sum_rows(&sums, biases, parts, parts, outputs).0
}

//! The norm of several tensors together.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, each, empty};

/// Writes for each unit the sum of the squares of the elements `unit`, `unit + units`, and so on.
#[cube(launch_unchecked)]
fn squares_kernel(x: &[f32], sums: &mut [f32], elements: usize, units: usize, first: usize) {
    let unit = ABSOLUTE_POS;
    if unit < units {
        let mut sum = 0.0f32;
        let count = (elements - unit).div_ceil(units);
        for i in 0..count {
            let value = x[unit + i * units];
            sum += value * value;
        }
        sums[first + unit] = sum;
    }
}

/// Writes for each unit the sum of the elements `unit`, `unit + units`, and so on, or its root.
#[cube(launch_unchecked)]
fn sum_kernel(x: &[f32], sums: &mut [f32], elements: usize, units: usize, #[comptime] root: bool) {
    let unit = ABSOLUTE_POS;
    if unit < units {
        let mut sum = 0.0f32;
        let count = (elements - unit).div_ceil(units);
        for i in 0..count {
            sum += x[unit + i * units];
        }
        if comptime!(root) {
            sum = sum.sqrt();
        }
        sums[unit] = sum;
    }
}

fn sum(x: &CubeTensor, elements: usize, units: usize, root: bool) -> CubeTensor {
    let sums = empty(x, [units]);
    let (count, dim) = each(&x.client, units);
    // SAFETY: `x` has `elements` and the sums have `units` elements, which are never more.
    unsafe {
        sum_kernel::launch_unchecked(
            &x.client,
            count,
            dim,
            buffer(x, 1),
            buffer(&sums, 1),
            elements,
            units,
            root,
        );
    }
    sums
}

/// The number of elements that a unit sums.
const ELEMENTS: usize = 64;

/// Computes the Euclidean norm of all elements of several contiguous tensors together, `[1]`. Its sums are in
/// the same order in every call, so that the norm is the same.
///
/// # Panics
///
/// Panics if there is no tensor, or one is not [contiguous](crate::contiguous) or not in single precision.
pub fn norm(tensors: &[CubeTensor]) -> CubeTensor {
    let units_of = |tensor: &CubeTensor| tensor.meta.num_elements().div_ceil(ELEMENTS);
    let mut total: usize = tensors.iter().map(units_of).sum();
    let mut sums = empty(&tensors[0], [total]);
    let mut first = 0;
    for tensor in tensors {
        let units = units_of(tensor);
        let (count, dim) = each(&tensor.client, units);
        // SAFETY: the tensor has at least as many elements as there are units, and the sums have room for all
        // tensors' units.
        unsafe {
            squares_kernel::launch_unchecked(
                &tensor.client,
                count,
                dim,
                buffer(tensor, 1),
                buffer(&sums, 1),
                tensor.meta.num_elements(),
                units,
                first,
            );
        }
        first += units;
    }
    while total > ELEMENTS {
        let units = total.div_ceil(ELEMENTS);
        sums = sum(&sums, total, units, false);
        total = units;
    }
    sum(&sums, total, 1, true)
}

//! The layouts of a convolution's weights: `[outputs, inputs, taps]` as PyTorch has them, and with what is
//! summed first, as kernels read them.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, dims, each, empty, expect_shape};

/// Writes weights in the order in which a kernel reads them, with zeros where a mask has them.
#[cube(launch_unchecked)]
fn pack_kernel(
    weight: &[f32],
    mask: ComptimeOption<&[f32]>,
    packed: &mut [f32],
    elements: usize,
    taps: usize,
    inputs: usize,
    outputs: usize,
    #[comptime] transposed: bool,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        // The order is tap, input, output, or tap, output, input.
        let inner = if comptime!(transposed) {
            inputs
        } else {
            outputs
        };
        let outer = elements / taps / inner;
        let (tap, middle, last) = (at / inner / outer, at / inner % outer, at % inner);
        let (input, output) = if comptime!(transposed) {
            (last, middle)
        } else {
            (middle, last)
        };
        let from = (output * inputs + input) * taps + tap;
        let mut value = weight[from];
        #[comptime]
        if let ComptimeOption::Some(mask) = &mask {
            value *= mask[from];
        }
        packed[at] = value;
    }
}

/// Packs masked weights for a convolution, or for that of the gradient of its inputs.
///
/// # Shapes
///
/// - `weight`, `mask`: `[outputs, inputs, rows, columns]`
/// - output: `[taps, inputs, outputs]`, or `[taps, outputs, inputs]` where `transposed`
///
/// # Panics
///
/// Panics if a shape is wrong, or a tensor is not [contiguous](crate::contiguous) or not in single precision.
pub fn pack(weight: &CubeTensor, mask: Option<&CubeTensor>, transposed: bool) -> CubeTensor {
    let [outputs, inputs, rows, columns] = dims(weight);
    if let Some(mask) = mask {
        expect_shape("the mask", mask, [outputs, inputs, rows, columns]);
    }
    let taps = rows * columns;
    let elements = taps * inputs * outputs;
    let shape = if transposed {
        [taps, outputs, inputs]
    } else {
        [taps, inputs, outputs]
    };
    let packed = empty(weight, shape);
    let (count, dim) = each(&weight.client, elements);
    // SAFETY: all buffers have as many elements, which the kernel checks its indices against.
    unsafe {
        pack_kernel::launch_unchecked(
            &weight.client,
            count,
            dim,
            buffer(weight, 1),
            mask.map(|mask| buffer(mask, 1)).into(),
            buffer(&packed, 1),
            elements,
            taps,
            inputs,
            outputs,
            transposed,
        );
    }
    packed
}

/// Sums the parts of gradients and writes that of the weights in their order, with zeros where a mask has them.
#[cube(launch_unchecked)]
fn unpack_kernel(
    parts: &[f32],
    mask: ComptimeOption<&[f32]>,
    weight: &mut [f32],
    bias: &mut [f32],
    elements: usize,
    number: usize,
    taps: usize,
    inputs: usize,
    outputs: usize,
) {
    let at = ABSOLUTE_POS;
    let of_part = elements + outputs;
    if at < of_part {
        let mut sum = 0.0f32;
        for part in 0..number {
            sum += parts[part * of_part + at];
        }
        if at < elements {
            let (tap, output) = (at / outputs / inputs, at % outputs);
            let input = at / outputs % inputs;
            let to = (output * inputs + input) * taps + tap;
            #[comptime]
            if let ComptimeOption::Some(mask) = &mask {
                sum *= mask[to];
            }
            weight[to] = sum;
        } else {
            bias[at - elements] = sum;
        }
    }
}

/// Sums the parts of gradients in the layouts of the weights, with zeros where a mask has them, and of the
/// biases.
///
/// # Shapes
///
/// - `parts`: `[parts, taps * inputs + 1, outputs]`, with the biases last
/// - `mask`: `shape`, `[outputs, inputs, rows, columns]`
/// - output: `shape`, and `[1, outputs]`
pub(crate) fn unpack(
    parts: &CubeTensor,
    mask: Option<&CubeTensor>,
    shape: [usize; 4],
) -> [CubeTensor; 2] {
    let [outputs, inputs, rows, columns] = shape;
    let [number, ..] = dims::<3>(parts);
    let elements = outputs * inputs * rows * columns;
    let (weight, bias) = (empty(parts, shape), empty(parts, [1, outputs]));
    let (count, dim) = each(&parts.client, elements + outputs);
    // SAFETY: the weights and the mask have `elements`, the biases `outputs`, and a part as many as both, which
    // the kernel checks its indices against.
    unsafe {
        unpack_kernel::launch_unchecked(
            &parts.client,
            count,
            dim,
            buffer(parts, 1),
            mask.map(|mask| buffer(mask, 1)).into(),
            buffer(&weight, 1),
            buffer(&bias, 1),
            elements,
            number,
            rows * columns,
            inputs,
            outputs,
        );
    }
    [weight, bias]
}

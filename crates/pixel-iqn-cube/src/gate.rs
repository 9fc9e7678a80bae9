//! The gate `tanh(a) * sigmoid(b)`.

use burn::tensor::Shape;
use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, each, empty, vector_size};

/// `1 / (1 + exp(-x))`.
#[cube]
fn sigmoid<N: Size>(x: Vector<f32, N>) -> Vector<f32, N> {
    let one = Vector::<f32, N>::new(1.0);
    one / (one + (-x).exp())
}

#[cube(launch_unchecked)]
fn gate_kernel<N: Size>(
    x: &[Vector<f32, N>],
    y: &mut [Vector<f32, N>],
    elements: usize,
    features: usize,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        let a = at / features * features + at;
        y[at] = x[a].tanh() * sigmoid::<N>(x[a + features]);
    }
}

#[cube(launch_unchecked)]
fn gate_gradient_kernel<N: Size>(
    x: &[Vector<f32, N>],
    dy: &[Vector<f32, N>],
    dx: &mut [Vector<f32, N>],
    elements: usize,
    features: usize,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        let a = at / features * features + at;
        let one = Vector::<f32, N>::new(1.0);
        let t = x[a].tanh();
        let s = sigmoid::<N>(x[a + features]);
        dx[a] = dy[at] * s * (one - t * t);
        dx[a + features] = dy[at] * t * s * (one - s);
    }
}

/// The shape of a gate's output.
fn half(x: &CubeTensor) -> Vec<usize> {
    let mut shape = x.meta.shape().to_vec();
    let features = shape.last_mut().expect("a gate has an axis of features");
    assert!(
        features.is_multiple_of(2),
        "a gate has two halves, not {features} features"
    );
    *features /= 2;
    shape
}

/// Computes the gate of the two halves of the last axis.
///
/// # Shapes
///
/// - `x`: `[.., 2 * features]`
/// - output: `[.., features]`
///
/// # Panics
///
/// Panics if the last axis has an odd length, or a tensor is not [contiguous](crate::contiguous) or not in single
/// precision.
pub fn gate(x: &CubeTensor) -> CubeTensor {
    let shape = half(x);
    let features = shape[shape.len() - 1];
    let y = empty(x, Shape::from(shape));
    let size = vector_size(features);
    let elements = y.meta.num_elements() / size;
    let (count, dim) = each(&x.client, elements);
    // SAFETY: `x` has twice as many elements as `y`, which the kernel checks its indices against.
    unsafe {
        gate_kernel::launch_unchecked(
            &x.client,
            count,
            dim,
            size,
            buffer(x, size),
            buffer(&y, size),
            elements,
            features / size,
        );
    }
    y
}

/// Computes the gradient of a gate's input from that of its output.
///
/// # Shapes
///
/// - `x`: `[.., 2 * features]`
/// - `dy`: `[.., features]`
/// - output: `[.., 2 * features]`
///
/// # Panics
///
/// Panics if a shape is wrong, or a tensor is not [contiguous](crate::contiguous) or not in single precision.
pub fn gate_gradient(x: &CubeTensor, dy: &CubeTensor) -> CubeTensor {
    let shape = half(x);
    let features = shape[shape.len() - 1];
    assert_eq!(
        dy.meta.shape()[..],
        shape[..],
        "the shape of the output's gradient"
    );
    let dx = empty(x, x.meta.shape().clone());
    let size = vector_size(features);
    let elements = dy.meta.num_elements() / size;
    let (count, dim) = each(&x.client, elements);
    // SAFETY: `x` and `dx` have twice as many elements as `dy`, which the kernel checks its indices against.
    unsafe {
        gate_gradient_kernel::launch_unchecked(
            &x.client,
            count,
            dim,
            size,
            buffer(x, size),
            buffer(dy, size),
            buffer(&dx, size),
            elements,
            features / size,
        );
    }
    dx
}

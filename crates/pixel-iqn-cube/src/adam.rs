//! Steps of Adam and of an average of weights, a tensor at a time.

use burn_cubecl::cubecl;
use burn_cubecl::cubecl::prelude::*;
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::{buffer, each, empty, vector_size};

/// A step of Adam (Kingma and Ba 2015, algorithm 1) or of AdamW (Loshchilov and Hutter 2019, algorithm 2).
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AdamStep {
    /// The factor of the gradient, by which it is clipped.
    pub gradient_scale: f32,
    /// The learning rate, times `sqrt(1 - beta_2^t) / (1 - beta_1^t)` for step `t`.
    pub rate: f32,
    /// The decay of the mean of the gradients.
    pub beta_1: f32,
    /// The decay of the mean of their squares.
    pub beta_2: f32,
    /// What is added to the root, times `sqrt(1 - beta_2^t)`.
    pub epsilon: f32,
    /// The part of the weight that is added to the gradient, as Adam decays weights.
    pub penalty: f32,
    /// The factor of the weight, as AdamW decays weights.
    pub keep: f32,
}

#[derive(CubeType, CubeLaunch, Clone, Copy)]
struct Step {
    gradient_scale: f32,
    rate: f32,
    beta_1: f32,
    beta_2: f32,
    epsilon: f32,
    penalty: f32,
    keep: f32,
}

#[cube(launch_unchecked)]
fn adam_kernel<N: Size>(
    weight: &[Vector<f32, N>],
    gradient: &[Vector<f32, N>],
    first: &[Vector<f32, N>],
    second: &[Vector<f32, N>],
    new_weight: &mut [Vector<f32, N>],
    new_first: &mut [Vector<f32, N>],
    new_second: &mut [Vector<f32, N>],
    elements: usize,
    step: Step,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        let w = weight[at];
        let g = gradient[at] * Vector::new(step.gradient_scale) + w * Vector::new(step.penalty);
        let m = first[at] * Vector::new(step.beta_1) + g * Vector::new(1.0 - step.beta_1);
        let v = second[at] * Vector::new(step.beta_2) + g * g * Vector::new(1.0 - step.beta_2);
        new_first[at] = m;
        new_second[at] = v;
        let delta = m * Vector::new(step.rate) / (v.sqrt() + Vector::new(step.epsilon));
        new_weight[at] = w * Vector::new(step.keep) - delta;
    }
}

/// Makes a step of Adam for a tensor, and returns the weight and the means of the gradients and of their squares.
///
/// # Shapes
///
/// All tensors have the shape of the weight.
///
/// # Panics
///
/// Panics if they have not, or one is not [contiguous](crate::contiguous) or not in single precision.
pub fn adam(
    [weight, first, second]: [CubeTensor; 3],
    gradient: CubeTensor,
    step: AdamStep,
) -> [CubeTensor; 3] {
    let shape = weight.meta.shape();
    for (what, tensor) in [
        ("the gradient", &gradient),
        ("a moment", &first),
        ("a moment", &second),
    ] {
        assert_eq!(tensor.meta.shape(), shape, "the shape of {what}");
    }
    let elements = weight.meta.num_elements();
    let size = vector_size(elements);
    let (count, dim) = each(&weight.client, elements / size);
    let [new_weight, new_first, new_second] =
        [&weight, &first, &second].map(|old| empty(old, old.meta.shape().clone()));
    let scalars = StepLaunch::new(
        step.gradient_scale,
        step.rate,
        step.beta_1,
        step.beta_2,
        step.epsilon,
        step.penalty,
        step.keep,
    );
    // SAFETY: all buffers have as many elements, which the kernel checks its indices against.
    unsafe {
        adam_kernel::launch_unchecked(
            &weight.client,
            count,
            dim,
            size,
            buffer(&weight, size),
            buffer(&gradient, size),
            buffer(&first, size),
            buffer(&second, size),
            buffer(&new_weight, size),
            buffer(&new_first, size),
            buffer(&new_second, size),
            elements / size,
            scalars,
        );
    }
    [new_weight, new_first, new_second]
}

#[cube(launch_unchecked)]
fn average_kernel<N: Size>(
    average: &[Vector<f32, N>],
    weight: &[Vector<f32, N>],
    new: &mut [Vector<f32, N>],
    elements: usize,
    decay: f32,
    complement: f32,
) {
    let at = ABSOLUTE_POS;
    if at < elements {
        new[at] = average[at] * Vector::new(decay) + weight[at] * Vector::new(complement);
    }
}

/// Moves an average towards a weight: `decay * average + (1 - decay) * weight`.
///
/// # Shapes
///
/// Both tensors have the same shape.
///
/// # Panics
///
/// Panics if they have not, or one is not [contiguous](crate::contiguous) or not in single precision.
pub fn average(average: CubeTensor, weight: CubeTensor, decay: f64) -> CubeTensor {
    let shape = average.meta.shape();
    assert_eq!(weight.meta.shape(), shape, "the shape of the weight");
    let elements = average.meta.num_elements();
    let size = vector_size(elements);
    let (count, dim) = each(&average.client, elements / size);
    let new = empty(&average, average.meta.shape().clone());
    // SAFETY: all buffers have as many elements, which the kernel checks its indices against.
    unsafe {
        average_kernel::launch_unchecked(
            &average.client,
            count,
            dim,
            size,
            buffer(&average, size),
            buffer(&weight, size),
            buffer(&new, size),
            elements / size,
            decay as f32,
            // Not of the rounded decay, which may be 1.
            (1.0 - decay) as f32,
        );
    }
    new
}

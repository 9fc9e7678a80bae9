//! The score of monotone quantile functions and its gradient as one operation on Flex.

use burn::backend::Flex;
use burn::backend::autodiff::checkpoint::base::Checkpointer;
use burn::backend::autodiff::grads::Gradients;
use burn::backend::autodiff::ops::{Backward, Ops};
use burn::backend::flex::FlexTensor;
use burn::tensor::Tensor;
use pixel_iqn_loss::{Knots, QuantileFunction, values_of_increments};
use rayon::prelude::*;

use super::{apply, contiguous, dims, floats, tensor};

/// The number of quantile functions that a thread takes at a time.
const CHUNK: usize = 256;

#[derive(Debug)]
struct CrpsOfIncrements;

pub(in crate::lower) fn crps_of_increments(
    increments: Tensor<5>,
    knots: &Knots,
    target: Tensor<5>,
    [low, high]: [f64; 2],
) -> Tensor<5> {
    let operands = [increments.into_dispatch(), target.detach().into_dispatch()];
    apply(CrpsOfIncrements, operands, |[increments, target]| {
        let (increments, target) = (contiguous(increments), contiguous(target));
        let mut shape: [usize; 5] = dims(&increments);
        let count = knots.len();
        let gaps: Vec<f64> = knots.gaps().collect();
        let mut scores = vec![0.0; floats(&target).len()];
        let mut slopes = vec![0.0; floats(&increments).len()];
        floats(&increments)
            .par_chunks(CHUNK * count)
            .zip(floats(&target).par_chunks(CHUNK))
            .zip(scores.par_chunks_mut(CHUNK))
            .zip(slopes.par_chunks_mut(CHUNK * count))
            .for_each(|(((increments, target), scores), slopes)| {
                let (mut values, mut gradient) = (vec![0.0; count], vec![0.0; count]);
                let rows = increments.chunks_exact(count).zip(target);
                let results = scores.iter_mut().zip(slopes.chunks_exact_mut(count));
                for ((increments, y), (score, slopes)) in rows.zip(results) {
                    values_of_increments(increments, knots, &mut values);
                    let line = QuantileFunction::new(knots.as_slice(), &values);
                    let line = line.with_bounds(low, high);
                    *score = line.crps_with_gradient(f64::from(*y), &mut gradient) as f32;
                    // Every later value contains the step: sum from the last one down. The slope
                    // of the softplus is the sigmoid.
                    let mut sum = 0.0;
                    for k in (1..count).rev() {
                        sum += gradient[k];
                        let sigmoid = 1.0 / (1.0 + (-increments[k]).exp());
                        slopes[k] = (sum * gaps[k - 1]) as f32 * sigmoid;
                    }
                    slopes[0] = (sum + gradient[0]) as f32;
                }
            });
        let slopes = tensor(slopes, shape);
        shape[4] = 1;
        (tensor(scores, shape), slopes)
    })
}

impl Backward<Flex, 2> for CrpsOfIncrements {
    /// The derivatives of each score with respect to its increments.
    type State = FlexTensor;

    fn backward(self, ops: Ops<FlexTensor, 2>, grads: &mut Gradients, _: &mut Checkpointer) {
        let dy = contiguous(grads.consume::<Flex>(&ops.node));
        let [Some(increments), _] = ops.parents else {
            return;
        };
        let shape: [usize; 5] = dims(&ops.state);
        let rows = floats(&ops.state).chunks_exact(shape[4]);
        let gradient = rows
            .zip(floats(&dy))
            .flat_map(|(slopes, dy)| slopes.iter().map(move |slope| slope * dy));
        grads.register::<Flex>(increments.id, tensor(gradient.collect(), shape));
    }
}

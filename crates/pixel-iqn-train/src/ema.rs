use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

#[cfg(feature = "cube")]
use crate::gpu;

/// An exponential moving average of the weights of a model, which samples better than the
/// weights themselves.
///
/// ```text
/// d = min(decay, (1 + t) / (10 + t))
/// average = d * average + (1 - d) * weights
/// ```
///
/// for update `t`, counted from 0. The smaller decay of the first updates makes the average forget
/// the random weights it starts from.
#[derive(Debug)]
pub struct Ema<M> {
    average: M,
    decay: f64,
    updates: usize,
}

impl<M: Module> Ema<M> {
    /// Starts at the weights of `model`.
    pub fn new(model: &M, decay: f64) -> Self {
        Self {
            average: model.valid(),
            decay,
            updates: 0,
        }
    }

    /// Moves the average towards the weights of `model`, which must be the model it started
    /// with, a few steps on.
    pub fn update(&mut self, model: &M) {
        let t = self.updates as f64;
        let decay = self.decay.min((1.0 + t) / (10.0 + t));
        let mut weights = Weights(TensorContainer::new());
        model.visit(&mut weights);
        let weights = weights.0;
        self.average = self
            .average
            .clone()
            .map(&mut MoveTowards { weights, decay });
        self.updates += 1;
    }

    /// The number of updates so far: with [`model`](Self::model) all that
    /// [`restore`](Self::restore) needs.
    pub fn updates(&self) -> usize {
        self.updates
    }

    /// Goes on from an average that was `updates` updates old.
    pub fn restore(&mut self, average: M, updates: usize) {
        (self.average, self.updates) = (average, updates);
    }

    /// The model with the average weights, to change what is not a weight.
    pub(crate) fn model_mut(&mut self) -> &mut M {
        &mut self.average
    }

    /// The model with the average weights, without autodiff.
    pub fn model(&self) -> &M {
        &self.average
    }
}

/// The weights of a model by their ids, without autodiff.
struct Weights(TensorContainer<ParamId>);

impl ModuleVisitor for Weights {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val().inner());
    }
}

struct MoveTowards {
    weights: TensorContainer<ParamId>,
    decay: f64,
}

impl ModuleMapper for MoveTowards {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let weight: Tensor<D> = self
            .weights
            .remove(&param.id)
            .expect("the average and the model have the same parameters");
        param.map(|average| {
            #[cfg(feature = "cube")]
            if let Some(average) = gpu::average(&average, &weight, self.decay) {
                return average;
            }
            average * self.decay + weight * (1.0 - self.decay)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct One {
        weight: Param<Tensor<1>>,
    }

    fn set(model: One, value: f32) -> One {
        One {
            weight: model.weight.map(|weight| weight.full_like(value)),
        }
    }

    #[test]
    fn follows_its_formula() {
        let device = Device::flex().autodiff();
        let weight = Param::from_tensor(Tensor::<1>::zeros([3], &device));
        let mut model = One { weight };
        let mut ema = Ema::new(&model, 0.5);
        let mut expected = 0.0;
        for t in 0..20 {
            model = set(model, t as f32 + 1.0);
            ema.update(&model);
            let decay = ((1.0 + t as f64) / (10.0 + t as f64)).min(0.5);
            expected = decay * expected + (1.0 - decay) * (t as f64 + 1.0);
            let values: Vec<f32> = ema.model().weight.val().to_data().try_to_vec().unwrap();
            for value in values {
                assert!((f64::from(value) - expected).abs() < 1e-5 * expected);
            }
        }
        assert!(!ema.model().weight.val().is_autodiff());
    }
}

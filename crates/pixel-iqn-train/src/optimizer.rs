use burn::module::{Module, ModuleMapper, ModuleVisitor, Param, ParamId};
use burn::optim::{
    Adam, AdamConfig, AdamState, AdamW, AdamWConfig, AdamWState, AdaptiveMomentumState,
    GradientsParams, Optimizer as _, decay::WeightDecayConfig,
};
use burn::tensor::Tensor;
use burn::tensor::container::TensorContainer;

use crate::config::{OptimizerKind, TrainConfig};
#[cfg(feature = "cube")]
use crate::gpu;
#[cfg(feature = "cube")]
use pixel_iqn_cube::AdamStep;

/// Burn's Adam and AdamW with moments that can be had as models.
///
/// Burn's own whole-module optimizer writes its moments by the ids of the parameters, which differ
/// from process to process, and in its own format only. As models they have the names of the
/// model, so that a checkpoint holds them under names that mean something.
#[derive(Debug)]
pub(crate) struct Optimizer {
    rule: Rule,
    #[cfg(feature = "cube")]
    decay: f32,
    // Owned here alone, so that Burn's operations change them in place.
    first: TensorContainer<ParamId>,
    second: TensorContainer<ParamId>,
    time: usize,
}

enum Rule {
    Adam(Adam),
    AdamW(AdamW),
}

impl core::fmt::Debug for Rule {
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(match self {
            Self::Adam(_) => "Adam",
            Self::AdamW(_) => "AdamW",
        })
    }
}

/// The field's epsilon (Burn's default is 1e-5).
const EPSILON: f32 = 1e-8;

/// The field's decay of the mean of the gradients, and of the mean of their squares.
const BETAS: [f32; 2] = [0.9, 0.999];

impl Optimizer {
    /// Prepares to train `model`: the moments are zero.
    pub fn new<M: Module>(model: &M, config: &TrainConfig) -> Self {
        let decay = config.weight_decay as f32;
        let rule = match config.optimizer {
            OptimizerKind::Adam => {
                let decay = (decay > 0.0).then(|| WeightDecayConfig::new(decay));
                let adam = AdamConfig::new()
                    .with_beta_1(BETAS[0])
                    .with_beta_2(BETAS[1])
                    .with_epsilon(EPSILON);
                Rule::Adam(adam.with_weight_decay(decay).build())
            }
            OptimizerKind::AdamW => {
                let adam = AdamWConfig::new()
                    .with_beta_1(BETAS[0])
                    .with_beta_2(BETAS[1])
                    .with_epsilon(EPSILON);
                Rule::AdamW(adam.with_weight_decay(decay).build())
            }
        };
        let zeros = model.valid().map(&mut Zeros);
        Self {
            rule,
            #[cfg(feature = "cube")]
            decay,
            first: collect(&zeros),
            second: collect(&zeros),
            time: 0,
        }
    }

    /// The mean of the gradients and the mean of their squares, in the form of the model that is
    /// trained, and the steps that were made.
    pub fn state<M: Module>(&self, model: &M) -> (M, M, usize) {
        let moments = |moments| model.valid().map(&mut Replace(moments));
        (moments(&self.first), moments(&self.second), self.time)
    }

    /// Goes on from a [`state`](Self::state).
    pub fn restore<M: Module>(&mut self, first: &M, second: &M, time: usize) {
        (self.first, self.second, self.time) = (collect(first), collect(second), time);
    }

    /// The model after a step by `scale` times the gradients. Parameters without a gradient stay.
    pub fn step<M: Module>(
        &mut self,
        learning_rate: f64,
        model: M,
        gradients: GradientsParams,
        scale: f64,
    ) -> M {
        let model = model.map(&mut Step {
            optimizer: self,
            learning_rate,
            gradients,
            scale,
        });
        self.time += 1;
        model
    }
}

fn collect<M: Module>(moments: &M) -> TensorContainer<ParamId> {
    let mut collect = Collect(TensorContainer::new());
    moments.visit(&mut collect);
    collect.0
}

struct Zeros;

impl ModuleMapper for Zeros {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        param.map(|tensor| tensor.zeros_like())
    }
}

struct Collect(TensorContainer<ParamId>);

impl ModuleVisitor for Collect {
    fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
        self.0.register(param.id, param.val());
    }
}

struct Replace<'a>(&'a TensorContainer<ParamId>);

impl ModuleMapper for Replace<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let moment = self.0.get(&param.id).expect(SAME);
        param.map(|_| moment)
    }
}

const SAME: &str = "the moments and the model have the same parameters";

struct Step<'a> {
    optimizer: &'a mut Optimizer,
    learning_rate: f64,
    gradients: GradientsParams,
    scale: f64,
}

#[cfg(feature = "cube")]
impl Step<'_> {
    /// The numbers of this step, for a kernel.
    fn numbers(&self) -> AdamStep {
        let Optimizer {
            rule, decay, time, ..
        } = &*self.optimizer;
        let time = (time + 1) as i32;
        let [beta_1, beta_2] = BETAS.map(f64::from);
        let root = (1.0 - beta_2.powi(time)).sqrt();
        let (penalty, keep) = match rule {
            Rule::Adam(_) => (*decay, 1.0),
            Rule::AdamW(_) => (0.0, 1.0 - self.learning_rate * f64::from(*decay)),
        };
        AdamStep {
            gradient_scale: self.scale as f32,
            rate: (self.learning_rate * root / (1.0 - beta_1.powi(time))) as f32,
            beta_1: BETAS[0],
            beta_2: BETAS[1],
            epsilon: (f64::from(EPSILON) * root) as f32,
            penalty,
            keep: keep as f32,
        }
    }
}

impl ModuleMapper for Step<'_> {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let Some(mut gradient) = self.gradients.remove::<D>(id) else {
            return Param::from_mapped_value(id, tensor, mapper);
        };
        #[cfg(feature = "cube")]
        let numbers = self.numbers();
        let optimizer = &mut *self.optimizer;
        let first = optimizer.first.remove(&id).expect(SAME);
        let second = optimizer.second.remove(&id).expect(SAME);
        let tracked = tensor.is_require_grad();
        let (weight, rate) = (tensor.inner(), self.learning_rate);
        #[cfg(feature = "cube")]
        if let Some([weight, first, second]) =
            gpu::adam([&weight, &first, &second], &gradient, numbers)
        {
            optimizer.first.register(id, first);
            optimizer.second.register(id, second);
            let weight = Tensor::from_inner(weight).set_require_grad(tracked);
            return Param::from_mapped_value(id, weight, mapper);
        }
        if self.scale != 1.0 {
            gradient = gradient * self.scale;
        }
        let mut state = AdaptiveMomentumState::new(optimizer.time, first, second);
        let weight = match &optimizer.rule {
            Rule::Adam(adam) => {
                let (weight, next) = adam.step(rate, weight, gradient, Some(AdamState::new(state)));
                state = next.expect("Adam has a state").momentum;
                weight
            }
            Rule::AdamW(adam) => {
                let (weight, next) =
                    adam.step(rate, weight, gradient, Some(AdamWState::new(state)));
                state = next.expect("AdamW has a state").momentum;
                weight
            }
        };
        optimizer.first.register(id, state.moment_1);
        optimizer.second.register(id, state.moment_2);
        let weight = Tensor::from_inner(weight).set_require_grad(tracked);
        Param::from_mapped_value(id, weight, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::optim::ModuleOptimizer;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Two {
        used: Param<Tensor<1>>,
        unused: Param<Tensor<2>>,
    }

    fn model() -> Two {
        let device = Device::flex().autodiff();
        Two {
            used: Param::from_tensor(Tensor::from_floats([0.5, -1.0, 2.0], &device)),
            unused: Param::from_tensor(Tensor::ones([1, 1], &device)),
        }
    }

    fn gradients(model: &Two, step: usize) -> GradientsParams {
        let loss = ((model.used.val() - step as f64).powi_scalar(2)).sum();
        GradientsParams::from_grads(loss.backward(), model)
    }

    #[test]
    fn its_steps_are_those_of_burns_module_optimizers() {
        let adam = TrainConfig::new(1, 1).with_weight_decay(0.01);
        let adam_w = adam.clone().with_optimizer(OptimizerKind::AdamW);
        let decay = WeightDecayConfig::new(0.01);
        let burns: [ModuleOptimizer; 2] = [
            AdamConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(Some(decay))
                .init(),
            AdamWConfig::new()
                .with_epsilon(EPSILON)
                .with_weight_decay(0.01)
                .init(),
        ];
        for (config, mut burns) in [adam, adam_w].into_iter().zip(burns) {
            let (mut ours, mut expected) = (model(), model());
            let mut optimizer = Optimizer::new(&ours, &config);
            for step in 0..5 {
                let gradient = gradients(&ours, step);
                ours = optimizer.step(0.1, ours, gradient, 1.0);
                let gradient = gradients(&expected, step);
                expected = burns.step(0.1, expected, gradient);
                assert_eq!(ours.used.to_data(), expected.used.to_data());
            }
            assert_ne!(ours.used.to_data(), model().used.to_data());
            assert_eq!(ours.unused.to_data(), model().unused.to_data());
            assert_eq!(optimizer.state(&ours).2, 5);
        }
    }
}

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;

#[cfg(feature = "cube")]
use crate::gpu;

/// The norm of all gradients of a model together, `[1]`, on the device; 0 where there is none.
///
/// Burn's own clipping by norm looks at each tensor on its own, which changes the direction of
/// the step.
pub(crate) fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> Option<Tensor<1>> {
    #[cfg(feature = "cube")]
    if let Some(norm) = gpu::global_norm(model, gradients) {
        return Some(norm);
    }
    struct Squares<'a> {
        gradients: &'a GradientsParams,
        sum: Option<Tensor<1>>,
    }
    impl ModuleVisitor for Squares<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let square = gradient.square().sum();
                self.sum = Some(match self.sum.take() {
                    Some(sum) => sum + square,
                    None => square,
                });
            }
        }
    }
    let mut squares = Squares {
        gradients,
        sum: None,
    };
    model.visit(&mut squares);
    squares.sum.map(Tensor::sqrt)
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Device;

    #[derive(Module, Debug)]
    struct Two {
        a: Param<Tensor<1>>,
        b: Param<Tensor<2>>,
        unused: Param<Tensor<1>>,
    }

    #[test]
    fn the_norm_is_over_all_tensors() {
        let device = Device::flex().autodiff();
        let model = Two {
            a: Param::from_tensor(Tensor::ones([2], &device)),
            b: Param::from_tensor(Tensor::ones([1, 1], &device)),
            unused: Param::from_tensor(Tensor::ones([1], &device)),
        };
        // Gradients (2, 2) and (1).
        let loss = model.a.val().sum() * 2.0 + model.b.val().sum();
        let gradients = GradientsParams::from_grads(loss.backward(), &model);
        let norm = global_norm(&model, &gradients).unwrap();
        assert_eq!(norm.into_scalar::<f32>(), 3.0);
    }
}

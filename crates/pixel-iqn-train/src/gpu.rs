//! What a step does to each tensor of a model, as kernels of our own on GPUs. Every function returns nothing
//! where there are no kernels for a tensor, which then takes operations of Burn.

use burn::module::{Module, ModuleVisitor, Param};
use burn::optim::GradientsParams;
use burn::tensor::Tensor;
use pixel_iqn_cube::{AdamStep, CubeTensor, primitive, tensor};

/// Makes a step of Adam: the weight and the two moments after it.
pub(crate) fn adam<const D: usize>(
    [weight, first, second]: [&Tensor<D>; 3],
    gradient: &Tensor<D>,
    step: AdamStep,
) -> Option<[Tensor<D>; 3]> {
    let before = [primitive(weight)?, primitive(first)?, primitive(second)?];
    let after = pixel_iqn_cube::adam(before, primitive(gradient)?, step);
    Some(after.map(tensor))
}

/// Moves an average towards a weight.
pub(crate) fn average<const D: usize>(
    average: &Tensor<D>,
    weight: &Tensor<D>,
    decay: f64,
) -> Option<Tensor<D>> {
    let (average, weight) = (primitive(average)?, primitive(weight)?);
    Some(tensor(pixel_iqn_cube::average(average, weight, decay)))
}

/// The norm of all gradients of a model together, `[1]`.
pub(crate) fn global_norm<M: Module>(model: &M, gradients: &GradientsParams) -> Option<Tensor<1>> {
    struct Primitives<'a> {
        gradients: &'a GradientsParams,
        all: Option<Vec<CubeTensor>>,
    }
    impl ModuleVisitor for Primitives<'_> {
        fn visit_float<const D: usize>(&mut self, param: &Param<Tensor<D>>) {
            if let Some(gradient) = self.gradients.get::<D>(param.id) {
                let (all, gradient) = (self.all.take(), primitive(&gradient));
                self.all = all.zip(gradient).map(|(mut all, gradient)| {
                    all.push(gradient);
                    all
                });
            }
        }
    }
    let all = Some(Vec::new());
    let mut primitives = Primitives { gradients, all };
    model.visit(&mut primitives);
    let all = primitives.all.filter(|all| !all.is_empty())?;
    Some(tensor(pixel_iqn_cube::norm(&all)))
}

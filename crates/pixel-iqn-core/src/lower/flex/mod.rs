//! Operations on Burn's Flex backend with hand-written gradients, from `pixel-iqn-kernels`.
//!
//! They enter through Burn's feature `extension`, by the kind of a tensor, and not through its
//! macro `backend_extension`: that routes among the backends which one crate lists and implements,
//! and a tensor of any other panics, while here every other backend, those of other crates
//! included, takes the composed operations.

mod convolve;
mod gate;
mod tau;
#[cfg(test)]
mod tests;

pub(super) use convolve::convolve;
pub(super) use gate::gate;
pub(super) use tau::{cosines, project_tau};

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::flex::FlexTensor;
use burn::backend::{
    Autodiff, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor, DispatchTensorKind,
    Flex, GradientCheckpointingStrategy, TensorMetadata,
};
use burn::tensor::{DType, Shape, Tensor, TensorData};

type Tracked = <Autodiff<Flex> as burn::backend::BackendTypes>::FloatTensorPrimitive;

/// Whether the tensors are in single precision on Flex, with autodiff or without.
pub(super) fn handles<const D: usize, const N: usize>(tensors: [&Tensor<D>; N]) -> bool {
    tensors.into_iter().all(|tensor| {
        let tensor = tensor.clone().into_dispatch();
        let on_flex = match &tensor.kind {
            DispatchTensorKind::Flex(_) => true,
            DispatchTensorKind::Autodiff(inner) => {
                matches!(**inner, DispatchTensorKind::Flex(_))
                    && tensor.autodiff
                        == DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled)
            }
            #[allow(
                unreachable_patterns,
                reason = "other backends are there only where their features are on"
            )]
            _ => false,
        };
        on_flex && tensor.dtype() == DType::F32
    })
}

/// The operands of an operation: with autodiff, if any of them has it.
enum Operands<const N: usize> {
    Plain([FlexTensor; N]),
    Tracked([Tracked; N]),
}

impl<const N: usize> Operands<N> {
    fn new(tensors: [DispatchTensor; N]) -> Self {
        let tracked =
            |tensor: &DispatchTensor| matches!(tensor.kind, DispatchTensorKind::Autodiff(_));
        if tensors.iter().any(tracked) {
            Self::Tracked(tensors.map(|tensor| {
                if tracked(&tensor) {
                    let tensor = <DispatchTensor as DispatchKindConversion<Autodiff<Flex>>>::
                        try_into_backend(tensor);
                    tensor.expect("`handles` looked at the kind").float()
                } else {
                    Tracked::new(plain(tensor))
                }
            }))
        } else {
            Self::Plain(tensors.map(plain))
        }
    }
}

fn plain(tensor: DispatchTensor) -> FlexTensor {
    let tensor = <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor);
    tensor.expect("`handles` looked at the kind").float()
}

/// Runs an operation forward, and records it where a gradient is wanted.
fn apply<const N: usize, const D: usize, O: Backward<Flex, N>>(
    operation: O,
    operands: [DispatchTensor; N],
    forward: impl FnOnce([FlexTensor; N]) -> (FlexTensor, O::State),
) -> Tensor<D> {
    match Operands::new(operands) {
        Operands::Plain(operands) => Tensor::from_primitive::<Flex>(forward(operands).0),
        Operands::Tracked(operands) => {
            let parts = operands.map(Tracked::into_parts);
            let mut guards = Vec::with_capacity(N);
            let operands = parts.map(|(operand, guard)| {
                guards.push(guard);
                operand
            });
            let guards = guards
                .try_into()
                .expect("there is a guard for each operand");
            let (output, state) = forward(operands);
            let prepared = operation
                .prepare::<NoCheckpointing>(guards)
                .compute_bound()
                .stateful();
            Tensor::from_primitive::<Autodiff<Flex>>(match prepared {
                OpsKind::Tracked(prepared) => prepared.finish(state, output),
                OpsKind::UnTracked(prepared) => prepared.finish(output),
            })
        }
    }
}

/// A tensor that stands for none.
fn none() -> DispatchTensor {
    Tensor::<1>::from_primitive::<Flex>(tensor(Vec::new(), [0])).into_dispatch()
}

fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// The tensor with its numbers in order.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The numbers of a tensor that is contiguous.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor is contiguous")
}

fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

//! The lowering to the kernels of `pixel-iqn-kernels`, with hand-written gradients, on Burn's Flex
//! backend.
//!
//! The operations dispatch on the kind of a tensor, through Burn's feature `extension`, and not
//! with its macro `backend_extension`. The macro routes among the backends that one crate lists and
//! implements, and panics for a tensor of any other; here every other backend, including those of
//! other crates, takes the composed operations.

mod convolve;
mod crps;
mod gate;
mod tau;
#[cfg(test)]
mod tests;

pub(super) use convolve::{Kernel, convolve};
pub(super) use crps::crps_of_increments;
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

/// Whether the tensors are in single precision on Flex, with or without autodiff.
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

/// The operands of an operation, all with autodiff if any of them has it.
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

/// Takes the tensor of the Flex backend out of a tensor without autodiff.
fn plain(tensor: DispatchTensor) -> FlexTensor {
    let tensor = <DispatchTensor as DispatchKindConversion<Flex>>::try_into_backend(tensor);
    tensor.expect("`handles` looked at the kind").float()
}

/// Runs an operation forward, and records it for the backward pass where a gradient is needed.
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

/// Creates the empty tensor that stands for an operand that is not there.
fn none() -> DispatchTensor {
    Tensor::<1>::from_primitive::<Flex>(tensor(Vec::new(), [0])).into_dispatch()
}

/// Creates a tensor from its values.
fn tensor(values: Vec<f32>, shape: impl Into<Shape>) -> FlexTensor {
    FlexTensor::from_data(TensorData::new(values, shape))
}

/// Copies a tensor into contiguous memory, unless it is contiguous.
fn contiguous(tensor: FlexTensor) -> FlexTensor {
    if tensor.is_contiguous() {
        tensor
    } else {
        tensor.to_contiguous()
    }
}

/// The values of a contiguous tensor.
fn floats(tensor: &FlexTensor) -> &[f32] {
    tensor.as_slice().expect("the tensor is contiguous")
}

/// The values of a contiguous tensor, or nothing where it stands for an operand that is [not there](none).
fn optional(tensor: &FlexTensor) -> Option<&[f32]> {
    (tensor.shape().num_elements() > 0).then(|| floats(tensor))
}

/// The shape of a tensor of `D` axes.
fn dims<const D: usize>(tensor: &FlexTensor) -> [usize; D] {
    tensor.shape().dims()
}

//! Operations of our own on a backend of Burn, with hand-written gradients.
//!
//! They dispatch on the kind of a tensor, through Burn's feature `extension`, and not with its macro
//! `backend_extension`. The macro routes among the backends that one crate lists and implements, and
//! panics for a tensor of any other; here every other backend, including those of other crates, takes
//! the composed operations.

use burn::backend::autodiff::checkpoint::strategy::NoCheckpointing;
use burn::backend::autodiff::ops::{Backward, OpsKind};
use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Autodiff, Backend, DispatchAutodiffContext, DispatchKindConversion, DispatchTensor,
    DispatchTensorKind, GradientCheckpointingStrategy, TensorMetadata,
};
use burn::tensor::{DType, Tensor};

/// Whether a tensor is in single precision on the backend whose kind `is_backend` tells, with or without
/// autodiff.
pub(super) fn is_single<const D: usize>(
    tensor: &Tensor<D>,
    is_backend: impl Fn(&DispatchTensorKind) -> bool,
) -> bool {
    let tensor = tensor.clone().into_dispatch();
    let on_backend = match &tensor.kind {
        DispatchTensorKind::Autodiff(inner) => {
            is_backend(inner)
                && tensor.autodiff
                    == DispatchAutodiffContext::Enabled(GradientCheckpointingStrategy::Disabled)
        }
        kind => is_backend(kind),
    };
    on_backend && tensor.dtype() == DType::F32
}

/// The operands of an operation, all with autodiff if any of them has it.
enum Operands<B: Backend, const N: usize> {
    Plain([FloatTensor<B>; N]),
    Tracked([FloatTensor<Autodiff<B>>; N]),
}

impl<B: Backend, const N: usize> Operands<B, N>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    fn new(tensors: [DispatchTensor; N]) -> Self {
        let tracked =
            |tensor: &DispatchTensor| matches!(tensor.kind, DispatchTensorKind::Autodiff(_));
        if tensors.iter().any(tracked) {
            Self::Tracked(tensors.map(|tensor| {
                if tracked(&tensor) {
                    let tensor =
                        <DispatchTensor as DispatchKindConversion<Autodiff<B>>>::try_into_backend(
                            tensor,
                        );
                    tensor.expect("the caller looked at the kind").float()
                } else {
                    FloatTensor::<Autodiff<B>>::new(plain::<B>(tensor))
                }
            }))
        } else {
            Self::Plain(tensors.map(plain::<B>))
        }
    }
}

/// Takes the tensor of the backend out of a tensor without autodiff.
fn plain<B: Backend>(tensor: DispatchTensor) -> FloatTensor<B>
where
    DispatchTensor: DispatchKindConversion<B>,
{
    let tensor = <DispatchTensor as DispatchKindConversion<B>>::try_into_backend(tensor);
    tensor.expect("the caller looked at the kind").float()
}

/// Runs an operation forward, and records it for the backward pass where a gradient is needed.
pub(super) fn apply<B: Backend, const N: usize, const D: usize, O: Backward<B, N>>(
    operation: O,
    operands: [DispatchTensor; N],
    forward: impl FnOnce([FloatTensor<B>; N]) -> (FloatTensor<B>, O::State),
) -> Tensor<D>
where
    DispatchTensor: DispatchKindConversion<B> + DispatchKindConversion<Autodiff<B>>,
{
    match Operands::<B, N>::new(operands) {
        Operands::Plain(operands) => Tensor::from_primitive::<B>(forward(operands).0),
        Operands::Tracked(operands) => {
            let parts = operands.map(|operand| operand.into_parts());
            let mut guards = Vec::with_capacity(N);
            let operands = parts.map(|(operand, guard)| {
                guards.push(guard);
                operand
            });
            let guards = guards
                .try_into()
                .unwrap_or_else(|_| unreachable!("there is a guard for each operand"));
            let (output, state) = forward(operands);
            let prepared = operation
                .prepare::<NoCheckpointing>(guards)
                .compute_bound()
                .stateful();
            Tensor::from_primitive::<Autodiff<B>>(match prepared {
                OpsKind::Tracked(prepared) => prepared.finish(state, output),
                OpsKind::UnTracked(prepared) => prepared.finish(output),
            })
        }
    }
}

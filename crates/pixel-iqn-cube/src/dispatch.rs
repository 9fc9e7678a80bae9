//! Tensors of Burn as tensors of its CubeCL backends, and back.

use core::any::{Any, TypeId};

use burn::backend::tensor::FloatTensor;
use burn::backend::{
    Cube, DispatchKindConversion, DispatchTensor, DispatchTensorKind, TensorMetadata,
};
use burn::tensor::{DType, Tensor};
use burn_cubecl::tensor::CubeTensor;

use crate::tensor::contiguous;

/// Whether a tensor of a kind has kernels of this crate: it is on a CubeCL backend, and operations are not
/// fused. With fusion a tensor may stand for operations that have not run yet.
pub fn handles(kind: &DispatchTensorKind) -> bool {
    let is_plain = TypeId::of::<FloatTensor<Cube>>() == TypeId::of::<CubeTensor>();
    is_plain && matches!(kind, DispatchTensorKind::Cube(_))
}

/// Takes the CubeCL tensor out of a backend's tensor.
///
/// # Panics
///
/// Panics with fusion, where [`handles`] says no.
pub fn from_backend(tensor: FloatTensor<Cube>) -> CubeTensor {
    convert(tensor)
}

/// Makes a backend's tensor of a CubeCL tensor.
///
/// # Panics
///
/// Panics with fusion, where [`handles`] says no.
pub fn into_backend(tensor: CubeTensor) -> FloatTensor<Cube> {
    convert(tensor)
}

/// The two types are one without fusion, which the compiler cannot know here.
fn convert<A: Any, B: Any>(tensor: A) -> B {
    let mut tensor = Some(tensor);
    let tensor: &mut dyn Any = &mut tensor;
    let tensor = tensor.downcast_mut::<Option<B>>();
    tensor
        .and_then(Option::take)
        .expect("the caller asked `handles`")
}

/// Takes the CubeCL tensor out of a tensor without autodiff, in contiguous memory; nothing where this crate has
/// no kernels for it ([`handles`]) or it is not in single precision.
pub fn primitive<const D: usize>(tensor: &Tensor<D>) -> Option<CubeTensor> {
    let tensor = tensor.clone().into_dispatch();
    if !handles(&tensor.kind) || tensor.dtype() != DType::F32 {
        return None;
    }
    let tensor = <DispatchTensor as DispatchKindConversion<Cube>>::try_into_backend(tensor);
    let tensor = from_backend(tensor.ok()?.float());
    Some(contiguous(tensor))
}

/// Makes a tensor of a CubeCL tensor.
///
/// # Panics
///
/// Panics with fusion, where [`handles`] says no.
pub fn tensor<const D: usize>(tensor: CubeTensor) -> Tensor<D> {
    Tensor::from_primitive::<Cube>(into_backend(tensor))
}

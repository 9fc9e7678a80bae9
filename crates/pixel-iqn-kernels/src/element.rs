use pulp::Arch;

use crate::microkernel::Gemm;

/// The elements of the operands of a product: single-precision numbers, or [pairs](crate::Pair) of bfloat16
/// numbers.
///
/// The trait is sealed: no other crate can implement it.
pub trait Element: Multiply + Copy + Default + Send + Sync {
    /// Whether all numbers are zero.
    fn is_zero(self) -> bool;
}

mod sealed {
    use super::*;

    /// The product of operands of such elements.
    pub trait Multiply: Sized {
        /// Computes a product.
        ///
        /// # Safety
        ///
        /// No index that the microkernels compute may leave the operands.
        unsafe fn multiply(gemm: Gemm<'_, Self>);
    }
}

pub(crate) use sealed::Multiply;

impl Element for f32 {
    fn is_zero(self) -> bool {
        self == 0.0
    }
}

impl Multiply for f32 {
    unsafe fn multiply(gemm: Gemm<'_, Self>) {
        Arch::new().dispatch(gemm);
    }
}

use core::cell::RefCell;
use core::marker::PhantomData;

use pulp::Arch;

use super::tiles::{Factors, Gather, Scatter};
use super::transform::Transform;
use crate::batch_reduce::{Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};
use crate::panels::Panels;

/// The outputs that a thread works on at a time, as wide as the widest microkernel: the products of
/// the tiles then take 0.1 MB.
const COLUMNS: usize = 3 * PANEL_WIDTH;

/// Some tiles that a thread works on: their factors and, for some outputs at a time, their products.
#[derive(Debug, Default)]
pub(super) struct Block {
    factors: Factors,
    products: Factors,
}

thread_local! {
    /// One for each thread, so that it makes room once.
    static SCRATCH: RefCell<Block> = RefCell::default();
}

impl Block {
    /// Works with the block of the calling thread.
    pub fn with(work: impl FnOnce(&mut Self)) {
        SCRATCH.with_borrow_mut(work);
    }

    /// Makes room for tiles of `P` products, each with the factors of `groups` sets of inputs.
    pub fn resize<const P: usize>(&mut self, groups: usize, tiles: usize, inputs: usize) {
        self.factors.resize([groups * P, tiles, inputs]);
        self.products.resize([P, tiles, COLUMNS]);
    }

    /// Transforms the inputs of a group, `[positions, inputs]`, at the places of each tile.
    pub fn scatter<T: Transform<N, P>, const N: usize, const P: usize>(
        &mut self,
        group: usize,
        x: &[f32],
        inputs: usize,
        places: &[[Option<usize>; N]],
    ) {
        Arch::new().dispatch(Scatter {
            transform: PhantomData::<T>,
            from: x,
            features: inputs,
            places,
            stride: self.factors.stride,
            to: self.factors.products::<P>(group * P),
        });
    }

    /// Computes the products of the tiles, which add up over `G` groups, and writes what they transform
    /// to with the bias, or adds it to the outputs, `[positions, outputs]`.
    pub fn gather<T: Transform<P, N>, const P: usize, const N: usize, const G: usize>(
        &mut self,
        weight: &Panels,
        places: &[[Option<usize>; N]],
        bias: Option<&[f32]>,
        y: &mut [f32],
    ) {
        let outputs = weight.outputs();
        for first in (0..outputs).step_by(COLUMNS) {
            let columns = first..(first + COLUMNS).min(outputs);
            let panel = first / PANEL_WIDTH * weight.panel_stride();
            let row_stride = self.products.stride;
            for (k, product) in self.products.products::<P>(0).into_iter().enumerate() {
                let of_groups: [usize; G] = core::array::from_fn(|group| group * P + k);
                batch_reduce_gemm(
                    LhsBatch {
                        data: self.factors.data(),
                        offsets: &of_groups.map(|k| self.factors.offset(k)),
                        row_stride: self.factors.stride,
                        depth_stride: 1,
                    },
                    weight.rhs(&of_groups.map(|k| panel + weight.offset(k))),
                    weight.inputs(),
                    Init::Zero,
                    OutputMatrix {
                        data: product,
                        row_stride,
                        rows: places.len(),
                        columns: columns.len(),
                    },
                );
            }
            Arch::new().dispatch(Gather {
                transform: PhantomData::<T>,
                products: &self.products,
                places,
                bias,
                to: y,
                features: outputs,
                columns,
            });
        }
    }
}

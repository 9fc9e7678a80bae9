use core::cell::RefCell;
use core::marker::PhantomData;
use core::ops::Range;

use pulp::Arch;

use super::tiles::{Factors, Gather, Scatter};
use super::transform::Transform;
use crate::batch_reduce::{Init, LhsBatch, OutputMatrix, PANEL_WIDTH, batch_reduce_gemm};
use crate::panels::Panels;

/// The outputs that a thread works on at a time, as wide as the widest microkernel: the products of
/// the tiles then take 0.1 MB.
const COLUMNS: usize = 3 * PANEL_WIDTH;

/// Some tiles that a thread works on: the factors of their products.
#[derive(Debug, Default)]
pub(super) struct Block {
    factors: Factors,
}

thread_local! {
    /// One of each for each thread, so that it makes room once. They are taken and given back: a thread
    /// that waits for others may begin other work.
    static BLOCK: RefCell<Block> = RefCell::default();
    static PRODUCTS: RefCell<Factors> = RefCell::default();
}

/// The outputs of a gathering.
pub(super) struct Target<'a> {
    /// The outputs of the weights that are computed, which begin with a panel.
    pub columns: Range<usize>,
    /// The numbers that they are added to, `[positions, columns]`, or written to with a bias.
    pub y: &'a mut [f32],
    /// The bias of all outputs of the weights.
    pub bias: Option<&'a [f32]>,
}

impl Block {
    /// Works with the block of the calling thread.
    pub fn with(work: impl FnOnce(&mut Self)) {
        let mut block = BLOCK.take();
        work(&mut block);
        BLOCK.set(block);
    }

    /// Makes room for tiles of `P` products, each with the factors of `groups` sets of inputs.
    pub fn resize<const P: usize>(&mut self, groups: usize, tiles: usize, inputs: usize) {
        self.factors.resize([groups * P, tiles, inputs]);
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
    /// to with the bias, or adds it to the outputs.
    pub fn gather<T: Transform<P, N>, const P: usize, const N: usize, const G: usize>(
        &self,
        weight: &Panels,
        places: &[[Option<usize>; N]],
        target: Target<'_>,
    ) {
        let Target { columns, y, bias } = target;
        let mut products = PRODUCTS.take();
        products.resize([P, places.len(), COLUMNS]);
        for first in columns.clone().step_by(COLUMNS) {
            let block = first..(first + COLUMNS).min(columns.end);
            let panel = first / PANEL_WIDTH * weight.panel_stride();
            let row_stride = products.stride;
            for (k, product) in products.products::<P>(0).into_iter().enumerate() {
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
                        columns: block.len(),
                    },
                );
            }
            Arch::new().dispatch(Gather {
                transform: PhantomData::<T>,
                products: &products,
                places,
                bias: bias.map(|bias| &bias[columns.clone()]),
                to: y,
                features: columns.len(),
                columns: block.start - columns.start..block.end - columns.start,
            });
        }
        PRODUCTS.set(products);
    }
}

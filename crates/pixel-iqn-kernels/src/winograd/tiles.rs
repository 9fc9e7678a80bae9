use core::marker::PhantomData;
use core::ops::Range;

use pulp::{Simd, WithSimd};

use super::grid::TapGrid;
use super::transform::{COLUMNS, OUTPUTS, PRODUCTS, SIDES, Transform};
use crate::batch_reduce::PANEL_WIDTH;

/// The tiles of an image: [`SIDES`] outputs each, which lie as far apart as the taps do, so that tiles of
/// a dilated convolution interleave.
#[derive(Debug, Clone, Copy)]
pub(super) struct Tiling {
    pub grid: TapGrid,
    pub height: usize,
    pub width: usize,
}

impl Tiling {
    /// The rows after which the pattern of tiles repeats: no tile has rows of two periods.
    pub fn period(&self) -> usize {
        SIDES[0] * self.grid.dilation
    }

    /// The first outputs of the tiles, `(row, column)`, that have rows of `rows`, which begins and ends
    /// with a period or the image.
    pub fn origins(&self, rows: core::ops::Range<usize>) -> Vec<(usize, usize)> {
        let d = self.grid.dilation;
        let of_row = |row| {
            let columns =
                (0..self.width).filter(move |column| (column / d).is_multiple_of(SIDES[1]));
            columns.map(move |column| (row, column))
        };
        rows.filter(|row| (row / d).is_multiple_of(SIDES[0]))
            .flat_map(of_row)
            .collect()
    }

    /// The positions of a tile's outputs in row-major order, those outside of the image left out.
    pub fn outputs(&self, (row, column): (usize, usize)) -> [Option<usize>; OUTPUTS] {
        let d = self.grid.dilation;
        core::array::from_fn(|i| {
            let (row, column) = (row + i / SIDES[1] * d, column + i % SIDES[1] * d);
            (row < self.height && column < self.width).then_some(row * self.width + column)
        })
    }

    /// The positions of a tile's inputs in row-major order, those outside of the image left out.
    pub fn inputs(&self, (row, column): (usize, usize)) -> [Option<usize>; PRODUCTS] {
        core::array::from_fn(|i| {
            let tap = self.grid.tap(i / COLUMNS, i % COLUMNS);
            let row = row
                .checked_add_signed(tap.row)
                .filter(|&r| r < self.height)?;
            let column = (column.checked_add_signed(tap.column)).filter(|&c| c < self.width)?;
            Some(row * self.width + column)
        })
    }
}

/// Factors of products of some tiles, or the products: `[products, tiles, stride]`, the features of a tile
/// padded to whole vectors.
#[derive(Debug, Default)]
pub(super) struct Factors {
    data: Vec<f32>,
    /// The numbers of each product.
    length: usize,
    /// The distance from one tile to the next.
    pub stride: usize,
}

impl Factors {
    /// Makes room for so many products of so many tiles. What is in it is of before, or zero.
    pub fn resize(&mut self, [products, tiles, features]: [usize; 3]) {
        self.stride = features.next_multiple_of(PANEL_WIDTH);
        self.length = tiles * self.stride;
        self.data.resize(products * self.length, 0.0);
    }

    /// The factors of `P` products from product `first` on.
    pub fn products<const P: usize>(&mut self, first: usize) -> [&mut [f32]; P] {
        let mut products = self.data[first * self.length..].chunks_exact_mut(self.length);
        core::array::from_fn(|_| products.next().expect("there are so many products"))
    }

    /// The factors of one product.
    pub fn product(&self, product: usize) -> &[f32] {
        &self.data[self.offset(product)..][..self.length]
    }

    /// The factors of all products.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// Where those of a product begin.
    pub fn offset(&self, product: usize) -> usize {
        product * self.length
    }
}

/// Transforms numbers at the places of tiles to factors of their products, one tile after the other.
pub(super) struct Scatter<'a, T, const N: usize, const P: usize> {
    pub transform: PhantomData<T>,
    /// The numbers, `[positions, features]`.
    pub from: &'a [f32],
    pub features: usize,
    /// For each tile the positions of its places; a place without one has zeros.
    pub places: &'a [[Option<usize>; N]],
    /// The factors of each product, from those of the first tile on.
    pub to: [&'a mut [f32]; P],
    /// The distance of the tiles in these.
    pub stride: usize,
}

impl<T: Transform<N, P>, const N: usize, const P: usize> WithSimd for Scatter<'_, T, N, P> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(mut self, simd: S) {
        // Loops and no `map` of arrays, which the compiler may leave as a function of its own, without
        // the instructions of this one.
        let (features, stride) = (self.features, self.stride);
        let vectors = features / S::F32_LANES;
        let mut numbers = [simd.splat_f32s(0.0); N];
        for (tile, places) in self.places.iter().enumerate() {
            let mut rows: [(&[S::f32s], &[f32]); N] = [(&[], &[]); N];
            for (row, place) in rows.iter_mut().zip(places) {
                if let &Some(place) = place {
                    *row = S::as_simd_f32s(&self.from[place * features..][..features]);
                }
            }
            for v in 0..stride / S::F32_LANES {
                for (number, (row, tail)) in numbers.iter_mut().zip(&rows) {
                    *number = match row.get(v) {
                        Some(&vector) => vector,
                        None if v == vectors => simd.partial_load_f32s(tail),
                        None => simd.splat_f32s(0.0),
                    };
                }
                let factors = T::transform(simd, numbers);
                let at = tile * stride + v * S::F32_LANES;
                for (to, factor) in self.to.iter_mut().zip(factors) {
                    S::as_mut_simd_f32s(&mut to[at..][..S::F32_LANES]).0[0] = factor;
                }
            }
        }
    }
}

/// Transforms the products of tiles to their outputs and adds them to a bias, or to the outputs.
pub(super) struct Gather<'a, T, const P: usize, const N: usize> {
    pub transform: PhantomData<T>,
    pub products: &'a Factors,
    /// For each tile the positions of its outputs; a place without one is left out.
    pub places: &'a [[Option<usize>; N]],
    pub bias: Option<&'a [f32]>,
    /// The outputs, `[positions, features]`.
    pub to: &'a mut [f32],
    pub features: usize,
    /// The features of the products.
    pub columns: Range<usize>,
}

impl<T: Transform<P, N>, const P: usize, const N: usize> WithSimd for Gather<'_, T, P, N> {
    type Output = ();

    #[inline(always)]
    fn with_simd<S: Simd>(self, simd: S) {
        let stride = self.products.stride;
        let (columns, width) = (self.columns, S::F32_LANES);
        let mut numbers = [simd.splat_f32s(0.0); P];
        for (tile, places) in self.places.iter().enumerate() {
            let mut rows: [&[S::f32s]; P] = [&[]; P];
            for (k, row) in rows.iter_mut().enumerate() {
                let product = self.products.product(k);
                *row = S::as_simd_f32s(&product[tile * stride..][..stride]).0;
            }
            for (v, first) in columns.clone().step_by(width).enumerate() {
                for (number, row) in numbers.iter_mut().zip(&rows) {
                    *number = row[v];
                }
                let sums = T::transform(simd, numbers);
                let columns = first..(first + width).min(columns.end);
                let mut bias = None;
                if let Some(row) = self.bias {
                    bias = Some(load(simd, &row[columns.clone()]));
                }
                for (place, sum) in places.iter().zip(sums) {
                    let Some(place) = place else {
                        continue;
                    };
                    let row = &mut self.to[place * self.features..][columns.clone()];
                    let before = match bias {
                        Some(bias) => bias,
                        None => load(simd, row),
                    };
                    store(simd, row, simd.add_f32s(before, sum));
                }
            }
        }
    }
}

/// Reads a vector; zeros follow the end of the row.
#[inline(always)]
fn load<S: Simd>(simd: S, row: &[f32]) -> S::f32s {
    match S::as_simd_f32s(row) {
        ([vector, ..], _) => *vector,
        ([], tail) => simd.partial_load_f32s(tail),
    }
}

/// Writes a vector, as far as the row goes.
#[inline(always)]
fn store<S: Simd>(simd: S, row: &mut [f32], vector: S::f32s) {
    match S::as_mut_simd_f32s(row) {
        ([place, ..], _) => *place = vector,
        ([], tail) => simd.partial_store_f32s(tail, vector),
    }
}

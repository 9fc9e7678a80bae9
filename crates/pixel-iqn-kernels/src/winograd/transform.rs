//! The transforms of F(2x4, 2x3), which are the products of those of F(2, 2) along the columns of a tile
//! and of F(4, 3) along its rows (Lavin and Gray 2016, section 4).
//!
//! ```text
//! y = Aᵀ [(G g) ⊙ (Bᵀ d)]
//!
//! F(2, 2)                         F(4, 3)        a = 1/√2    b = √2
//!
//!      1 -1  0                         1   0  -5/2  0   1  0           1      0      0
//! Bᵀ = 0  1  0                         0 -2a   -2   a   1  0         -2/3  -2/3a  -1/3
//!      0  1 -1                    Bᵀ = 0  2a   -2  -a   1  0     G = -2/3   2/3a  -1/3
//!                                      0 -b/2 -1/2  b   1  0          1/6   1/6b   1/3
//!      1  0                            0  b/2 -1/2 -b   1  0          1/6  -1/6b   1/3
//! G =  1  1                            0   1    0 -5/2  0  1           0      0      1
//!      0  1
//!                                      1  1   1    1   1   0
//! Aᵀ = 1  1  0                    Aᵀ = 0  a  -a    b  -b   0
//!      0  1 -1                         0 1/2 1/2   2   2   0
//!                                      0 a/2 -a/2 2b  -2b  1
//! ```
//!
//! Those of F(4, 3) interpolate at 0, ±a, ±b and infinity. That is our choice: the usual points 0, ±1, ±2
//! and infinity lose twice the digits, since their powers lie further apart.

use core::f32::consts::{FRAC_1_SQRT_2 as A, SQRT_2 as B};

use pulp::Simd;

/// The outputs of a tile along a column and along a row.
pub(super) const SIDES: [usize; 2] = [2, 4];
/// The outputs of a tile.
pub(super) const OUTPUTS: usize = SIDES[0] * SIDES[1];
/// The products of a tile for each pair of an input and an output, as many as the inputs of a tile.
pub(super) const PRODUCTS: usize = 3 * COLUMNS;
/// The products along a row of a tile, as many as the inputs: those of F(4, 3).
pub(super) const COLUMNS: usize = 6;

/// Vectors of numbers, one for each place in a tile, in row-major order.
type Tile<S, const N: usize> = [<S as Simd>::f32s; N];

/// A transform of `N` numbers of a tile to `M` others: to factors of its products, or of its products to
/// its outputs.
pub(super) trait Transform<const N: usize, const M: usize> {
    fn transform<S: Simd>(simd: S, tile: Tile<S, N>) -> Tile<S, M>;
}

/// The transform of the inputs of a tile of one row, 6: `Bᵀ d` of F(4, 3).
#[derive(Clone, Copy)]
pub(super) struct RowInputs;

/// The transform of the products of a tile of one row to its outputs, 4: `Aᵀ m` of F(4, 3).
#[derive(Clone, Copy)]
pub(super) struct RowOutputs;

/// The transform of the products of a tile to its outputs, 2 x 4: `Aᵀ m A`.
#[derive(Clone, Copy)]
pub(super) struct Outputs;

/// The transform of the inputs of a tile, 3 x 6: `Bᵀ d B`.
pub(super) struct Inputs;

/// The transform of the gradient of the outputs of a tile, 2 x 4, to that of its products: `A dy Aᵀ`.
pub(super) struct OutputGradients;

/// Arithmetic on vectors. Its methods, unlike closures, are always compiled into their callers, with the
/// instructions of these.
struct Vectors<S>(S);

impl<S: Simd> Vectors<S> {
    #[inline(always)]
    fn add(&self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.add_f32s(a, b)
    }

    #[inline(always)]
    fn sub(&self, a: S::f32s, b: S::f32s) -> S::f32s {
        self.0.sub_f32s(a, b)
    }

    #[inline(always)]
    fn neg(&self, a: S::f32s) -> S::f32s {
        self.0.neg_f32s(a)
    }

    #[inline(always)]
    fn mul(&self, a: f32, b: S::f32s) -> S::f32s {
        self.0.mul_f32s(self.0.splat_f32s(a), b)
    }

    #[inline(always)]
    fn mul_add(&self, a: f32, b: S::f32s, c: S::f32s) -> S::f32s {
        self.0.mul_add_e_f32s(self.0.splat_f32s(a), b, c)
    }
}

impl Transform<COLUMNS, COLUMNS> for RowInputs {
    #[inline(always)]
    fn transform<S: Simd>(simd: S, d: Tile<S, COLUMNS>) -> Tile<S, COLUMNS> {
        let v = Vectors(simd);
        let [d0, d1, d2, d3, d4, d5] = d;
        let (even, odd) = (v.mul_add(-2.0, d2, d4), v.mul(A, v.mul_add(-2.0, d1, d3)));
        let (even2, odd2) = (v.mul_add(-0.5, d2, d4), v.mul(B, v.mul_add(-0.5, d1, d3)));
        [
            v.mul_add(-2.5, d2, v.add(d0, d4)),
            v.add(even, odd),
            v.sub(even, odd),
            v.add(even2, odd2),
            v.sub(even2, odd2),
            v.mul_add(-2.5, d3, v.add(d1, d5)),
        ]
    }
}

impl Transform<COLUMNS, { SIDES[1] }> for RowOutputs {
    #[inline(always)]
    fn transform<S: Simd>(simd: S, m: Tile<S, COLUMNS>) -> Tile<S, { SIDES[1] }> {
        let v = Vectors(simd);
        let [m0, m1, m2, m3, m4, m5] = m;
        let (even, odd) = (v.add(m1, m2), v.mul(A, v.sub(m1, m2)));
        let (even2, odd2) = (v.add(m3, m4), v.mul(B, v.sub(m3, m4)));
        [
            v.add(m0, v.add(even, even2)),
            v.add(odd, odd2),
            v.mul_add(0.5, even, v.add(even2, even2)),
            v.mul_add(0.5, odd, v.mul_add(2.0, odd2, m5)),
        ]
    }
}

impl Transform<PRODUCTS, PRODUCTS> for Inputs {
    #[inline(always)]
    fn transform<S: Simd>(simd: S, d: Tile<S, PRODUCTS>) -> Tile<S, PRODUCTS> {
        let v = Vectors(simd);
        let mut u = d;
        for c in 0..COLUMNS {
            let [d0, d1, d2] = [d[c], d[COLUMNS + c], d[2 * COLUMNS + c]];
            u[c] = v.sub(d0, d1);
            u[2 * COLUMNS + c] = v.sub(d1, d2);
        }
        for row in u.as_chunks_mut::<COLUMNS>().0 {
            *row = RowInputs::transform(simd, *row);
        }
        u
    }
}

impl Transform<OUTPUTS, PRODUCTS> for OutputGradients {
    #[inline(always)]
    fn transform<S: Simd>(simd: S, dy: Tile<S, OUTPUTS>) -> Tile<S, PRODUCTS> {
        let v = Vectors(simd);
        let mut m = [dy[0]; PRODUCTS];
        for c in 0..SIDES[1] {
            let [above, below] = [dy[c], dy[SIDES[1] + c]];
            m[c] = above;
            m[COLUMNS + c] = v.add(above, below);
            m[2 * COLUMNS + c] = v.neg(below);
        }
        for row in m.as_chunks_mut::<COLUMNS>().0 {
            let [y0, y1, y2, y3, ..] = *row;
            let (even, odd) = (v.mul_add(0.5, y2, y0), v.mul(A, v.mul_add(0.5, y3, y1)));
            let (even2, odd2) = (v.mul_add(2.0, y2, y0), v.mul(B, v.mul_add(2.0, y3, y1)));
            *row = [
                y0,
                v.add(even, odd),
                v.sub(even, odd),
                v.add(even2, odd2),
                v.sub(even2, odd2),
                y3,
            ];
        }
        m
    }
}

impl Transform<PRODUCTS, OUTPUTS> for Outputs {
    #[inline(always)]
    fn transform<S: Simd>(simd: S, m: Tile<S, PRODUCTS>) -> Tile<S, OUTPUTS> {
        let v = Vectors(simd);
        let mut rows = [[m[0]; SIDES[1]]; 3];
        for (row, m) in rows.iter_mut().zip(m.as_chunks::<COLUMNS>().0) {
            *row = RowOutputs::transform(simd, *m);
        }
        let [r0, r1, r2] = rows;
        let mut y = [r0[0]; OUTPUTS];
        for c in 0..SIDES[1] {
            y[c] = v.add(r0[c], r1[c]);
            y[SIDES[1] + c] = v.sub(r1[c], r2[c]);
        }
        y
    }
}

/// Transforms the weights of the taps, 2 x 3, of some pairs of features: `G g Gᵀ`.
pub(super) fn weights<const PAIRS: usize>(g: &[[f32; PAIRS]; 6]) -> [[f32; PAIRS]; PRODUCTS] {
    let mut u = [[0.0; PAIRS]; PRODUCTS];
    for (row, u) in u.as_chunks_mut::<COLUMNS>().0.iter_mut().enumerate() {
        let tap = |c: usize, pair: usize| match row {
            0 => g[c][pair],
            1 => g[c][pair] + g[3 + c][pair],
            _ => g[3 + c][pair],
        };
        let taps = core::array::from_fn(|c| core::array::from_fn(|pair| tap(c, pair)));
        *u = row_weights(&taps);
    }
    u
}

/// Transforms the weights of the three taps of a row, of some pairs of features: `G g` of F(4, 3).
#[inline]
pub(super) fn row_weights<const PAIRS: usize>(g: &[[f32; PAIRS]; 3]) -> [[f32; PAIRS]; COLUMNS] {
    let mut u = [[0.0; PAIRS]; COLUMNS];
    for pair in 0..PAIRS {
        let [g0, g1, g2] = [g[0][pair], g[1][pair], g[2][pair]];
        let (even, odd) = (-2.0 / 3.0 * (g0 + 0.5 * g2), -2.0 / 3.0 * A * g1);
        let (even2, odd2) = (1.0 / 6.0 * (g0 + 2.0 * g2), 1.0 / 6.0 * B * g1);
        u[0][pair] = g0;
        u[1][pair] = even + odd;
        u[2][pair] = even - odd;
        u[3][pair] = even2 + odd2;
        u[4][pair] = even2 - odd2;
        u[5][pair] = g2;
    }
    u
}

/// Transforms the gradient of the transformed weights of some pairs of features to that of the weights:
/// `Gᵀ du G`.
pub(super) fn weight_gradients<const PAIRS: usize>(
    du: &[[f32; PAIRS]; PRODUCTS],
) -> [[f32; PAIRS]; 6] {
    let mut dw = [[0.0; PAIRS]; 6];
    for pair in 0..PAIRS {
        let mut rows = [[0.0; 3]; 3];
        for (row, du) in rows.iter_mut().zip(du.as_chunks::<COLUMNS>().0) {
            let [u0, u1, u2, u3, u4, u5] = [0, 1, 2, 3, 4, 5].map(|c| du[c][pair]);
            let (even, odd) = (-2.0 / 3.0 * (u1 + u2), -2.0 / 3.0 * (u1 - u2));
            let (even2, odd2) = (1.0 / 6.0 * (u3 + u4), 1.0 / 6.0 * (u3 - u4));
            *row = [
                u0 + even + even2,
                A * odd + B * odd2,
                u5 + 0.5 * even + 2.0 * even2,
            ];
        }
        let [r0, r1, r2] = rows;
        for tap in 0..3 {
            dw[tap][pair] = r0[tap] + r1[tap];
            dw[3 + tap][pair] = r1[tap] + r2[tap];
        }
    }
    dw
}

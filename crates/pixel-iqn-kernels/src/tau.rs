//! The projection of the quantile embedding into the gates of a layer, one channel group at a time,
//! and its gradients.

use rayon::prelude::*;

use crate::batch_reduce::{
    Init, LhsBatch, OutputMatrix, PANEL_WIDTH, RhsPanels, batch_reduce_gemm,
};
use crate::filled::filled;
use crate::panels::{Panels, pad_columns};
use crate::rows::Rows;

/// The number of positions that one thread computes at a time.
const CHUNK: usize = 256;

/// The sizes of a projection of the quantile embedding, which maps the embedding of channel group
/// `g` to the features of group `g` in both halves of the gates.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ProjectionShape {
    /// The number of positions of all images: batch times height times width.
    pub positions: usize,
    /// The number of channel groups.
    pub groups: usize,
    /// The number of features of the embedding.
    pub embedding: usize,
    /// The number of features of a gate half, over all groups.
    pub features: usize,
}

impl ProjectionShape {
    /// The number of features of a gate half in one group.
    fn group(&self) -> usize {
        self.features / self.groups
    }

    /// Lists each group twice, once for each gate half, with the start of its features among the
    /// rows of the weight and in a row of the gates.
    fn parts(&self) -> impl Iterator<Item = (usize, usize)> + use<> {
        let Self {
            groups, features, ..
        } = *self;
        let group = self.group();
        (0..groups).flat_map(move |g| (0..2).map(move |half| (g, half * features + g * group)))
    }

    /// Asserts that the slices have the sizes of the projection.
    fn check(&self, phi: usize, weight: usize, gates: usize) {
        let Self {
            positions,
            groups,
            embedding,
            features,
        } = *self;
        assert!(
            features.is_multiple_of(groups),
            "the features do not divide"
        );
        assert_eq!(phi, groups * positions * embedding, "phi does not fit");
        assert_eq!(weight, 2 * features * embedding, "the weight does not fit");
        assert_eq!(gates, positions * 2 * features, "the gates do not fit");
    }
}

/// Adds the projection of the quantile embedding `phi` to the inputs of the gates.
///
/// # Shapes
///
/// - `phi`: `[groups, positions, embedding]`
/// - `weight`: `[2, features, embedding]`
/// - `gates`: `[positions, 2 * features]`
///
/// # Panics
///
/// Panics if a slice does not fit.
pub fn project(sizes: ProjectionShape, phi: &[f32], weight: &[f32], gates: &mut [f32]) {
    sizes.check(phi.len(), weight.len(), gates.len());
    let (group, embedding) = (sizes.group(), sizes.embedding);
    let parts: Vec<(usize, usize, Panels)> = sizes
        .parts()
        .map(|(g, at)| {
            let part = Panels::new([1, embedding, group], |k, n| {
                weight[(at + n) * embedding + k]
            });
            (g, at, part)
        })
        .collect();
    let row = 2 * sizes.features;
    gates
        .par_chunks_mut(CHUNK * row)
        .enumerate()
        .for_each(|(chunk, gates)| {
            for (g, at, part) in &parts {
                let start = (g * sizes.positions + chunk * CHUNK) * embedding;
                let x = Rows {
                    data: &phi[start..],
                    stride: embedding,
                };
                let rows = gates.len() / row;
                part.accumulate(x, &mut gates[*at..], row, rows);
            }
        });
}

/// Computes the gradient of [`project`] with respect to `phi` from the gradient of the gates.
///
/// # Shapes
///
/// - `weight`: `[2, features, embedding]`
/// - `dy`: `[positions, 2 * features]`
/// - output: `[groups, positions, embedding]`
///
/// # Panics
///
/// Panics if a slice does not fit.
pub fn embedding_gradient(sizes: ProjectionShape, weight: &[f32], dy: &[f32]) -> Vec<f32> {
    let (group, embedding) = (sizes.group(), sizes.embedding);
    let (len, row) = (
        sizes.groups * sizes.positions * embedding,
        2 * sizes.features,
    );
    sizes.check(len, weight.len(), dy.len());
    let halves = |g: usize| [g * group, sizes.features + g * group];
    let weights: Vec<Panels> = (0..sizes.groups)
        .map(|g| {
            Panels::new([2, group, embedding], |k, n| {
                weight[(halves(g)[k / group] + k % group) * embedding + n]
            })
        })
        .collect();
    let parts = [sizes.positions * embedding, CHUNK * embedding];
    filled(len, parts, |g, part, dphi| {
        let rows = dphi.len() / embedding;
        let y = OutputMatrix {
            data: dphi,
            row_stride: embedding,
            rows,
            columns: embedding,
        };
        let x = Rows {
            data: &dy[part * CHUNK * row..],
            stride: row,
        };
        weights[g].multiply(x, &halves(g), Init::Zero, y);
    })
}

/// Computes the gradient of [`project`] with respect to `weight` from the gradient of the gates.
///
/// # Shapes
///
/// - `phi`: `[groups, positions, embedding]`
/// - `dy`: `[positions, 2 * features]`
/// - output: `[2, features, embedding]`
///
/// # Panics
///
/// Panics if a slice does not fit.
pub fn projection_weight_gradient(sizes: ProjectionShape, phi: &[f32], dy: &[f32]) -> Vec<f32> {
    let (group, embedding) = (sizes.group(), sizes.embedding);
    let mut dw = vec![0.0; 2 * sizes.features * embedding];
    sizes.check(phi.len(), dw.len(), dy.len());
    let padded = pad_columns(phi, embedding);
    let phi = padded.as_deref().unwrap_or(phi);
    let phi_row = embedding.next_multiple_of(PANEL_WIDTH);
    dw.par_chunks_mut(group * embedding)
        .enumerate()
        .for_each(|(part, dw)| {
            let (g, row) = (part % sizes.groups, 2 * sizes.features);
            for first in (0..sizes.positions).step_by(CHUNK) {
                let last = (first + CHUNK).min(sizes.positions);
                batch_reduce_gemm(
                    LhsBatch {
                        data: dy,
                        offsets: &[first * row + part * group],
                        row_stride: 1,
                        depth_stride: row,
                    },
                    RhsPanels {
                        data: phi,
                        offsets: &[(g * sizes.positions + first) * phi_row],
                        depth_stride: phi_row,
                        panel_stride: PANEL_WIDTH,
                    },
                    last - first,
                    Init::Output,
                    OutputMatrix {
                        data: dw,
                        row_stride: embedding,
                        rows: group,
                        columns: embedding,
                    },
                );
            }
        });
    dw
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::testing::{distance, values};

    proptest! {
        #[test]
        fn projections_and_their_gradients_equal_the_sums(
            (positions, groups, embedding, group) in (1..600usize, 1..4usize, 1..40usize, 1..20usize),
            seed in any::<u32>(),
        ) {
            let features = groups * group;
            let sizes = ProjectionShape { positions, groups, embedding, features };
            let phi = values(seed, groups * positions * embedding);
            let weight = values(seed ^ 1, 2 * features * embedding);
            let mut gates = values(seed ^ 2, positions * 2 * features);
            let dy = values(seed ^ 3, gates.len());
            let mut expected = gates.clone();
            let mut dphi = vec![0.0; phi.len()];
            let mut dw = vec![0.0; weight.len()];
            for position in 0..positions {
                for row in 0..2 * features {
                    let g = row % features / group;
                    let gate = position * 2 * features + row;
                    for e in 0..embedding {
                        let phi_at = (g * positions + position) * embedding + e;
                        let w_at = row * embedding + e;
                        expected[gate] += phi[phi_at] * weight[w_at];
                        dphi[phi_at] += dy[gate] * weight[w_at];
                        dw[w_at] += dy[gate] * phi[phi_at];
                    }
                }
            }
            project(sizes, &phi, &weight, &mut gates);
            prop_assert!(distance(&gates, &expected) < 1e-4);
            prop_assert!(distance(&embedding_gradient(sizes, &weight, &dy), &dphi) < 1e-4);
            prop_assert!(distance(&projection_weight_gradient(sizes, &phi, &dy), &dw) < 5e-4);
        }
    }
}

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;
use crate::features::Features;

/// The number of images that are compared with all others at a time.
const BLOCK: usize = 256;

/// The fractions of each of two sets that lie in the support of the other.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct PrecisionRecall {
    /// The fraction of the generated images that lie in the support of the real ones, in [0, 1].
    pub precision: f64,
    /// The fraction of the real images that lie in the support of the generated ones, in [0, 1].
    pub recall: f64,
    /// The harmonic mean of precision and recall.
    pub f_score: f64,
}

/// Improved precision and recall (Kynkäänniemi et al. 2019, <https://arxiv.org/abs/1904.06991>):
/// an image lies in the support of a set if it is no further from some image of the set than that
/// is from its `neighbours`-th nearest one, usually the third. Distances are in double precision.
///
/// torch-fidelity takes VGG16 features for these two by default; for its figures over Inception
/// features give it `--feature-extractor inception-v3-compat`.
///
/// # Errors
///
/// [`EvalError::Shape`] if the sets have other features, [`EvalError::TooFew`] with no more images
/// than neighbours, [`EvalError::Option`] for no neighbours, [`EvalError::NotFinite`].
pub fn precision_recall(
    generated: &Features,
    real: &Features,
    neighbours: usize,
) -> Result<PrecisionRecall, EvalError> {
    generated.same_dims(real)?;
    generated.finite()?;
    real.finite()?;
    if neighbours == 0 {
        return Err(EvalError::Option {
            name: "neighbours",
            range: "at least 1",
        });
    }
    let given = generated.len().min(real.len());
    if given <= neighbours {
        return Err(EvalError::TooFew {
            score: "precision and recall",
            least: neighbours + 1,
            given,
            hint: "",
        });
    }
    let precision = covered(generated, &Support::new(real, neighbours));
    let recall = covered(real, &Support::new(generated, neighbours));
    Ok(PrecisionRecall {
        precision,
        recall,
        f_score: 2.0 * precision * recall / (precision + recall).max(1e-5),
    })
}

/// Balls around the images of a set.
struct Support<'a> {
    features: &'a Features,
    /// The squares of the radii.
    radii: Vec<f64>,
}

impl<'a> Support<'a> {
    fn new(features: &'a Features, neighbours: usize) -> Self {
        let radii = over_blocks(features, features, |row| {
            // The image itself is its nearest one.
            *row.select_nth_unstable_by(neighbours, f64::total_cmp).1
        });
        Self { features, radii }
    }
}

/// The fraction of the images that lie in a ball.
fn covered(features: &Features, support: &Support<'_>) -> f64 {
    let inside = over_blocks(features, support.features, |row| {
        row.iter()
            .zip(&support.radii)
            .any(|(d, radius)| d <= radius)
    });
    inside.iter().filter(|inside| **inside).count() as f64 / features.len() as f64
}

/// Gives `evaluate` the squared distances from each image of `a` to all of `b`.
fn over_blocks<T: Send>(
    a: &Features,
    b: &Features,
    evaluate: impl Fn(&mut [f64]) -> T + Sync,
) -> Vec<T> {
    let norms = |features: &Features| -> Vec<f64> {
        let square = |x: &f32| f64::from(*x).powi(2);
        let norm = |i| features.row(i).iter().map(square).sum();
        (0..features.len()).map(norm).collect()
    };
    let (a_norms, b_norms) = (norms(a), norms(b));
    let blocks: Vec<usize> = (0..a.len()).step_by(BLOCK).collect();
    let evaluated: Vec<Vec<T>> = blocks
        .into_par_iter()
        .map(|start| {
            let count = BLOCK.min(a.len() - start);
            let rows = a.rows(start..start + count);
            // By columns of faer, a column for each image of the block.
            let mut distances = Mat::<f64>::zeros(b.len(), count);
            for other in (0..b.len()).step_by(BLOCK) {
                let others = BLOCK.min(b.len() - other);
                let part = distances.as_mut().submatrix_mut(other, 0, others, count);
                let columns = b.rows(other..other + others);
                matmul(
                    part,
                    Accum::Replace,
                    columns,
                    rows.transpose(),
                    -2.0,
                    Par::Seq,
                );
            }
            (0..count)
                .map(|i| {
                    let norm = a_norms[start + i];
                    let column = distances.col_as_slice_mut(i);
                    for (d, other) in column.iter_mut().zip(&b_norms) {
                        *d += norm + other;
                    }
                    evaluate(column)
                })
                .collect()
        })
        .collect();
    evaluated.into_iter().flatten().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn line(points: &[f32]) -> Features {
        Features::new(points.to_vec(), 1).unwrap()
    }

    #[test]
    fn an_image_counts_where_a_ball_reaches_it() {
        let real = line(&[0.0, 1.0, 3.0]);
        let generated = line(&[-3.5, 5.0, 10.0]);
        // Radii to the second neighbour of the real: 3, 2, 3: they cover -3 to 6.
        // Of the generated: 13.5, 8.5, 13.5: they cover everything from -17 on.
        let found = precision_recall(&generated, &real, 2).unwrap();
        assert_eq!(found.precision, 1.0 / 3.0);
        assert_eq!(found.recall, 1.0);
        assert_eq!(found.f_score, 0.5);
    }

    #[test]
    fn a_set_covers_itself_and_nothing_far_away() {
        let points: Vec<f32> = (0..600).map(|i| (i * i % 613) as f32).collect();
        let set = line(&points);
        let far = line(&points.iter().map(|x| x + 1e4).collect::<Vec<_>>());
        let found = precision_recall(&set, &set, 3).unwrap();
        assert_eq!((found.precision, found.recall), (1.0, 1.0));
        let found = precision_recall(&far, &set, 3).unwrap();
        assert_eq!(
            (found.precision, found.recall, found.f_score),
            (0.0, 0.0, 0.0)
        );
    }

    #[test]
    fn as_many_images_as_neighbours_are_too_few() {
        let set = line(&[0.0, 1.0, 2.0]);
        let error = precision_recall(&set, &set, 3).unwrap_err();
        assert!(
            matches!(error, EvalError::TooFew { least: 4, .. }),
            "{error}"
        );
    }
}

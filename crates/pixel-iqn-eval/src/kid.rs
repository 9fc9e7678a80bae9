use burn::config::Config;
use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, Par};
use rayon::prelude::*;

use crate::error::EvalError;
use crate::features::Features;
use crate::inception_score::MeanAndStd;
use crate::shuffle::Permutations;

/// How a [`kernel_inception_distance`] is computed. The defaults are torch-fidelity's.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct KidOptions {
    /// Pairs of subsets whose distances are averaged, at least 1.
    #[config(default = 100)]
    pub subsets: usize,
    /// Images in a subset, at least 2.
    #[config(default = 1000)]
    pub subset_size: usize,
    /// Seed of the subsets, which are NumPy's.
    #[config(default = 2020)]
    pub seed: u32,
}

impl Default for KidOptions {
    fn default() -> Self {
        Self::new()
    }
}

/// The kernel Inception distance (Bińkowski et al. 2018, <https://arxiv.org/abs/1801.01401>): the
/// squared maximum mean discrepancy under the kernel `(x · y / dims + 1)³`, unbiased, so that it
/// may be slightly negative; averaged over pairs of subsets. In double precision throughout.
///
/// # Errors
///
/// [`EvalError::Shape`] if the sets have other features, [`EvalError::Option`] for an option out
/// of range, [`EvalError::TooFew`] with fewer images than a subset, [`EvalError::NotFinite`].
pub fn kernel_inception_distance(
    a: &Features,
    b: &Features,
    options: KidOptions,
) -> Result<MeanAndStd, EvalError> {
    let KidOptions {
        subsets,
        subset_size,
        seed,
    } = options;
    a.same_dims(b)?;
    a.finite()?;
    b.finite()?;
    for (ok, name, range) in [
        (subsets > 0, "subsets", "at least 1"),
        (subset_size > 1, "subset size", "at least 2"),
    ] {
        if !ok {
            return Err(EvalError::Option { name, range });
        }
    }
    let given = a.len().min(b.len());
    if given < subset_size {
        return Err(EvalError::TooFew {
            score: "KID",
            least: subset_size,
            given,
            hint: ": choose a smaller subset size",
        });
    }
    let mut permutations = Permutations::new(seed);
    let mut draw = |count| {
        let mut order = permutations.next(count);
        order.truncate(subset_size);
        order
    };
    let pairs: Vec<_> = (0..subsets)
        .map(|_| (draw(a.len()), draw(b.len())))
        .collect();
    let distances: Vec<f64> = pairs
        .into_par_iter()
        .map(|(first, second)| discrepancy(&a.rows(first.into_iter()), &b.rows(second.into_iter())))
        .collect();
    Ok(MeanAndStd::of(&distances))
}

/// The unbiased squared maximum mean discrepancy of two sets of as many images.
fn discrepancy(x: &Mat<f64>, y: &Mat<f64>) -> f64 {
    let count = x.nrows() as f64;
    let within = |x: &Mat<f64>| {
        let kernel = kernel(x, x);
        let diagonal: f64 = kernel.diagonal().column_vector().iter().sum();
        kernel.sum() - diagonal
    };
    (within(x) + within(y)) / (count * (count - 1.0)) - 2.0 * kernel(x, y).sum() / count.powi(2)
}

fn kernel(x: &Mat<f64>, y: &Mat<f64>) -> Mat<f64> {
    let mut kernel = Mat::full(x.nrows(), y.nrows(), 1.0);
    let scale = 1.0 / x.ncols() as f64;
    matmul(
        kernel.as_mut(),
        Accum::Add,
        x,
        y.transpose(),
        scale,
        Par::Seq,
    );
    for column in kernel.col_iter_mut() {
        for value in column.iter_mut() {
            *value = value.powi(3);
        }
    }
    kernel
}

#[cfg(test)]
mod tests {
    use super::*;

    fn features(values: &[f32]) -> Features {
        Features::new(values.to_vec(), 1).unwrap()
    }

    #[test]
    fn is_the_unbiased_discrepancy() {
        // k(x, y) = (x y + 1)³; the subsets are all there is.
        let (a, b) = (features(&[0.0, 1.0, 2.0]), features(&[1.0, 3.0, 5.0]));
        let k = |x: f64, y: f64| (x * y + 1.0).powi(3);
        let within_a = 2.0 * (k(0., 1.) + k(0., 2.) + k(1., 2.)) / 6.0;
        let within_b = 2.0 * (k(1., 3.) + k(1., 5.) + k(3., 5.)) / 6.0;
        let across: f64 = [0., 1., 2.]
            .map(|x| [1., 3., 5.].map(|y| k(x, y)).iter().sum::<f64>())
            .iter()
            .sum();
        let options = KidOptions {
            subsets: 3,
            subset_size: 3,
            seed: 1,
        };
        let kid = kernel_inception_distance(&a, &b, options).unwrap();
        let expected = within_a + within_b - 2.0 * across / 9.0;
        assert!(
            (kid.mean - expected).abs() < 1e-9 && kid.std < 1e-9,
            "{kid:?} {expected}"
        );
    }

    #[test]
    fn what_has_no_distance_is_refused() {
        let (a, b) = (features(&[0.0; 5]), features(&[0.0; 3]));
        let options = |subsets, subset_size| KidOptions {
            subsets,
            subset_size,
            seed: 0,
        };
        let run = |options| kernel_inception_distance(&a, &b, options).unwrap_err();
        assert!(matches!(
            run(options(1, 4)),
            EvalError::TooFew { given: 3, .. }
        ));
        assert!(matches!(run(options(0, 2)), EvalError::Option { .. }));
        assert!(matches!(run(options(1, 1)), EvalError::Option { .. }));
    }
}

//! Fréchet distance: Heusel et al., "GANs Trained by a Two Time-Scale Update Rule Converge to a
//! Local Nash Equilibrium", NeurIPS 2017, <https://arxiv.org/abs/1706.08500>.

use std::path::Path;

use faer::linalg::matmul::matmul;
use faer::{Accum, Mat, MatRef, Par, Side};
use pixel_iqn_data::{NpzArray, read_npz, write_npz_with_comment};

use crate::error::EvalError;
use crate::features::Features;

/// Mean and covariance of features, in double precision.
///
/// They grow by [`push`](Self::push), so that the features of no more than a batch are ever in
/// memory, and the statistics of parts of a set [merge](Self::merge) into those of the whole.
#[derive(Debug, Clone, PartialEq)]
pub struct GaussianStatistics {
    /// The number of images; `None` where a file did not say.
    count: Option<usize>,
    /// `[dims]`
    mean: Vec<f64>,
    /// `[dims, dims]`: the sum of the outer products of the deviations from the mean, or where
    /// `count` is not known, the covariance.
    scatter: Mat<f64>,
}

impl GaussianStatistics {
    /// The statistics of no image, with `dims` features.
    pub fn new(dims: usize) -> Self {
        Self {
            count: Some(0),
            mean: vec![0.0; dims],
            scatter: Mat::zeros(dims, dims),
        }
    }

    /// The statistics of the images behind `features`.
    ///
    /// # Errors
    ///
    /// Fails where [`push`](Self::push) does.
    pub fn of(features: &Features) -> Result<Self, EvalError> {
        let mut statistics = Self::new(features.dims());
        statistics.push(features)?;
        Ok(statistics)
    }

    /// Takes a mean, `[dims]`, and a covariance, `[dims, dims]` in rows, that are known.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] where the sizes do not fit, [`EvalError::NotFinite`].
    pub fn from_moments(mean: Vec<f64>, covariance: &[f64]) -> Result<Self, EvalError> {
        let dims = mean.len();
        if dims == 0 || covariance.len() != dims * dims {
            return Err(EvalError::Shape(format!(
                "{} numbers are no covariance of {dims} features",
                covariance.len()
            )));
        }
        if !mean.iter().chain(covariance).all(|x| x.is_finite()) {
            return Err(EvalError::NotFinite("mean or covariance"));
        }
        Ok(Self {
            count: None,
            mean,
            scatter: Mat::from_fn(dims, dims, |i, j| covariance[i * dims + j]),
        })
    }

    /// The number of images behind the statistics; `None` where a file did not say.
    pub fn count(&self) -> Option<usize> {
        self.count
    }

    /// The mean, `[dims]`.
    pub fn mean(&self) -> &[f64] {
        &self.mean
    }

    /// The unbiased covariance, `[dims, dims]` in rows.
    ///
    /// # Errors
    ///
    /// [`EvalError::TooFew`] with fewer than two images.
    pub fn covariance(&self) -> Result<Vec<f64>, EvalError> {
        let matrix = self.covariance_matrix()?;
        let dims = self.mean.len();
        let values = (0..dims * dims).map(|i| matrix[(i / dims, i % dims)]);
        Ok(values.collect())
    }

    /// The unbiased covariance, as [`covariance`](Self::covariance).
    fn covariance_matrix(&self) -> Result<Mat<f64>, EvalError> {
        match self.count {
            None => Ok(self.scatter.clone()),
            Some(count) if count >= 2 => Ok(&self.scatter * faer::Scale(1.0 / (count - 1) as f64)),
            Some(given) => Err(EvalError::TooFew {
                score: "a covariance",
                least: 2,
                given,
                hint: "",
            }),
        }
    }

    /// Adds images.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] if they have other features, [`EvalError::NotFinite`], or as
    /// [`merge`](Self::merge).
    pub fn push(&mut self, features: &Features) -> Result<(), EvalError> {
        /// Rows that go into double precision at a time.
        const ROWS: usize = 1024;
        features.finite()?;
        for start in (0..features.len()).step_by(ROWS) {
            let count = ROWS.min(features.len() - start);
            let mut rows = features.rows(start..start + count);
            let mut mean = vec![0.0; features.dims()];
            for (mean, column) in mean.iter_mut().zip(rows.col_iter_mut()) {
                *mean = column.as_ref().sum() / count as f64;
                for x in column.iter_mut() {
                    *x -= *mean;
                }
            }
            self.merge(&Self {
                count: Some(count),
                scatter: product(rows.transpose(), rows.as_ref()),
                mean,
            })?;
        }
        Ok(())
    }

    /// Adds the images behind other statistics (Chan, Golub and LeVeque 1983).
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] if they have other features, or if it is not known how many images are
    /// behind one of the two.
    pub fn merge(&mut self, other: &Self) -> Result<(), EvalError> {
        self.same_dims(other)?;
        let (Some(a), Some(b)) = (self.count, other.count) else {
            return Err(EvalError::Shape(
                "statistics merge only where the number of images is known: save them with this \
                 crate, not with pytorch-fid"
                    .to_owned(),
            ));
        };
        if b == 0 {
            return Ok(());
        }
        let total = (a + b) as f64;
        let shift = Mat::from_fn(self.mean.len(), 1, |i, _| other.mean[i] - self.mean[i]);
        let weight = a as f64 * b as f64 / total;
        self.scatter += &other.scatter;
        self.scatter += product(shift.as_ref(), shift.transpose()) * faer::Scale(weight);
        for (mean, other) in self.mean.iter_mut().zip(&other.mean) {
            *mean += (other - *mean) * (b as f64 / total);
        }
        self.count = Some(a + b);
        Ok(())
    }

    /// Writes `mu`, `[dims]`, and `sigma`, `[dims, dims]`, as pytorch-fid does, and `count` beside
    /// them, which it does not read.
    ///
    /// # Errors
    ///
    /// [`EvalError::Data`] where the file cannot be written, or as
    /// [`covariance`](Self::covariance).
    pub fn save(&self, path: impl AsRef<Path>) -> Result<(), EvalError> {
        self.save_with(path.as_ref(), "")
    }

    /// Writes the file with a comment of the archive.
    pub(crate) fn save_with(&self, path: &Path, comment: &str) -> Result<(), EvalError> {
        let covariance = self.covariance()?;
        let dims = self.mean.len();
        let mu = NpzArray {
            shape: vec![dims],
            values: self.mean.clone(),
        };
        let sigma = NpzArray {
            shape: vec![dims, dims],
            values: covariance,
        };
        let count = self.count.map(|count| NpzArray {
            shape: vec![1],
            values: vec![count as f64],
        });
        let mut arrays = vec![("mu", &mu), ("sigma", &sigma)];
        arrays.extend(count.iter().map(|count| ("count", count)));
        Ok(write_npz_with_comment(path, &arrays, comment)?)
    }

    /// Reads what [`save`](Self::save) or pytorch-fid wrote.
    ///
    /// # Errors
    ///
    /// [`EvalError::Data`] where the file cannot be read, and [`EvalError::Statistics`] where an
    /// array is missing or does not fit.
    pub fn load(path: impl AsRef<Path>) -> Result<Self, EvalError> {
        let path = path.as_ref();
        let bad = |problem: String| EvalError::Statistics {
            path: path.to_owned(),
            problem,
        };
        let [mu, sigma, count] = read_npz(path, ["mu", "sigma", "count"])?;
        let (Some(mu), Some(sigma)) = (mu, sigma) else {
            return Err(bad("it needs the arrays `mu` and `sigma`".to_owned()));
        };
        let dims = mu.values.len();
        if mu.shape != [dims] || sigma.shape != [dims, dims] {
            return Err(bad(format!(
                "`mu` is {:?} and `sigma` {:?}, not [N] and [N, N]",
                mu.shape, sigma.shape
            )));
        }
        let mut statistics =
            Self::from_moments(mu.values, &sigma.values).map_err(|error| bad(error.to_string()))?;
        if let Some([count]) = count.as_ref().map(|count| &count.values[..])
            && *count >= 2.0
        {
            statistics.count = Some(*count as usize);
            statistics.scatter *= faer::Scale(count - 1.0);
        }
        Ok(statistics)
    }

    fn same_dims(&self, other: &Self) -> Result<(), EvalError> {
        if self.mean.len() == other.mean.len() {
            return Ok(());
        }
        Err(EvalError::Shape(format!(
            "one set has {} features, the other {}",
            self.mean.len(),
            other.mean.len()
        )))
    }
}

/// The Fréchet distance between the Gaussians with these statistics, squared as it is published:
///
/// ```text
/// |μ₁ - μ₂|² + tr Σ₁ + tr Σ₂ - 2 tr (Σ₁ Σ₂)^½
/// ```
///
/// Over features of Inception v3 it is the FID. The last trace is the sum of the singular values
/// of `Σ₁^½ Σ₂^½`, which keeps its digits where the covariances are singular (fewer images than
/// features), other than the root of the product itself. A distance is not negative: what rounding makes
/// less than 0 counts as 0.
///
/// # Errors
///
/// [`EvalError::Shape`] if they have other features, [`EvalError::TooFew`] with fewer than two
/// images behind one of them, [`EvalError::NotFinite`] where a decomposition fails.
pub fn frechet_distance(a: &GaussianStatistics, b: &GaussianStatistics) -> Result<f64, EvalError> {
    a.same_dims(b)?;
    let (first, second) = (a.covariance_matrix()?, b.covariance_matrix()?);
    let shift: f64 = a
        .mean
        .iter()
        .zip(&b.mean)
        .map(|(a, b)| (a - b).powi(2))
        .sum();
    let traces = trace(&first) + trace(&second);
    let roots = product(
        square_root(&first)?.as_ref(),
        square_root(&second)?.as_ref(),
    );
    let singular = roots.singular_values();
    let singular = singular.map_err(|_| EvalError::NotFinite("covariances"))?;
    let distance = shift + traces - 2.0 * singular.iter().sum::<f64>();
    // Not `max`, which would make 0 of what is no number.
    Ok(if distance < 0.0 { 0.0 } else { distance })
}

fn trace(matrix: &Mat<f64>) -> f64 {
    matrix.diagonal().column_vector().iter().sum()
}

fn product(a: MatRef<'_, f64>, b: MatRef<'_, f64>) -> Mat<f64> {
    let mut out = Mat::zeros(a.nrows(), b.ncols());
    matmul(out.as_mut(), Accum::Replace, a, b, 1.0, Par::rayon(0));
    out
}

/// The symmetric root of a covariance. Eigenvalues that rounding alone makes count as 0.
fn square_root(covariance: &Mat<f64>) -> Result<Mat<f64>, EvalError> {
    let eigen = covariance.self_adjoint_eigen(Side::Lower);
    let eigen = eigen.map_err(|_| EvalError::NotFinite("covariances"))?;
    let (vectors, values) = (eigen.U(), eigen.S().column_vector());
    let largest = values.iter().fold(0.0f64, |max, v| max.max(*v));
    let least = largest * f64::EPSILON * covariance.nrows() as f64;
    let scaled = Mat::from_fn(vectors.nrows(), vectors.ncols(), |i, j| {
        let value = values[j];
        vectors[(i, j)] * if value > least { value.sqrt() } else { 0.0 }
    });
    Ok(product(scaled.as_ref(), vectors.transpose()))
}

#[cfg(test)]
mod tests {
    use pixel_iqn_data::write_npz;
    use proptest::prelude::*;

    use super::*;

    /// Correlated features.
    fn features(seed: u64, count: usize, dims: usize) -> Features {
        let noise = pixel_iqn_core::Noise::new(seed);
        let data = (0..count).flat_map(|image| {
            let mut row = noise.uniform(image as u64, dims);
            for i in 1..dims {
                row[i] = 0.5 * row[i] + row[i - 1] * row[0];
            }
            row
        });
        Features::new(data.collect(), dims).unwrap()
    }

    fn of(features: &Features) -> GaussianStatistics {
        GaussianStatistics::of(features).unwrap()
    }

    #[test]
    fn statistics_are_mean_and_unbiased_covariance() {
        let features = Features::new(vec![1.0, 2.0, 3.0, 6.0, 5.0, 1.0], 2).unwrap();
        let statistics = of(&features);
        assert_eq!(statistics.mean(), [3.0, 3.0]);
        let covariance = statistics.covariance().unwrap();
        let expected = [[4.0, -1.0], [-1.0, 7.0]];
        for (i, row) in expected.iter().enumerate() {
            for (j, x) in row.iter().enumerate() {
                assert!((covariance[i * 2 + j] - x).abs() < 1e-12);
            }
        }
        let one = of(&Features::new(vec![1.0], 1).unwrap());
        assert!(matches!(
            one.covariance(),
            Err(EvalError::TooFew { given: 1, .. })
        ));
    }

    proptest! {
        #[test]
        fn parts_merge_into_the_whole(cuts in prop::collection::vec(0..40usize, 0..4)) {
            let whole = features(3, 40, 5);
            let mut ends = cuts;
            ends.sort_unstable();
            ends.push(40);
            let mut merged = GaussianStatistics::new(5);
            let mut start = 0;
            for end in ends {
                let part = whole.data()[start * 5..end * 5].to_vec();
                merged.merge(&of(&Features::new(part, 5).unwrap())).unwrap();
                start = end;
            }
            let expected = of(&whole);
            prop_assert_eq!(merged.count(), Some(40));
            let distance = frechet_distance(&merged, &expected).unwrap();
            prop_assert!(distance.abs() < 1e-12, "{}", distance);
            let (ours, theirs) = (merged.covariance_matrix(), expected.covariance_matrix());
            let difference = (ours.unwrap() - theirs.unwrap()).norm_max();
            prop_assert!(difference < 1e-14);
        }

        /// Diagonal covariances commute: the distance is that of the axes.
        #[test]
        fn of_diagonal_covariances_it_is_a_sum(
            axes in prop::collection::vec((-2.0..2.0f64, -2.0..2.0f64, 0.0..3.0f64, 0.0..3.0f64), 1..8),
        ) {
            let n = axes.len();
            let diagonal = |spread: &dyn Fn(usize) -> f64| -> Vec<f64> {
                (0..n * n).map(|i| if i / n == i % n { spread(i / n).powi(2) } else { 0.0 }).collect()
            };
            let a = axes.iter().map(|axis| axis.0).collect();
            let b = axes.iter().map(|axis| axis.1).collect();
            let a = GaussianStatistics::from_moments(a, &diagonal(&|i| axes[i].2)).unwrap();
            let b = GaussianStatistics::from_moments(b, &diagonal(&|i| axes[i].3)).unwrap();
            let expected: f64 = axes.iter().map(|x| (x.0 - x.1).powi(2) + (x.2 - x.3).powi(2)).sum();
            // The distance has square roots of the eigenvalues of a product, which are off by the rounding
            // of its largest ones: those near zero lose digits.
            let largest = |spread: fn(&(f64, f64, f64, f64)) -> f64| {
                axes.iter().map(spread).fold(0.0, f64::max).powi(2)
            };
            let rounding = 1e-14 * largest(|axis| axis.2) * largest(|axis| axis.3);
            let off = |value: f64| 2.0 * ((value * value + rounding).sqrt() - value);
            let bound = 1e-12 + axes.iter().map(|axis| off(axis.2 * axis.3)).sum::<f64>();
            prop_assert!((frechet_distance(&a, &b).unwrap() - expected).abs() < bound);
        }
    }

    #[test]
    fn fewer_images_than_features_keep_their_digits() {
        // In the space of the images' own deviations, where nothing is singular, the trace is the
        // sum of the singular values of X Yᵀ / (n - 1).
        let (a, b) = (features(1, 6, 40), features(2, 6, 40));
        let distance = frechet_distance(&of(&a), &of(&b)).unwrap();
        let centred = |features: &Features| {
            let rows = features.rows(0..6);
            let mean = of(features);
            Mat::from_fn(6, 40, |i, j| rows[(i, j)] - mean.mean()[j])
        };
        let (x, y) = (centred(&a), centred(&b));
        let cross = product(x.as_ref(), y.transpose())
            .singular_values()
            .unwrap();
        let shift: f64 = of(&a)
            .mean()
            .iter()
            .zip(of(&b).mean())
            .map(|(a, b)| (a - b).powi(2))
            .sum();
        let traces = (x.squared_norm_l2() + y.squared_norm_l2()) / 5.0;
        let expected = shift + traces - 2.0 * cross.iter().sum::<f64>() / 5.0;
        assert!(
            (distance - expected).abs() < 1e-10 * expected,
            "{distance} {expected}"
        );
    }

    #[test]
    fn no_distance_is_negative() {
        for seed in 0..20 {
            let statistics = of(&features(seed, 30, 12));
            assert!(frechet_distance(&statistics, &statistics).unwrap() >= 0.0);
        }
    }

    #[test]
    fn saved_statistics_come_back_and_merge() {
        let root = tempfile::tempdir().unwrap();
        let path = root.path().join("stats.npz");
        let statistics = of(&features(1, 20, 3));
        statistics.save(&path).unwrap();
        let mut loaded = GaussianStatistics::load(&path).unwrap();
        assert_eq!(loaded.mean(), statistics.mean());
        assert!(frechet_distance(&loaded, &statistics).unwrap().abs() < 1e-12);
        loaded.merge(&statistics).unwrap();
        assert_eq!(loaded.count(), Some(40));

        // As pytorch-fid writes: no count.
        let array = |shape: &[usize]| NpzArray {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        write_npz(&path, &[("mu", &array(&[2])), ("sigma", &array(&[2, 2]))]).unwrap();
        let mut foreign = GaussianStatistics::load(&path).unwrap();
        let copy = foreign.clone();
        assert!(
            foreign
                .merge(&copy)
                .unwrap_err()
                .to_string()
                .contains("pytorch-fid")
        );

        write_npz(&path, &[("mu", &array(&[2])), ("sigma", &array(&[2, 3]))]).unwrap();
        let error = GaussianStatistics::load(&path).unwrap_err();
        assert!(matches!(error, EvalError::Statistics { .. }), "{error}");
        write_npz(&path, &[("mu", &array(&[2]))]).unwrap();
        let error = GaussianStatistics::load(&path).unwrap_err();
        assert!(error.to_string().contains("`sigma`"), "{error}");
    }

    #[test]
    fn other_features_are_refused() {
        let (a, b) = (of(&features(1, 5, 3)), of(&features(1, 5, 4)));
        assert!(matches!(frechet_distance(&a, &b), Err(EvalError::Shape(_))));
        let nan = Features::new(vec![f32::NAN; 3], 1).unwrap();
        assert!(matches!(
            GaussianStatistics::of(&nan),
            Err(EvalError::NotFinite(_))
        ));
    }
}

use crate::error::EvalError;

/// Features of images, a row for each image.
#[derive(Debug, Clone, PartialEq)]
pub struct Features {
    data: Vec<f32>,
    dims: usize,
}

impl Features {
    /// Features, `[count, dims]`, in rows.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] if `dims` is 0 or the numbers are no whole rows.
    pub fn new(data: Vec<f32>, dims: usize) -> Result<Self, EvalError> {
        if dims == 0 || !data.len().is_multiple_of(dims) {
            return Err(EvalError::Shape(format!(
                "{} numbers are no rows of {dims} features",
                data.len()
            )));
        }
        Ok(Self { data, dims })
    }

    /// The number of images.
    pub fn len(&self) -> usize {
        self.data.len() / self.dims
    }

    /// Whether there are no images.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty()
    }

    /// Features of an image.
    pub fn dims(&self) -> usize {
        self.dims
    }

    /// All numbers, `[count, dims]`.
    pub fn data(&self) -> &[f32] {
        &self.data
    }

    /// The features of one image, `[dims]`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn row(&self, index: usize) -> &[f32] {
        &self.data[index * self.dims..][..self.dims]
    }

    /// Adds the images of another set after those of this one.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] if they have other features.
    pub fn extend(&mut self, other: &Self) -> Result<(), EvalError> {
        self.same_dims(other)?;
        self.data.extend_from_slice(&other.data);
        Ok(())
    }

    pub(crate) fn same_dims(&self, other: &Self) -> Result<(), EvalError> {
        if self.dims == other.dims {
            return Ok(());
        }
        Err(EvalError::Shape(format!(
            "one set has {} features, the other {}",
            self.dims, other.dims
        )))
    }

    /// Refuses what no score can be computed from.
    pub(crate) fn finite(&self) -> Result<(), EvalError> {
        if self.data.iter().all(|x| x.is_finite()) {
            Ok(())
        } else {
            Err(EvalError::NotFinite("features"))
        }
    }

    /// Some rows in double precision, as a matrix.
    pub(crate) fn rows(&self, indices: impl ExactSizeIterator<Item = usize>) -> faer::Mat<f64> {
        let mut matrix = faer::Mat::zeros(indices.len(), self.dims);
        for (i, index) in indices.enumerate() {
            for (j, x) in self.row(index).iter().enumerate() {
                matrix[(i, j)] = f64::from(*x);
            }
        }
        matrix
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rows_are_images() {
        let mut features = Features::new(vec![1.0, 2.0, 3.0, 4.0], 2).unwrap();
        features
            .extend(&Features::new(vec![5.0, 6.0], 2).unwrap())
            .unwrap();
        assert_eq!((features.len(), features.row(2)), (3, &[5.0, 6.0][..]));
        let matrix = features.rows([2, 0].into_iter());
        assert_eq!((matrix[(0, 1)], matrix[(1, 0)]), (6.0, 1.0));
        assert!(Features::new(vec![1.0; 3], 2).is_err());
        assert!(Features::new(vec![], 0).is_err());
        assert!(
            features
                .extend(&Features::new(vec![1.0], 1).unwrap())
                .is_err()
        );
        assert!(features.finite().is_ok());
        assert!(Features::new(vec![f32::NAN], 1).unwrap().finite().is_err());
    }
}

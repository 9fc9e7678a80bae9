/// The largest absolute difference that is allowed for outputs and losses.
pub const MAX_ABS: f64 = 1e-4;
/// The largest relative difference that is allowed for gradients.
pub const MAX_REL_GRAD: f64 = 1e-3;
/// The largest fraction of the values of sampled images that may have another intensity level.
///
/// Where a prediction is near the border between two levels, backends that round differently choose
/// different levels, and later values depend on the choice. Equal images cannot be required of
/// them. The limit is our choice.
pub const MAX_UNEQUAL: f64 = 0.01;

/// The largest differences from the vectors of a case.
#[derive(Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Differences {
    /// The largest absolute difference of the model's output.
    pub output: f64,
    /// The absolute difference of the loss.
    pub loss: f64,
    /// The largest relative difference of a gradient: for each weight tensor, the largest
    /// difference over the largest absolute value of its gradient.
    pub grad: f64,
    /// The fraction of values with another intensity level in the images of the naive or the
    /// incremental sampler, whichever is larger; `None` for a case without images.
    pub unequal: Option<f64>,
}

impl Differences {
    /// Whether all differences are within [`MAX_ABS`], [`MAX_REL_GRAD`] and [`MAX_UNEQUAL`].
    pub fn ok(&self) -> bool {
        self.output <= MAX_ABS
            && self.loss <= MAX_ABS
            && self.grad <= MAX_REL_GRAD
            && self.unequal.is_none_or(|fraction| fraction <= MAX_UNEQUAL)
    }
}

//! Checks of image sizes, before anything is allocated by them.

use crate::error::{Result, option};

/// Checks the size and channels of square images where both are free.
pub(crate) fn check_image_options(size: usize, channels: usize) -> Result<()> {
    match (size, channels) {
        (1..=4096, 1 | 3) => Ok(()),
        (1..=4096, _) => Err(option("channels", channels, "1 or 3")),
        _ => Err(option("size", size, "from 1 to 4096")),
    }
}

/// Computes the product of the dimensions, or `None` where it does not fit.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1, |count: usize, &dim| count.checked_mul(dim))
}

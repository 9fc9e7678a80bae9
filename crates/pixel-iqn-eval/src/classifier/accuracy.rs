use serde::{Deserialize, Serialize};

/// How many images were classified right, with a 95% interval of their fraction.
///
/// The interval is that of Wilson (1927), which keeps its ends in [0, 1] and holds for few images and
/// near 0 and 1. It says how much other images would change the accuracy, not another training.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Accuracy {
    /// The images.
    pub images: usize,
    /// The fraction of images that were classified right.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Accuracy {
    /// The accuracy where `right` of `images` were classified right.
    ///
    /// # Panics
    ///
    /// Panics if there is no image, or more right ones than images.
    pub fn new(right: usize, images: usize) -> Self {
        assert!(images > 0 && right <= images, "{right} of {images} images");
        // The 97.5% quantile of the normal distribution.
        const Z: f64 = 1.959_963_984_540_054;
        let count = images as f64;
        let mean = right as f64 / count;
        let scale = 1.0 / (1.0 + Z * Z / count);
        let middle = scale * (mean + Z * Z / (2.0 * count));
        let variance = mean * (1.0 - mean) / count + Z * Z / (4.0 * count * count);
        let half = scale * Z * variance.sqrt();
        Self {
            images,
            mean,
            low: (middle - half).clamp(0.0, 1.0),
            high: (middle + half).clamp(0.0, 1.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_that_of_wilson() {
        // >>> statsmodels.stats.proportion.proportion_confint(81, 263, method="wilson")
        let accuracy = Accuracy::new(81, 263);
        assert!((accuracy.mean - 81.0 / 263.0).abs() < 1e-12);
        // Newcombe (1998), table I, example (a).
        assert!((accuracy.low - 0.2553).abs() < 5e-5, "{accuracy:?}");
        assert!((accuracy.high - 0.3662).abs() < 5e-5, "{accuracy:?}");
        let none = Accuracy::new(0, 20);
        assert_eq!(none.low, 0.0);
        // Newcombe (1998), table I, example (c).
        assert!((none.high - 0.1611).abs() < 5e-5, "{none:?}");
        assert_eq!(Accuracy::new(7, 7).high, 1.0);
    }
}

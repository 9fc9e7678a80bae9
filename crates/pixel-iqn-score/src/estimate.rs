use pixel_iqn_core::Noise;
use serde::{Deserialize, Serialize};

/// Resamples behind an interval.
const RESAMPLES: usize = 1000;

/// A mean over images with its 95% bootstrap interval.
///
/// The bootstrap resamples whole images, since the values of an image depend on each other
/// (percentile bootstrap, Efron 1979; 1,000 resamples). The interval says how much the mean would
/// differ on other images, not how much another training would change it.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Estimate {
    /// The mean, in the unit of the numbers.
    pub mean: f64,
    /// The lower end of the interval.
    pub low: f64,
    /// The upper end of the interval.
    pub high: f64,
}

impl Estimate {
    /// Estimates the mean of one number for each image; `seed` is that of the resampling.
    ///
    /// # Panics
    ///
    /// Panics if there is no number.
    pub fn of(values: &[f64], seed: u64) -> Self {
        assert!(!values.is_empty(), "a mean needs at least 1 image, not 0");
        let count = values.len();
        let noise = Noise::new(seed ^ u64::from_be_bytes(*b"resample"));
        let mut means: Vec<f64> = (0..RESAMPLES as u64)
            .map(|resample| {
                let draws = noise.uniform(resample, count).into_iter();
                let index = |u: f32| ((f64::from(u) * count as f64) as usize).min(count - 1);
                draws.map(|u| values[index(u)]).sum::<f64>() / count as f64
            })
            .collect();
        means.sort_unstable_by(f64::total_cmp);
        // The ends of the central 95%.
        let tail = RESAMPLES / 40;
        Self {
            mean: values.iter().sum::<f64>() / count as f64,
            low: means[tail],
            high: means[RESAMPLES - 1 - tail],
        }
    }

    /// Estimates the mean of the differences `a - b` on the same images. Each resample draws the
    /// same images for both, so that what makes an image hard for any model cancels.
    ///
    /// # Panics
    ///
    /// Panics if the two are not equally long, or empty.
    pub fn of_differences(a: &[f64], b: &[f64], seed: u64) -> Self {
        assert_eq!(
            a.len(),
            b.len(),
            "differences need the same images on both sides"
        );
        let differences: Vec<f64> = a.iter().zip(b).map(|(a, b)| a - b).collect();
        Self::of(&differences, seed)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_are_as_wide_as_theory_says_and_mostly_right() {
        // Means of 200 uniform numbers have a standard deviation of 1 / sqrt(12 * 200).
        let noise = Noise::new(5);
        let (mut covered, mut width) = (0, 0.0);
        for trial in 0..200 {
            let values: Vec<f64> = noise
                .uniform(trial, 200)
                .into_iter()
                .map(f64::from)
                .collect();
            let estimate = Estimate::of(&values, trial);
            covered += usize::from((estimate.low..=estimate.high).contains(&0.5));
            width += (estimate.high - estimate.low) / 200.0;
        }
        assert!((180..=199).contains(&covered), "{covered}");
        let expected = 2.0 * 1.96 / (12.0f64 * 200.0).sqrt();
        assert!((width / expected - 1.0).abs() < 0.05, "{width} {expected}");
    }

    #[test]
    fn what_two_models_have_in_common_cancels() {
        let a: Vec<f64> = (0..50).map(|i| f64::from(i * i)).collect();
        let b: Vec<f64> = a.iter().map(|x| x + 1.0).collect();
        let difference = Estimate::of_differences(&b, &a, 0);
        assert_eq!(
            (difference.low, difference.mean, difference.high),
            (1.0, 1.0, 1.0)
        );
    }
}

use pixel_iqn_loss::energy_score_fair;
use serde::{Deserialize, Serialize};

/// How good some completions of one image are, whose original is known. Values are in units of the
/// full range of intensity.
///
/// The jump at the seam tells whether a completion fits what it was given: the mean absolute
/// difference between neighbouring pixels of which one is known and one was missing. A completion
/// should have the jump that the original has at the same place.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct CompletionScores {
    /// The energy score of the completions as draws of the vector of all missing values (Gneiting
    /// and Raftery 2007), divided by the square root of their number, so that regions compare. Lower
    /// is better.
    pub energy: f64,
    /// The mean jump at the seam of the completions.
    pub seam: f64,
    /// The jump at the seam of the original.
    pub seam_of_original: f64,
}

impl CompletionScores {
    /// Scores the completions of one image.
    ///
    /// # Shapes
    ///
    /// - `completions`: `[completions, channels, height, width]`, levels from 0 to 255
    /// - `original`: `[channels, height, width]`
    /// - `missing`: `[height, width]`
    ///
    /// # Panics
    ///
    /// Panics if there are fewer than two completions, if nothing is missing, or if a size does not
    /// fit.
    pub fn of(completions: &[u8], original: &[u8], missing: &[bool], width: usize) -> Self {
        let plane = missing.len();
        assert!(
            plane.is_multiple_of(width) && original.len().is_multiple_of(plane),
            "the mask and the images must have one size"
        );
        let of_missing = |image: &[u8]| -> Vec<f64> {
            let values = image.iter().enumerate();
            values
                .filter(|(i, _)| missing[i % plane])
                .map(|(_, &level)| f64::from(level) / 255.0)
                .collect()
        };
        let images: Vec<&[u8]> = completions.chunks_exact(original.len()).collect();
        let samples: Vec<Vec<f64>> = images.iter().map(|image| of_missing(image)).collect();
        let samples: Vec<&[f64]> = samples.iter().map(Vec::as_slice).collect();
        let outcome = of_missing(original);
        assert!(!outcome.is_empty(), "nothing is missing");
        let seams = images.iter().map(|image| seam(image, missing, width));
        Self {
            energy: energy_score_fair(&samples, &outcome) / (outcome.len() as f64).sqrt(),
            seam: seams.sum::<f64>() / images.len() as f64,
            seam_of_original: seam(original, missing, width),
        }
    }

    /// The means over images.
    ///
    /// # Panics
    ///
    /// Panics if there are none.
    pub fn mean(scores: &[Self]) -> Self {
        assert!(!scores.is_empty(), "there is no mean of no scores");
        let mean = |of: fn(&Self) -> f64| scores.iter().map(of).sum::<f64>() / scores.len() as f64;
        Self {
            energy: mean(|scores| scores.energy),
            seam: mean(|scores| scores.seam),
            seam_of_original: mean(|scores| scores.seam_of_original),
        }
    }
}

/// The mean absolute difference of the levels of neighbouring pixels of which one is missing, 0
/// where there are none.
fn seam(image: &[u8], missing: &[bool], width: usize) -> f64 {
    let plane = missing.len();
    let right = (0..plane)
        .filter(|pixel| (pixel + 1) % width != 0)
        .map(|pixel| (pixel, pixel + 1));
    let down = (0..plane - width).map(|pixel| (pixel, pixel + width));
    let pairs = right.chain(down).filter(|&(a, b)| missing[a] != missing[b]);
    let (mut sum, mut count) = (0u64, 0u64);
    for (a, b) in pairs {
        for channel in image.chunks_exact(plane) {
            sum += u64::from(channel[a].abs_diff(channel[b]));
            count += 1;
        }
    }
    sum as f64 / 255.0 / count.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_seam_and_the_energy_of_a_small_image() {
        // Two rows of two pixels; the lower row is missing.
        let missing = [false, false, true, true];
        let original = [0, 51, 51, 255];
        let same = CompletionScores::of(&[original, original].concat(), &original, &missing, 2);
        let expected = (51.0 + 204.0) / 2.0 / 255.0;
        assert!((same.seam - expected).abs() < 1e-12 && same.seam_of_original == same.seam);
        assert_eq!(same.energy, 0.0);
        // One is right, the other off by the whole range in one of two values.
        let other = [0, 51, 51, 0];
        let mixed = CompletionScores::of(&[original, other].concat(), &original, &missing, 2);
        assert!((mixed.energy - (0.5 - 0.5) / 2f64.sqrt()).abs() < 1e-12);
        assert!(mixed.seam < same.seam);
        let wrong = CompletionScores::of(&[other, other].concat(), &original, &missing, 2);
        assert!((wrong.energy - 1.0 / 2f64.sqrt()).abs() < 1e-12);
    }
}

use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_loss::tau_midpoints;

use crate::noise::Noise;

/// An assignment of tau to the values of some images over several passes, in which every value gets
/// the midpoint of each of as many equal bins of [0, 1] once.
///
/// In pass `j` a value gets the midpoint of bin `(j + r) mod bins`, where `r` is random for each
/// value. The tau of different values are then independent within a pass, like in training. One tau
/// for a whole image would be an input that a model whose values also depend on the tau of earlier
/// values never saw in training. The assignment is our choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TauPlacement {
    /// The bin of each value in the first pass, `r`.
    first_bins: Vec<usize>,
    bins: usize,
}

impl TauPlacement {
    /// Creates the assignment for images of `values` values each, with as many passes as `bins`.
    /// `images` are the indices of the images in `noise`.
    ///
    /// # Panics
    ///
    /// Panics if `bins` is 0.
    pub fn new(noise: &Noise, images: &[usize], values: usize, bins: usize) -> Self {
        assert!(bins > 0, "there must be at least one bin of tau");
        let draws = images
            .iter()
            .flat_map(|&image| noise.uniform(image as u64, values));
        Self {
            first_bins: draws.map(|u| (u * bins as f32) as usize % bins).collect(),
            bins,
        }
    }

    /// The number of values of all images.
    pub fn values(&self) -> usize {
        self.first_bins.len()
    }

    /// Creates the tensor of the tau of a pass.
    ///
    /// # Shapes
    ///
    /// - output: `shape`, usually `[images, channels, height, width]`
    ///
    /// # Panics
    ///
    /// Panics if `shape` has another number of values.
    pub fn tau(&self, pass: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let midpoints = tau_midpoints(self.bins);
        let tau: Vec<f32> = self.bins(pass).map(|bin| midpoints[bin] as f32).collect();
        Tensor::from_data(TensorData::new(tau, shape), device)
    }

    /// Stores the predictions of a pass in the bins that their tau are the midpoints of.
    ///
    /// # Shapes
    ///
    /// - `given`: `[values]`, the predictions
    /// - `quantiles`: `[values, bins]`
    pub fn store(&self, pass: usize, given: impl Iterator<Item = f32>, quantiles: &mut [f32]) {
        let rows = quantiles.chunks_exact_mut(self.bins);
        for ((value, bin), row) in given.zip(self.bins(pass)).zip(rows) {
            row[bin] = value;
        }
    }

    /// The bin of each value in a pass, from 0 to one below their number.
    ///
    /// # Shapes
    ///
    /// - output: `[values]`
    pub fn bins(&self, pass: usize) -> impl Iterator<Item = usize> {
        self.first_bins.iter().map(move |r| (pass + r) % self.bins)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_value_meets_every_bin_once() {
        let (bins, values) = (5, 12);
        let placement = TauPlacement::new(&Noise::new(3), &[0, 7], values, bins);
        assert_eq!(placement.values(), 2 * values);
        let mut quantiles = vec![f32::NAN; 2 * values * bins];
        for pass in 0..bins {
            let tau = placement.tau(pass, [2, 3, 2, 2], &Device::flex());
            let tau: Vec<f32> = tau.into_data().try_to_vec().unwrap();
            placement.store(pass, tau.iter().copied(), &mut quantiles);
            // Not one tau for all of an image.
            assert!(tau.iter().any(|other| *other != tau[0]));
        }
        // Each tau went to its own bin, and no bin was left out.
        for row in quantiles.chunks(bins) {
            assert_eq!(row, [0.1, 0.3, 0.5, 0.7, 0.9]);
        }
    }
}

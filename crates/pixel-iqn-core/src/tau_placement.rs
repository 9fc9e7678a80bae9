use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_loss::tau_midpoints;

use crate::noise::Noise;

/// Which tau each value of some images gets in each of several passes, so that over all passes
/// every value gets the middle of every one of as many equal bins of [0, 1] once.
///
/// In pass `j` a value gets the tau of bin `(j + r) mod bins`, with `r` drawn for each value.
/// Within a pass the tau of different values are then independent, as in training. With one tau for
/// a whole image, a model whose values also depend on the tau of earlier values would be asked what
/// it never saw. The placement is our choice.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TauPlacement {
    /// `r` of each value.
    first_bins: Vec<usize>,
    bins: usize,
}

impl TauPlacement {
    /// The placement for images of `values` values each; `images` are the streams of `noise`.
    ///
    /// # Panics
    ///
    /// Panics if there are no bins.
    pub fn new(noise: &Noise, images: &[usize], values: usize, bins: usize) -> Self {
        assert!(bins > 0, "there must be a bin to place tau in");
        let draws = images
            .iter()
            .flat_map(|&image| noise.uniform(image as u64, values));
        Self {
            first_bins: draws.map(|u| (u * bins as f32) as usize % bins).collect(),
            bins,
        }
    }

    /// The values of all images.
    pub fn values(&self) -> usize {
        self.first_bins.len()
    }

    /// The tau of a pass.
    ///
    /// # Shapes
    ///
    /// - output: `shape`, the values in the order of the images
    ///
    /// # Panics
    ///
    /// Panics if the shape has another number of values.
    pub fn tau(&self, pass: usize, shape: [usize; 4], device: &Device) -> Tensor<4> {
        let middles = tau_midpoints(self.bins);
        let tau: Vec<f32> = self.bins(pass).map(|bin| middles[bin] as f32).collect();
        Tensor::from_data(TensorData::new(tau, shape), device)
    }

    /// Puts what a model gave in a pass into the bins of each value.
    ///
    /// # Shapes
    ///
    /// - `quantiles`: by value, then by bin
    pub fn store(&self, pass: usize, given: impl Iterator<Item = f32>, quantiles: &mut [f32]) {
        let rows = quantiles.chunks_exact_mut(self.bins);
        for ((value, bin), row) in given.zip(self.bins(pass)).zip(rows) {
            row[bin] = value;
        }
    }

    fn bins(&self, pass: usize) -> impl Iterator<Item = usize> {
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

use burn::tensor::{Device, Int, Tensor, TensorData};
use pixel_iqn_core::Noise;
use pixel_iqn_data::ImageDataset;

use super::ClassifierConfig;

/// The mean and the standard deviation of each channel of the images that a classifier learns from.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Normal(Vec<[f32; 2]>);

impl Normal {
    pub fn of(images: &ImageDataset) -> Self {
        let counts = images.level_counts(0..images.len());
        let of_channel = |counts: &[u64; 256]| {
            let total: u64 = counts.iter().sum();
            let mean_of = |f: &dyn Fn(f64) -> f64| {
                let levels = counts.iter().enumerate();
                let sum: f64 = levels
                    .map(|(level, &n)| f(level as f64 / 255.0) * n as f64)
                    .sum();
                sum / total as f64
            };
            let mean = mean_of(&|x| x);
            let deviation = mean_of(&|x| (x - mean).powi(2)).sqrt();
            // Images of one level only need any number but 0.
            [mean as f32, deviation.max(1.0 / 255.0) as f32]
        };
        Self(counts.iter().map(of_channel).collect())
    }

    fn apply(&self, channel: usize, level: u8) -> f32 {
        let [mean, deviation] = self.0[channel];
        (f32::from(level) / 255.0 - mean) / deviation
    }
}

/// The order of the images in the steps of a training, and how each is moved.
pub(super) struct Draws {
    noise: Noise,
    order: Vec<usize>,
    epoch: u64,
}

impl Draws {
    pub fn new(config: &ClassifierConfig) -> Self {
        Self {
            noise: Noise::new(config.seed ^ u64::from_be_bytes(*b"augments")),
            order: Vec::new(),
            epoch: 0,
        }
    }

    /// The next images of a set of `images`: each once before any comes again.
    pub fn next(&mut self, count: usize, images: usize) -> Vec<usize> {
        while self.order.len() < count {
            let keys = self.noise.uniform(2 * self.epoch, images);
            let mut order: Vec<usize> = (0..images).collect();
            order.sort_by(|&a, &b| keys[a].total_cmp(&keys[b]));
            self.order.extend(order);
            self.epoch += 1;
        }
        self.order.drain(..count).collect()
    }

    /// Three numbers in (0, 1) for each image of a step.
    pub fn moves(&self, step: usize, count: usize) -> Vec<f32> {
        self.noise.uniform(2 * step as u64 + 1, 3 * count)
    }
}

/// The labels of some images, `[batch]`.
///
/// # Panics
///
/// Panics if the set has no labels.
pub(super) fn labels_of(
    images: &ImageDataset,
    indices: &[usize],
    device: &Device,
) -> Tensor<1, Int> {
    let label = |&index: &usize| i64::from(images.label(index).expect("labels were checked"));
    let labels: Vec<i64> = indices.iter().map(label).collect();
    Tensor::from_data(TensorData::new(labels, [indices.len()]), device)
}

/// Some images as they are, `[batch, channels, height, width]`, normalised.
pub(super) fn whole(
    images: &ImageDataset,
    indices: &[usize],
    normal: &Normal,
    device: &Device,
) -> Tensor<4> {
    let middle = vec![0.5; 3 * indices.len()];
    moved(images, indices, &middle, [0, 0], normal, device)
}

/// Some images, moved by up to `shift` pixels and mirrored where `flip` is 1, by three random numbers
/// for each. What comes in from outside is the mean of its channel, 0.
pub(super) fn moved(
    images: &ImageDataset,
    indices: &[usize],
    random: &[f32],
    [shift, flip]: [usize; 2],
    normal: &Normal,
    device: &Device,
) -> Tensor<4> {
    let [channels, height, width] = images.shape();
    let mut values = Vec::with_capacity(indices.len() * channels * height * width);
    for (&index, random) in indices.iter().zip(random.chunks_exact(3)) {
        let image = images.image(index);
        let offset = |u: f32| (u * (2 * shift + 1) as f32) as isize - shift as isize;
        let (down, right) = (offset(random[0]), offset(random[1]));
        let mirrored = flip == 1 && random[2] < 0.5;
        for channel in 0..channels {
            for row in 0..height {
                for column in 0..width {
                    let column = if mirrored { width - 1 - column } else { column };
                    let from_row = row.checked_add_signed(down).filter(|row| *row < height);
                    let from = column.checked_add_signed(right).filter(|c| *c < width);
                    values.push(match (from_row, from) {
                        (Some(row), Some(column)) => {
                            let pixel = (channel * height + row) * width + column;
                            normal.apply(channel, image[pixel])
                        }
                        _ => 0.0,
                    });
                }
            }
        }
    }
    let shape = [indices.len(), channels, height, width];
    Tensor::from_data(TensorData::new(values, shape), device)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn images() -> ImageDataset {
        let levels = vec![0, 51, 102, 153, 204, 255, 0, 51, 102];
        ImageDataset::new(levels, [1, 3, 3]).unwrap()
    }

    #[test]
    fn each_image_comes_once_before_any_comes_again() {
        let mut draws = Draws::new(&ClassifierConfig::small());
        let drawn: Vec<usize> = (0..4).flat_map(|_| draws.next(5, 10)).collect();
        for epoch in drawn.chunks_exact(10) {
            let mut sorted = epoch.to_vec();
            sorted.sort_unstable();
            assert_eq!(sorted, (0..10).collect::<Vec<_>>());
        }
        assert_ne!(drawn[..10], drawn[10..]);
        // A batch larger than the set.
        assert_eq!(draws.next(25, 10).len(), 25);
    }

    #[test]
    fn images_are_normalised_moved_and_mirrored() {
        let (images, device) = (images(), Device::flex());
        let normal = Normal::of(&images);
        let values = |random: &[f32], how| -> Vec<f32> {
            let tensor = moved(&images, &[0], random, how, &normal, &device);
            tensor.into_data().iter::<f32>().collect()
        };
        let plain: Vec<f32> = whole(&images, &[0], &normal, &device)
            .into_data()
            .iter::<f32>()
            .collect();
        let mean = plain.iter().sum::<f32>() / 9.0;
        let variance = plain.iter().map(|x| x * x).sum::<f32>() / 9.0;
        assert!(
            mean.abs() < 1e-6 && (variance - 1.0).abs() < 1e-5,
            "{plain:?}"
        );
        // Nothing moves in the middle; the last number mirrors.
        assert_eq!(values(&[0.5, 0.5, 0.9], [1, 1]), plain);
        let mirrored = [2, 1, 0, 5, 4, 3, 8, 7, 6].map(|i| plain[i]);
        assert_eq!(values(&[0.5, 0.5, 0.1], [1, 1]), mirrored);
        assert_eq!(values(&[0.5, 0.5, 0.1], [1, 0]), plain);
        // One pixel down the image, so that its first row is the second one.
        let down = [3, 4, 5, 6, 7, 8].map(|i| plain[i]);
        let expected = [&down[..], &[0.0; 3]].concat();
        assert_eq!(values(&[0.9, 0.5, 0.9], [1, 1]), expected);
    }
}

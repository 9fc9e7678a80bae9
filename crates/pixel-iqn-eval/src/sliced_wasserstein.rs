//! Sliced Wasserstein distance on patches of Laplacian pyramids: Karras et al., "Progressive
//! Growing of GANs for Improved Quality, Stability, and Variation", ICLR 2018, section 5,
//! <https://arxiv.org/abs/1710.10196>. It needs no network.

use burn::config::Config;
use pixel_iqn_core::{Cancelled, Noise, Progress, report};
use pixel_iqn_data::{ImageDataset, check_memory};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use crate::error::EvalError;

/// Height and width of a patch.
const PATCH: usize = 7;
/// Images, and directions, between two reports of the progress.
const TOGETHER: usize = 64;
/// The pyramid ends at this size.
const SMALLEST: usize = 16;
/// The binomial filter of the pyramid, over 16.
const FILTER: [f32; 5] = [1.0, 4.0, 6.0, 4.0, 1.0];

/// How [`sliced_wasserstein`] distances are computed. The defaults are those of Karras et al.
#[derive(Config, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SlicedWassersteinOptions {
    /// Patches from each image and level, at least 1.
    #[config(default = 128)]
    pub patches: usize,
    /// Directions on which the patches are projected, at least 1.
    #[config(default = 512)]
    pub directions: usize,
    /// Seed of patches and directions.
    #[config(default = 0)]
    pub seed: u64,
}

impl Default for SlicedWassersteinOptions {
    fn default() -> Self {
        Self::new()
    }
}

impl SlicedWassersteinOptions {
    /// Fails where the patches of two sets of `count` images of `shape`, `[C, H, W]`, do not fit into memory,
    /// so that a program can tell before it makes the images.
    ///
    /// # Errors
    ///
    /// [`EvalError::Data`] with what would be needed.
    pub fn check_memory(&self, count: usize, [channels, ..]: [usize; 3]) -> Result<(), EvalError> {
        let factors = [
            2,
            count,
            self.patches,
            channels * PATCH * PATCH,
            size_of::<f32>(),
        ];
        let factors = factors.into_iter().map(|factor| factor as u64);
        Ok(check_memory(factors.fold(1, u64::saturating_mul))?)
    }
}

/// The distance at one level of the pyramid.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct LevelDistance {
    /// Height of the level, in pixels.
    pub height: usize,
    /// The distance times 1000, as it is published.
    pub distance: f64,
}

/// The sliced Wasserstein distance between the patches of two sets of images, at each level of
/// their Laplacian pyramids from the images' own size down to the last of 16 pixels or more.
///
/// Patches are normalised by the mean and standard deviation of each channel over the whole set.
/// The images of both sets at one position of their order have patches at the same places.
/// Equal sets have distance 0; two halves of one set show what chance alone makes. Memory grows
/// with the patches of a level: for each set, images times patches times 147 numbers of 4 bytes,
/// so 1.2 GB for 16,384 colour images with 128 patches, the paper's choice.
///
/// `progress` is told how many of how many images and directions are done.
///
/// # Errors
///
/// [`EvalError::Shape`] if the images differ in shape or are smaller than a patch,
/// [`EvalError::TooFew`] where the sets are not of the same size, [`EvalError::Option`] for no
/// patches or directions, [`EvalError::Data`] where the patches do not fit into memory, and
/// [`EvalError::Cancelled`].
pub fn sliced_wasserstein(
    a: &ImageDataset,
    b: &ImageDataset,
    options: SlicedWassersteinOptions,
    progress: &dyn Progress,
) -> Result<Vec<LevelDistance>, EvalError> {
    let SlicedWassersteinOptions {
        patches,
        directions,
        seed,
    } = options;
    for (count, name) in [(patches, "patches"), (directions, "directions")] {
        if count == 0 {
            return Err(EvalError::Option {
                name,
                range: "at least 1",
            });
        }
    }
    let [channels, height, width] = a.shape();
    if a.shape() != b.shape() || height.min(width) < PATCH {
        return Err(EvalError::Shape(format!(
            "images of {:?} and {:?} have no patches of {PATCH} x {PATCH} to compare",
            a.shape(),
            b.shape()
        )));
    }
    if a.len() != b.len() {
        return Err(EvalError::TooFew {
            score: "the sliced Wasserstein distance",
            least: a.len().max(b.len()),
            given: a.len().min(b.len()),
            hint: ": give as many of both",
        });
    }
    options.check_memory(a.len(), a.shape())?;
    let levels = levels([height, width]);
    let total = levels * (2 * a.len() + directions);
    let mut done = 0;
    let mut told = |more: usize| {
        done += more;
        report(progress, done, total)
    };
    let mut distances = Vec::with_capacity(levels);
    for level in 0..levels {
        let mut of = |set| descriptors(set, [level, levels], patches, seed, &mut told);
        let (first, second) = (of(a)?, of(b)?);
        let noise = Noise::new(seed ^ u64::from_be_bytes(*b"slice   "));
        let dims = channels * PATCH * PATCH;
        // Collected before they are added, so that the sum has one order.
        let mut by_direction: Vec<f64> = Vec::with_capacity(directions);
        for start in (0..directions).step_by(TOGETHER) {
            let some = start..directions.min(start + TOGETHER);
            let count = some.len();
            by_direction.par_extend(some.into_par_iter().map(|i| {
                let direction = direction(&noise, i as u64, dims);
                wasserstein(project(&first, &direction), project(&second, &direction))
            }));
            told(count)?;
        }
        distances.push(LevelDistance {
            height: height >> level,
            distance: 1e3 * by_direction.iter().sum::<f64>() / directions as f64,
        });
    }
    Ok(distances)
}

/// How many levels a pyramid has: halvings that leave [`SMALLEST`] pixels, and the image itself.
/// Both sides must be even to be halved.
fn levels(size: [usize; 2]) -> usize {
    let mut levels = 1;
    let halves = |levels: usize| {
        let each = size.iter().map(|side| side >> (levels - 1));
        each.clone().all(|side| side.is_multiple_of(2)) && each.min() >= Some(2 * SMALLEST)
    };
    while halves(levels) {
        levels += 1;
    }
    levels
}

/// A plane of an image.
#[derive(Debug, Clone, PartialEq)]
struct Plane {
    data: Vec<f32>,
    height: usize,
    width: usize,
}

impl Plane {
    /// Filters rows and columns, mirrored at the edges without repeating them.
    fn blurred(&self, gain: f32) -> Self {
        let mirror = |i: isize, length: usize| {
            let last = length as isize - 1;
            if last == 0 {
                return 0;
            }
            let i = i.rem_euclid(2 * last);
            i.min(2 * last - i) as usize
        };
        let (height, width) = (self.height, self.width);
        let mut rows = vec![0.0; self.data.len()];
        for (i, out) in rows.iter_mut().enumerate() {
            let (row, column) = (i / width, (i % width) as isize);
            for (k, weight) in FILTER.iter().enumerate() {
                *out += weight * self.data[row * width + mirror(column + k as isize - 2, width)];
            }
        }
        let mut data = vec![0.0; self.data.len()];
        for (i, out) in data.iter_mut().enumerate() {
            let (row, column) = ((i / width) as isize, i % width);
            for (k, weight) in FILTER.iter().enumerate() {
                *out += weight * rows[mirror(row + k as isize - 2, height) * width + column];
            }
            *out *= gain / 256.0;
        }
        Self { data, ..*self }
    }

    fn halved(&self) -> Self {
        let blurred = self.blurred(1.0);
        let (height, width) = (self.height / 2, self.width / 2);
        let at = |i: usize| blurred.data[i / width * 2 * self.width + i % width * 2];
        Self {
            data: (0..height * width).map(at).collect(),
            height,
            width,
        }
    }

    fn doubled(&self) -> Self {
        let (height, width) = (2 * self.height, 2 * self.width);
        let mut data = vec![0.0; height * width];
        for (i, x) in self.data.iter().enumerate() {
            data[i / self.width * 2 * width + i % self.width * 2] = *x;
        }
        let sparse = Self {
            data,
            height,
            width,
        };
        // One in four is not zero.
        sparse.blurred(4.0)
    }

    /// Level `level` of `levels` of the Laplacian pyramid.
    fn laplacian(mut self, level: usize, levels: usize) -> Self {
        for _ in 0..level {
            self = self.halved();
        }
        if level + 1 < levels {
            let smooth = self.halved().doubled();
            for (x, smooth) in self.data.iter_mut().zip(smooth.data) {
                *x -= smooth;
            }
        }
        self
    }
}

/// The normalised patches of all images at a level, each `channels * PATCH * PATCH` numbers.
fn descriptors(
    set: &ImageDataset,
    [level, levels]: [usize; 2],
    patches: usize,
    seed: u64,
    told: &mut dyn FnMut(usize) -> Result<(), Cancelled>,
) -> Result<Vec<Vec<f32>>, Cancelled> {
    let [channels, height, width] = set.shape();
    let noise = Noise::new(seed ^ u64::from_be_bytes(*b"patches ") ^ level as u64);
    let mut descriptors: Vec<Vec<f32>> = Vec::with_capacity(set.len() * patches);
    for start in (0..set.len()).step_by(TOGETHER) {
        let some = start..set.len().min(start + TOGETHER);
        let count = some.len();
        descriptors.par_extend(some.into_par_iter().flat_map_iter(|index| {
            let planes: Vec<Plane> = set
                .image(index)
                .chunks_exact(height * width)
                .map(|plane| {
                    let plane = Plane {
                        data: plane.iter().map(|x| f32::from(*x)).collect(),
                        height,
                        width,
                    };
                    plane.laplacian(level, levels)
                })
                .collect();
            let draws = noise.uniform(index as u64, 2 * patches);
            let [rows, columns] = [planes[0].height, planes[0].width].map(|n| n - PATCH + 1);
            let patch = move |draws: &[f32]| {
                let top = (draws[0] * rows as f32) as usize;
                let left = (draws[1] * columns as f32) as usize;
                let mut patch = Vec::with_capacity(channels * PATCH * PATCH);
                for plane in &planes {
                    for row in top..top + PATCH {
                        patch.extend_from_slice(&plane.data[row * plane.width + left..][..PATCH]);
                    }
                }
                patch
            };
            draws.chunks_exact(2).map(patch).collect::<Vec<_>>()
        }));
        told(count)?;
    }
    for channel in 0..channels {
        let part = channel * PATCH * PATCH..(channel + 1) * PATCH * PATCH;
        let values = || descriptors.iter().flat_map(|patch| &patch[part.clone()]);
        let count = values().count() as f64;
        let mean = values().map(|x| f64::from(*x)).sum::<f64>() / count;
        let variance = values()
            .map(|x| (f64::from(*x) - mean).powi(2))
            .sum::<f64>()
            / count;
        // A channel without any variation has nothing to compare.
        let scale = if variance > 0.0 {
            variance.sqrt().recip()
        } else {
            0.0
        };
        for patch in &mut descriptors {
            for x in &mut patch[part.clone()] {
                *x = ((f64::from(*x) - mean) * scale) as f32;
            }
        }
    }
    Ok(descriptors)
}

/// A direction that is uniform on the sphere.
fn direction(noise: &Noise, index: u64, dims: usize) -> Vec<f32> {
    let draws = noise.uniform(index, 2 * dims);
    // Box and Muller.
    let normal: Vec<f32> = draws
        .chunks_exact(2)
        .map(|u| (-2.0 * u[0].ln()).sqrt() * (core::f32::consts::TAU * u[1]).cos())
        .collect();
    let length = normal.iter().map(|x| x * x).sum::<f32>().sqrt();
    normal.into_iter().map(|x| x / length).collect()
}

fn project(descriptors: &[Vec<f32>], direction: &[f32]) -> Vec<f32> {
    let dot = |patch: &Vec<f32>| patch.iter().zip(direction).map(|(a, b)| a * b).sum();
    descriptors.iter().map(dot).collect()
}

/// The mean distance of the order statistics.
fn wasserstein(mut a: Vec<f32>, mut b: Vec<f32>) -> f64 {
    a.sort_unstable_by(f32::total_cmp);
    b.sort_unstable_by(f32::total_cmp);
    let pairs = a.iter().zip(&b);
    pairs.map(|(a, b)| f64::from((a - b).abs())).sum::<f64>() / a.len() as f64
}

#[cfg(test)]
mod tests {
    use core::ops::ControlFlow;
    use std::sync::Mutex;

    use pixel_iqn_core::NoProgress;
    use pixel_iqn_data::builtin;

    use super::*;

    fn plane(data: Vec<f32>, height: usize, width: usize) -> Plane {
        Plane {
            data,
            height,
            width,
        }
    }

    #[test]
    fn only_even_sides_are_halved() {
        assert_eq!(levels([32, 32]), 2);
        assert_eq!(levels([16, 16]), 1);
        assert_eq!(levels([32, 33]), 1);
        assert_eq!(levels([64, 66]), 2);
        assert_eq!(levels([128, 64]), 3);
    }

    #[test]
    fn the_filter_mirrors_at_the_edges() {
        // >>> f = numpy.outer([1, 4, 6, 4, 1], [1, 4, 6, 4, 1]) / 256
        // >>> x = numpy.arange(12.).reshape(3, 4) ** 2
        // >>> scipy.ndimage.convolve(x, f, mode="mirror")
        let x = plane((0..12).map(|i| (i * i) as f32).collect(), 3, 4);
        let blurred = x.blurred(1.0);
        let expected = [
            21.5, 24.75, 31.5, 35.0, 31.0, 35.0, 43.25, 47.5, 40.5, 45.25, 55.0, 60.0,
        ];
        for (x, expected) in blurred.data.iter().zip(expected) {
            assert!((x - expected).abs() < 1e-4, "{:?}", blurred.data);
        }
    }

    #[test]
    fn a_pyramid_adds_up_to_the_image() {
        let image = plane((0..64 * 64).map(|i| (i * i % 255) as f32).collect(), 64, 64);
        assert_eq!(levels([64, 64]), 3);
        let pyramid: Vec<Plane> = (0..3)
            .map(|level| image.clone().laplacian(level, 3))
            .collect();
        let mut sum = pyramid[2].clone();
        for level in [1, 0] {
            sum = sum.doubled();
            for (sum, detail) in sum.data.iter_mut().zip(&pyramid[level].data) {
                *sum += detail;
            }
        }
        for (a, b) in sum.data.iter().zip(&image.data) {
            assert!((a - b).abs() < 1e-3);
        }
        // A flat image has no details.
        let flat = plane(vec![7.0; 32 * 32], 32, 32).laplacian(0, 2);
        assert!(flat.data.iter().all(|x| x.abs() < 1e-4));
    }

    #[test]
    fn equal_sets_have_no_distance_and_others_do() {
        let options = SlicedWassersteinOptions {
            patches: 8,
            directions: 32,
            seed: 3,
        };
        let set = builtin::generate(0, 0..40, 32, 3).unwrap();
        let same = sliced_wasserstein(&set, &set, options, &NoProgress).unwrap();
        assert_eq!(same.iter().map(|l| l.height).collect::<Vec<_>>(), [32, 16]);
        assert!(same.iter().all(|level| level.distance == 0.0));

        let others = builtin::generate(0, 40..80, 32, 3).unwrap();
        let noise = Noise::new(1).uniform(0, 40 * 3 * 32 * 32);
        let noise = noise.iter().map(|u| (u * 256.0) as u8).collect();
        let noise = ImageDataset::new(noise, [3, 32, 32]).unwrap();
        let near = sliced_wasserstein(&set, &others, options, &NoProgress).unwrap();
        let far = sliced_wasserstein(&set, &noise, options, &NoProgress).unwrap();
        for (near, far) in near.iter().zip(&far) {
            assert!(near.distance > 0.0 && near.distance < 0.5 * far.distance);
        }
    }

    #[test]
    fn the_progress_is_told_and_can_cancel() {
        let options = SlicedWassersteinOptions::new()
            .with_patches(2)
            .with_directions(100);
        let set = builtin::generate(0, 0..70, 32, 3).unwrap();
        let told = Mutex::new(Vec::new());
        let until = |last: usize| {
            let told = &told;
            move |done: usize, total: usize| {
                told.lock().unwrap().push((done, total));
                match done < last {
                    true => ControlFlow::Continue(()),
                    false => ControlFlow::Break(()),
                }
            }
        };
        // Two levels, of two sets of 70 images and 100 directions.
        sliced_wasserstein(&set, &set, options, &until(usize::MAX)).unwrap();
        let all = core::mem::take(&mut *told.lock().unwrap());
        assert_eq!((all[0], all.last()), ((64, 480), Some(&(480, 480))));
        let error = sliced_wasserstein(&set, &set, options, &until(140)).unwrap_err();
        assert!(matches!(error, EvalError::Cancelled(_)), "{error:?}");
        assert_eq!(told.lock().unwrap().last(), Some(&(140, 480)));
        assert!(options.check_memory(70, [3, 32, 32]).is_ok());
        #[cfg(target_os = "linux")]
        assert!(options.check_memory(usize::MAX, [3, 32, 32]).is_err());
    }

    #[test]
    fn a_distance_on_the_line_is_that_of_the_order() {
        assert_eq!(wasserstein(vec![3.0, 1.0], vec![2.0, 6.0]), 2.0);
    }

    #[test]
    fn sets_that_do_not_fit_are_refused() {
        let options = SlicedWassersteinOptions::default();
        let set = |count, side| builtin::generate(0, 0..count, side, 3).unwrap();
        let run = |a, b| sliced_wasserstein(&a, &b, options, &NoProgress).unwrap_err();
        assert!(matches!(
            run(set(2, 8), set(3, 8)),
            EvalError::TooFew { given: 2, .. }
        ));
        assert!(matches!(run(set(2, 8), set(2, 16)), EvalError::Shape(_)));
        assert!(matches!(run(set(2, 6), set(2, 6)), EvalError::Shape(_)));
    }
}

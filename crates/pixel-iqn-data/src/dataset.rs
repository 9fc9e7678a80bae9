//! The in-memory set that every loader of this crate produces.

use std::ops::Range;

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::error::{DataError, Result};
use crate::rng::{below, stream};

/// 8-bit images of one size, with or without class labels.
///
/// Images are planar: the bytes of one image are all rows of its first channel, then all rows of
/// the next, which is the layout `[N, C, H, W]` that Burn's convolutions take. A set holds at
/// least one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDataset {
    images: Vec<u8>,
    shape: [usize; 3],
    labels: Option<Vec<u32>>,
    classes: usize,
    class_names: Option<Vec<String>>,
}

/// Some images of a set as tensors.
#[derive(Clone, Debug)]
pub struct ImageBatch {
    /// `[B, C, H, W]`, level / 255, so in `[0, 1]`.
    pub images: Tensor<4>,
    /// `[B]`, each below the number of classes; `None` where the set has no labels.
    pub labels: Option<Tensor<1, Int>>,
    /// Position of each image in the set, `[B]`.
    pub indices: Vec<usize>,
}

impl ImageBatch {
    /// The labels, as a model of so many classes takes them: none for one without classes.
    pub fn labels_of(&self, classes: usize) -> Option<&Tensor<1, Int>> {
        self.labels.as_ref().filter(|_| classes > 0)
    }
}

#[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
impl ImageDataset {
    /// A set without labels from the bytes of its images, `[N, C, H, W]`, and their shape
    /// `[channels, height, width]`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if a dimension is 0, if there is no image, or if the bytes are
    /// no whole number of images.
    pub fn new(images: Vec<u8>, shape: [usize; 3]) -> Result<Self> {
        match element_count(&shape) {
            Some(len) if len > 0 && !images.is_empty() && images.len().is_multiple_of(len) => {
                Ok(Self {
                    images,
                    shape,
                    labels: None,
                    classes: 0,
                    class_names: None,
                })
            }
            _ => Err(DataError::Inconsistent(format!(
                "{} bytes are not one or more images of shape {shape:?}",
                images.len()
            ))),
        }
    }

    /// Adds one label per image, each below `classes`.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the counts differ or a label is not below `classes`.
    pub fn with_labels(mut self, labels: Vec<u32>, classes: usize) -> Result<Self> {
        if labels.len() != self.len() {
            return Err(DataError::Inconsistent(format!(
                "{} labels for {} images",
                labels.len(),
                self.len()
            )));
        }
        if let Some(index) = labels.iter().position(|&label| label as usize >= classes) {
            return Err(DataError::Inconsistent(format!(
                "image {index} has the label {}, but there are {classes} classes",
                labels[index]
            )));
        }
        self.labels = Some(labels);
        self.classes = classes;
        Ok(self)
    }

    /// Adds the name of each class, in the order of the labels.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if there is not one name per class.
    pub fn with_class_names<S: Into<String>>(
        mut self,
        names: impl IntoIterator<Item = S>,
    ) -> Result<Self> {
        let names: Vec<String> = names.into_iter().map(Into::into).collect();
        if names.len() != self.classes {
            return Err(DataError::Inconsistent(format!(
                "{} names for {} classes",
                names.len(),
                self.classes
            )));
        }
        self.class_names = Some(names);
        Ok(self)
    }

    /// The number of images, at least 1.
    pub fn len(&self) -> usize {
        self.images.len() / self.image_len()
    }

    /// `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// The number of classes, 0 for a set without labels.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// The name of each class in the order of the labels, where the source has names.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// The bytes of all images, `[N, C, H, W]`.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// All labels, `[N]`; `None` for a set without labels.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// The bytes of one image, `[C, H, W]`.
    ///
    /// # Panics
    ///
    /// If `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.images[index * len..][..len]
    }

    /// The label of one image; `None` for a set without labels.
    ///
    /// # Panics
    ///
    /// If the set has labels and `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    /// How often each level occurs in each channel of the images of a range.
    ///
    /// # Panics
    ///
    /// If the range leaves the set.
    pub fn level_counts(&self, images: Range<usize>) -> Vec<[u64; 256]> {
        let [channels, height, width] = self.shape;
        let length = self.image_len();
        let mut counts = vec![[0; 256]; channels];
        let planes = self.images[images.start * length..images.end * length]
            .chunks_exact(height * width)
            .enumerate();
        for (plane, levels) in planes {
            for &level in levels {
                counts[plane % channels][usize::from(level)] += 1;
            }
        }
        counts
    }

    /// Parts the set in two: all other images, and the images of the range `held_out`. Both keep
    /// their order.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if a part were empty or the range leaves the set.
    pub fn split(mut self, held_out: Range<usize>) -> Result<(Self, Self)> {
        if held_out.is_empty() || held_out.end > self.len() || held_out.len() == self.len() {
            return Err(DataError::Inconsistent(format!(
                "cannot hold out the images {held_out:?} of {}",
                self.len()
            )));
        }
        let len = self.image_len();
        let held_out = Self {
            images: self
                .images
                .drain(held_out.start * len..held_out.end * len)
                .collect(),
            labels: self
                .labels
                .as_mut()
                .map(|labels| labels.drain(held_out).collect()),
            class_names: self.class_names.clone(),
            ..self
        };
        Ok((self, held_out))
    }

    /// Parts the set in two: all other images, and the last of every `step` images. In a set
    /// that is sorted by class this takes its share of every class.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if a part were empty, that is, if `step` is below 2 or above
    /// the number of images.
    pub fn split_every(self, step: usize) -> Result<(Self, Self)> {
        if !(2..=self.len()).contains(&step) {
            return Err(DataError::Inconsistent(format!(
                "cannot hold out one in {step} of {} images",
                self.len()
            )));
        }
        let is_held_out = |index: &usize| index % step == step - 1;
        let rest = self.select((0..self.len()).filter(|index| !is_held_out(index)));
        let held_out = self.select((0..self.len()).filter(is_held_out));
        Ok((rest, held_out))
    }

    /// The first `count` images.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if `count` is 0 or above the number of images.
    pub fn take(mut self, count: usize) -> Result<Self> {
        if !(1..=self.len()).contains(&count) {
            return Err(DataError::Inconsistent(format!(
                "cannot take {count} of {} images",
                self.len()
            )));
        }
        self.images.truncate(count * self.image_len());
        if let Some(labels) = &mut self.labels {
            labels.truncate(count);
        }
        Ok(self)
    }

    /// So many images drawn without replacement, in the order of the set, as a seed has it.
    ///
    /// # Errors
    ///
    /// As [`take`](Self::take).
    pub fn draw(self, count: usize, seed: u64) -> Result<Self> {
        if !(1..self.len()).contains(&count) {
            return self.take(count);
        }
        let mut rng = stream(seed, u64::from_be_bytes(*b"drawing "));
        let mut indices: Vec<usize> = (0..self.len()).collect();
        for i in 0..count {
            let other = i + below(&mut rng, indices.len() - i);
            indices.swap(i, other);
        }
        indices.truncate(count);
        indices.sort_unstable();
        Ok(self.select(indices.into_iter()))
    }

    /// The set in smaller images, `[height, width]`: each level is the mean of those of its box,
    /// rounded half up. In the same size it stays as it is.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the images do not divide into so many boxes.
    pub fn reduce(self, size: [usize; 2]) -> Result<Self> {
        let [channels, height, width] = self.shape;
        if size == [height, width] {
            return Ok(self);
        }
        let [rows, columns] = size;
        if rows == 0
            || columns == 0
            || !height.is_multiple_of(rows)
            || !width.is_multiple_of(columns)
        {
            return Err(DataError::Inconsistent(format!(
                "images of {height} x {width} do not divide into {rows} x {columns} boxes"
            )));
        }
        let (box_height, box_width) = (height / rows, width / columns);
        let mut images = Vec::with_capacity(self.len() * channels * rows * columns);
        let mut sums = vec![0; columns];
        for band in self.images.chunks_exact(box_height * width) {
            sums.fill(0);
            for row in band.chunks_exact(width) {
                for (sum, levels) in sums.iter_mut().zip(row.chunks_exact(box_width)) {
                    *sum += levels.iter().copied().map(usize::from).sum::<usize>();
                }
            }
            let area = box_height * box_width;
            images.extend(sums.iter().map(|sum| ((sum + area / 2) / area) as u8));
        }
        Ok(Self {
            images,
            shape: [channels, rows, columns],
            ..self
        })
    }

    /// The images at `indices` as tensors, each mirrored left to right where its entry of
    /// `flips` says so.
    ///
    /// # Panics
    ///
    /// If `indices` is empty, if an index is not below [`len`](Self::len), or if there is not one
    /// flip per index.
    pub fn batch(&self, indices: &[usize], flips: Option<&[bool]>, device: &Device) -> ImageBatch {
        assert!(!indices.is_empty(), "a batch holds at least one image");
        let [channels, height, width] = self.shape;
        let to_unit = |level: &u8| f32::from(*level) / 255.0;
        let mut levels = Vec::with_capacity(indices.len() * self.image_len());
        if let Some(flips) = flips {
            assert_eq!(flips.len(), indices.len(), "one flip per image");
        }
        for (position, &index) in indices.iter().enumerate() {
            if flips.is_some_and(|flips| flips[position]) {
                let rows = self.image(index).chunks_exact(width);
                levels.extend(rows.flat_map(|row| row.iter().rev()).map(to_unit));
            } else {
                levels.extend(self.image(index).iter().map(to_unit));
            }
        }
        let shape = [indices.len(), channels, height, width];
        let labels = self.labels.as_ref().map(|labels| {
            let labels: Vec<i64> = indices.iter().map(|&index| labels[index].into()).collect();
            Tensor::from_data(TensorData::new(labels, [indices.len()]), device)
        });
        ImageBatch {
            images: Tensor::from_data(TensorData::new(levels, shape), device),
            labels,
            indices: indices.to_vec(),
        }
    }

    /// Every image once, in order, in batches of `batch`; the last is smaller where the set does
    /// not divide. This is the walk for evaluation; [`Loader`](crate::Loader) is for training.
    ///
    /// # Panics
    ///
    /// If `batch` is 0.
    pub fn batches(&self, batch: usize, device: &Device) -> impl Iterator<Item = ImageBatch> {
        let device = device.clone();
        (0..self.len()).step_by(batch).map(move |start| {
            let indices: Vec<usize> = (start..self.len().min(start + batch)).collect();
            self.batch(&indices, None, &device)
        })
    }

    fn image_len(&self) -> usize {
        self.shape.iter().product()
    }

    fn select(&self, indices: impl Iterator<Item = usize> + Clone) -> Self {
        Self {
            images: indices
                .clone()
                .flat_map(|index| self.image(index))
                .copied()
                .collect(),
            labels: self
                .labels
                .as_ref()
                .map(|labels| indices.map(|i| labels[i]).collect()),
            class_names: self.class_names.clone(),
            ..*self
        }
    }
}

/// The product of the dimensions, `None` where it does not fit.
pub(crate) fn element_count(shape: &[usize]) -> Option<usize> {
    shape
        .iter()
        .try_fold(1, |count: usize, &dim| count.checked_mul(dim))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::to_levels;

    /// Six images of 2 x 1 x 3, each byte different, labels 0, 1, 2, 0, 1, 2.
    fn six() -> ImageDataset {
        ImageDataset::new((0..36).collect(), [2, 1, 3])
            .and_then(|set| set.with_labels(vec![0, 1, 2, 0, 1, 2], 3))
            .and_then(|set| set.with_class_names(["a", "b", "c"]))
            .unwrap()
    }

    #[test]
    fn a_draw_is_a_subset_that_the_seed_chooses() {
        let draw = |count, seed| six().draw(count, seed).unwrap();
        assert_eq!(draw(6, 1), six());
        assert_eq!(draw(3, 1), draw(3, 1));
        assert!((2..20).any(|seed| draw(3, seed) != draw(3, 1)));
        for seed in 0..20 {
            let first_bytes: Vec<u8> = (0..3).map(|i| draw(3, seed).image(i)[0]).collect();
            // In the order of the set, and none twice.
            assert!(first_bytes.is_sorted_by(|a, b| a < b), "{first_bytes:?}");
        }
        assert!(six().draw(0, 1).is_err() && six().draw(7, 1).is_err());
    }

    #[test]
    fn refuses_parts_that_do_not_fit() {
        let inconsistent = |result: Result<_>| matches!(result, Err(DataError::Inconsistent(_)));
        assert!(inconsistent(ImageDataset::new(vec![], [1, 2, 2])));
        assert!(inconsistent(ImageDataset::new(vec![0; 5], [1, 2, 2])));
        assert!(inconsistent(ImageDataset::new(vec![0; 4], [1, 0, 2])));
        assert!(inconsistent(ImageDataset::new(
            vec![0; 4],
            [usize::MAX, 2, 2]
        )));
        assert!(inconsistent(six().with_labels(vec![0; 5], 3)));
        assert!(inconsistent(six().with_labels(vec![0, 0, 0, 3, 0, 0], 3)));
        assert!(inconsistent(six().with_class_names(["a", "b"])));
        assert!(inconsistent(six().take(0)));
        assert!(inconsistent(six().take(7)));
        assert!(inconsistent(six().split(0..6).map(|parts| parts.0)));
        assert!(inconsistent(six().split(3..3).map(|parts| parts.0)));
        assert!(inconsistent(six().split(5..7).map(|parts| parts.0)));
        assert!(inconsistent(six().split_every(1).map(|parts| parts.0)));
        assert!(inconsistent(six().split_every(7).map(|parts| parts.0)));
    }

    #[test]
    fn splits_keep_images_with_their_labels() {
        let whole = six();
        for (parts, expected) in [
            (six().split(1..3), [vec![0, 3, 4, 5], vec![1, 2]]),
            (six().split_every(3), [vec![0, 1, 3, 4], vec![2, 5]]),
        ] {
            let (rest, held_out) = parts.unwrap();
            for (part, indices) in [rest, held_out].iter().zip(expected) {
                assert_eq!(part.len(), indices.len());
                assert_eq!(part.class_names(), whole.class_names());
                for (position, index) in indices.into_iter().enumerate() {
                    assert_eq!(part.image(position), whole.image(index));
                    assert_eq!(part.label(position), whole.label(index));
                }
            }
        }
        assert_eq!(six().take(2).unwrap().labels(), Some(&[0, 1][..]));
    }

    #[test]
    fn levels_are_counted_by_channel() {
        let counts = six().level_counts(1..3);
        for (level, [first, second]) in (0..36).map(|l| (l, [0, 1].map(|c: usize| counts[c][l]))) {
            // Images 1 and 2 hold the levels 6 to 17, three of each channel in turn.
            let expected = u64::from((6..18).contains(&level));
            assert_eq!(first + second, expected, "{level}");
            assert_eq!(second, expected * u64::from(level / 3 % 2 == 1));
        }
    }

    #[test]
    fn a_box_becomes_its_mean() {
        let set = six().reduce([1, 1]).unwrap();
        assert_eq!(set.shape(), [2, 1, 1]);
        assert_eq!(set.images(), [1, 4, 7, 10, 13, 16, 19, 22, 25, 28, 31, 34]);
        assert_eq!(set.labels(), six().labels());
        // 2 x 2 boxes: means of 1.5, rounded half up, and of 255.
        let images = vec![0, 1, 255, 255, 2, 3, 255, 255];
        let set = ImageDataset::new(images, [1, 2, 4]).unwrap();
        assert_eq!(set.reduce([1, 2]).unwrap().images(), [2, 255]);
        assert_eq!(six().reduce([1, 3]).unwrap(), six());
        for size in [[1, 2], [2, 3], [0, 1]] {
            let error = six().reduce(size).unwrap_err().to_string();
            assert!(error.contains("images of 1 x 3"), "{error}");
        }
    }

    #[test]
    fn a_batch_holds_the_chosen_images_in_order() {
        let device = Device::flex();
        let batch = six().batch(&[4, 0], Some(&[false, true]), &device);
        assert_eq!(batch.images.dims(), [2, 2, 1, 3]);
        assert_eq!(batch.indices, [4, 0]);
        assert_eq!(
            to_levels(batch.images).unwrap(),
            [
                24, 25, 26, 27, 28, 29, /* mirrored: */ 2, 1, 0, 5, 4, 3
            ]
        );
        let labels = batch.labels.unwrap().into_data().convert::<i64>();
        assert_eq!(labels, TensorData::from([1i64, 0]));
    }

    #[test]
    fn batches_visit_every_image_once() {
        let device = Device::flex();
        let visited: Vec<_> = six()
            .batches(4, &device)
            .map(|batch| batch.indices)
            .collect();
        assert_eq!(visited, [vec![0, 1, 2, 3], vec![4, 5]]);
    }
}

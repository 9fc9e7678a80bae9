//! Batches: some images of a set as tensors.

use burn::tensor::{Device, Int, Tensor, TensorData};

use crate::dataset::ImageDataset;

/// A batch: some images of a set as tensors.
#[derive(Clone, Debug)]
pub struct ImageBatch {
    /// The images, `[B, C, H, W]`: level / 255, which lies in `[0, 1]`.
    pub images: Tensor<4>,
    /// The labels, `[B]`, each below the number of classes; `None` where the set has no labels.
    pub labels: Option<Tensor<1, Int>>,
    /// The position of each image in the set, `[B]`.
    pub indices: Vec<usize>,
}

impl ImageBatch {
    /// Returns the labels for a model of `classes` classes: `None` for a model without classes, or
    /// where the set has no labels.
    pub fn labels_of(&self, classes: usize) -> Option<&Tensor<1, Int>> {
        self.labels.as_ref().filter(|_| classes > 0)
    }
}

impl ImageDataset {
    /// Returns the images at `indices` as tensors, each mirrored left to right where its entry of
    /// `flips` says so.
    ///
    /// # Panics
    ///
    /// Panics if `indices` is empty, if an index is not below [`len`](Self::len), or if there is
    /// not one flip per index.
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

    /// Iterates over every image once, in order, in batches of `batch`; the last is smaller where
    /// the set does not divide. Use this for evaluation, and [`Loader`](crate::Loader) for
    /// training.
    ///
    /// # Panics
    ///
    /// Panics if `batch` is 0.
    pub fn batches(&self, batch: usize, device: &Device) -> impl Iterator<Item = ImageBatch> {
        let device = device.clone();
        (0..self.len()).step_by(batch).map(move |start| {
            let indices: Vec<usize> = (start..self.len().min(start + batch)).collect();
            self.batch(&indices, None, &device)
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{dataset::tests::six, levels::to_levels};

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

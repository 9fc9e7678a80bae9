//! Subsets of a set: held-out images, the first images, or a random draw.

use std::ops::Range;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result},
    rng::{below, stream},
};

impl ImageDataset {
    /// Splits the set in all other images and the images of the range `held_out`. Both keep their
    /// order.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if one of the two were empty or the range leaves the set.
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

    /// Splits the set in all other images and the last of every `step` images. In a set that is
    /// sorted by class, this takes the same fraction of every class.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if one of the two were empty, that is, if `step` is below 2 or
    /// above the number of images.
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

    /// Keeps the first `count` images.
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

    /// Keeps the images of a range, in their order.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the range is empty or leaves the set.
    pub fn slice(self, images: Range<usize>) -> Result<Self> {
        if images.is_empty() || images.end > self.len() {
            return Err(DataError::Inconsistent(format!(
                "cannot take the images {images:?} of {}",
                self.len()
            )));
        }
        Ok(self.select(images))
    }

    /// Keeps `count` images that a seed draws without replacement, in the order of the set.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if `count` is 0 or above the number of images.
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
}

#[cfg(test)]
mod tests {
    use crate::dataset::tests::six;

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
        assert_eq!(six().slice(0..2).unwrap(), six().take(2).unwrap());
        assert_eq!(six().slice(4..6).unwrap().labels(), Some(&[1, 2][..]));
        assert!(six().slice(5..7).is_err() && six().slice(3..3).is_err());
    }
}

//! Subsets of a set: held-out images, the first images, or a random draw.

use std::ops::Range;

use crate::{
    dataset::ImageDataset,
    error::{DataError, Result},
    memory,
    rng::{below, stream},
};

impl ImageDataset {
    /// Splits the set in all other images and the images of the range `held_out`. Both keep their
    /// order.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if one of the two were empty or the range leaves the set, and
    /// [`DataError::Memory`] if the held-out images do not fit in memory next to the set.
    pub fn split(self, held_out: Range<usize>) -> Result<(Self, Self)> {
        if held_out.is_empty() || held_out.end > self.len() || held_out.len() == self.len() {
            return Err(DataError::Inconsistent(format!(
                "cannot hold out the images {held_out:?} of {}",
                self.len()
            )));
        }
        self.divide(|index| held_out.contains(&index))
    }

    /// Splits the set in all other images and the last of every `step` images. In a set that is
    /// sorted by class, this takes the same fraction of every class.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if one of the two were empty, that is, if `step` is below 2 or
    /// above the number of images, and [`DataError::Memory`] if the held-out images do not fit in memory
    /// next to the set.
    pub fn split_every(self, step: usize) -> Result<(Self, Self)> {
        if !(2..=self.len()).contains(&step) {
            return Err(DataError::Inconsistent(format!(
                "cannot hold out one in {step} of {} images",
                self.len()
            )));
        }
        self.divide(|index| index % step == step - 1)
    }

    /// Keeps the first `count` images.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if `count` is 0 or above the number of images.
    pub fn take(mut self, count: usize) -> Result<Self> {
        if !(1..=self.len()).contains(&count) {
            return Err(cannot_take(count, self.len()));
        }
        self.keep(0..count);
        Ok(self)
    }

    /// Keeps the images of a range, in their order.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if the range is empty or leaves the set.
    pub fn slice(mut self, images: Range<usize>) -> Result<Self> {
        if images.is_empty() || images.end > self.len() {
            return Err(DataError::Inconsistent(format!(
                "cannot take the images {images:?} of {}",
                self.len()
            )));
        }
        self.keep(images);
        Ok(self)
    }

    /// Keeps `count` images that a seed draws without replacement, in the order of the set.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if `count` is 0 or above the number of images.
    pub fn draw(mut self, count: usize, seed: u64) -> Result<Self> {
        if !(1..self.len()).contains(&count) {
            return self.take(count);
        }
        self.keep(self.drawn(count, seed).into_iter());
        Ok(self)
    }

    /// Copies the images that [`draw`](Self::draw) keeps, and leaves the set as it is.
    ///
    /// # Errors
    ///
    /// [`DataError::Inconsistent`] if `count` is 0 or above the number of images, and
    /// [`DataError::Memory`] if the copies do not fit in memory.
    pub fn draw_copy(&self, count: usize, seed: u64) -> Result<Self> {
        if !(1..=self.len()).contains(&count) {
            return Err(cannot_take(count, self.len()));
        }
        self.copy(self.drawn(count, seed).into_iter())
    }

    /// The places of images that a seed draws, in their order.
    fn drawn(&self, count: usize, seed: u64) -> Vec<usize> {
        let mut rng = stream(seed, u64::from_be_bytes(*b"drawing "));
        let mut indices: Vec<usize> = (0..self.len()).collect();
        for i in 0..count {
            let other = i + below(&mut rng, indices.len() - i);
            indices.swap(i, other);
        }
        indices.truncate(count);
        indices.sort_unstable();
        indices
    }

    /// Moves some images to a set of their own; the others stay in the memory where they are.
    fn divide(mut self, is_held_out: impl Fn(usize) -> bool) -> Result<(Self, Self)> {
        let places = 0..self.len();
        let held_out = self.copy(places.clone().filter(|&index| is_held_out(index)))?;
        self.keep(places.filter(|&index| !is_held_out(index)));
        Ok((self, held_out))
    }

    /// Copies the images at these places.
    fn copy(&self, places: impl Iterator<Item = usize> + Clone) -> Result<Self> {
        let mut images = memory::room(&[places.clone().count(), self.image_len()])?;
        for place in places.clone() {
            images.extend_from_slice(self.image(place));
        }
        let labels = self.labels.as_ref();
        Ok(Self {
            images,
            labels: labels.map(|labels| places.map(|place| labels[place]).collect()),
            class_names: self.class_names.clone(),
            ..*self
        })
    }

    /// Keeps the images at these places, which ascend, without a second copy of them.
    fn keep(&mut self, places: impl Iterator<Item = usize>) {
        let len = self.image_len();
        let mut kept = 0;
        for place in places {
            self.images
                .copy_within(place * len..(place + 1) * len, kept * len);
            if let Some(labels) = &mut self.labels {
                labels[kept] = labels[place];
            }
            kept += 1;
        }
        self.images.truncate(kept * len);
        if let Some(labels) = &mut self.labels {
            labels.truncate(kept);
        }
        // A few images of a large set must not hold its memory.
        if self.images.len() < self.images.capacity() / 2 {
            self.images.shrink_to_fit();
        }
    }
}

fn cannot_take(count: usize, len: usize) -> DataError {
    DataError::Inconsistent(format!("cannot take {count} of {len} images"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use crate::dataset::{ImageDataset, tests::six};

    /// A set of some images of 1 x 1 x 3, the bytes and the label of each being its place.
    fn numbered(places: impl IntoIterator<Item = usize>) -> ImageDataset {
        let places: Vec<usize> = places.into_iter().collect();
        let images = places.iter().flat_map(|&place| [place as u8; 3]).collect();
        ImageDataset::new(images, [1, 1, 3])
            .and_then(|set| set.with_labels(places.iter().map(|&p| p as u32).collect(), 100))
            .unwrap()
    }

    proptest! {
        #[test]
        fn parts_are_the_images_that_their_definition_names(
            (len, step, range) in (2usize..60).prop_flat_map(|len| {
                let range = (0..len, 0..len).prop_filter("neither empty nor all", move |&(a, b)| {
                    a.min(b) > 0 || a.max(b) + 1 < len
                });
                (Just(len), 2..=len, range)
            })
        ) {
            let set = || numbered(0..len);
            let range = range.0.min(range.1)..range.0.max(range.1) + 1;
            let (rest, held_out) = set().split(range.clone()).unwrap();
            prop_assert_eq!(rest, numbered((0..len).filter(|place| !range.contains(place))));
            prop_assert_eq!(held_out, numbered(range.clone()));
            let (rest, held_out) = set().split_every(step).unwrap();
            prop_assert_eq!(rest, numbered((0..len).filter(|place| (place + 1) % step != 0)));
            prop_assert_eq!(held_out, numbered((0..len).filter(|place| (place + 1) % step == 0)));
            prop_assert_eq!(set().slice(range.clone()).unwrap(), numbered(range));
            prop_assert_eq!(set().take(step).unwrap(), numbered(0..step));
        }
    }

    #[test]
    fn a_split_leaves_the_images_in_their_memory() {
        let set = numbered(0..100);
        let memory = set.images().as_ptr();
        let (rest, held_out) = set.split_every(10).unwrap();
        assert_eq!(rest.images().as_ptr(), memory);
        assert_eq!(held_out.images.capacity(), 30);
        let rest = rest.split(20..40).unwrap().0.take(60).unwrap();
        assert_eq!(rest.images().as_ptr(), memory);
        // A small part gives the memory of the others back.
        assert_eq!(rest.slice(50..52).unwrap().images.capacity(), 6);
    }

    #[test]
    fn a_draw_is_a_subset_that_the_seed_chooses() {
        let draw = |count, seed| six().draw(count, seed).unwrap();
        assert_eq!(draw(6, 1), six());
        assert_eq!(draw(3, 1), draw(3, 1));
        for count in [1, 3, 6] {
            assert_eq!(six().draw_copy(count, 1).unwrap(), draw(count, 1));
        }
        assert!(six().draw_copy(0, 1).is_err() && six().draw_copy(7, 1).is_err());
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

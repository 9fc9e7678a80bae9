//! The in-memory set of images that every reader of this crate produces.

use std::ops::Range;

use crate::error::{DataError, Result};
use crate::sizes::element_count;

/// A set of 8-bit images of one size, with or without class labels.
///
/// Images are planar: the bytes of one image are all rows of its first channel, then all rows of
/// the next, which is the layout `[N, C, H, W]` that Burn's convolutions take. A set holds at
/// least one image.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ImageDataset {
    pub(crate) images: Vec<u8>,
    pub(crate) shape: [usize; 3],
    pub(crate) labels: Option<Vec<u32>>,
    pub(crate) classes: usize,
    pub(crate) class_names: Option<Vec<String>>,
}

#[expect(clippy::len_without_is_empty, reason = "a set is never empty")]
impl ImageDataset {
    /// Creates a set without labels from the bytes of its images, `[N, C, H, W]`, and their shape
    /// Returns the shape of one image, `[channels, height, width]`.
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

    /// Returns the number of images, at least 1.
    pub fn len(&self) -> usize {
        self.images.len() / self.image_len()
    }

    /// `[channels, height, width]`.
    pub fn shape(&self) -> [usize; 3] {
        self.shape
    }

    /// Returns the number of classes, 0 for a set without labels.
    pub fn classes(&self) -> usize {
        self.classes
    }

    /// Returns the name of each class in the order of the labels; `None` where the source has no
    /// names.
    pub fn class_names(&self) -> Option<&[String]> {
        self.class_names.as_deref()
    }

    /// Returns the levels of all images, `[N, C, H, W]`.
    pub fn images(&self) -> &[u8] {
        &self.images
    }

    /// Returns all labels, `[N]`; `None` for a set without labels.
    pub fn labels(&self) -> Option<&[u32]> {
        self.labels.as_deref()
    }

    /// Returns the levels of one image, `[C, H, W]`.
    ///
    /// # Panics
    ///
    /// Panics if `index` is not below [`len`](Self::len).
    pub fn image(&self, index: usize) -> &[u8] {
        let len = self.image_len();
        &self.images[index * len..][..len]
    }

    /// Returns the label of one image; `None` for a set without labels.
    ///
    /// # Panics
    ///
    /// Panics if the set has labels and `index` is not below [`len`](Self::len).
    pub fn label(&self, index: usize) -> Option<u32> {
        self.labels.as_ref().map(|labels| labels[index])
    }

    /// Counts how often each level occurs in each channel of the images of a range.
    ///
    /// # Panics
    ///
    /// Panics if the range leaves the set.
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

    pub(crate) fn image_len(&self) -> usize {
        self.shape.iter().product()
    }
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    /// Six images of 2 x 1 x 3, each byte different, labels 0, 1, 2, 0, 1, 2.
    pub(crate) fn six() -> ImageDataset {
        ImageDataset::new((0..36).collect(), [2, 1, 3])
            .and_then(|set| set.with_labels(vec![0, 1, 2, 0, 1, 2], 3))
            .and_then(|set| set.with_class_names(["a", "b", "c"]))
            .unwrap()
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
    fn levels_are_counted_by_channel() {
        let counts = six().level_counts(1..3);
        for (level, [first, second]) in (0..36).map(|l| (l, [0, 1].map(|c: usize| counts[c][l]))) {
            // Images 1 and 2 hold the levels 6 to 17, three of each channel in turn.
            let expected = u64::from((6..18).contains(&level));
            assert_eq!(first + second, expected, "{level}");
            assert_eq!(second, expected * u64::from(level / 3 % 2 == 1));
        }
    }
}

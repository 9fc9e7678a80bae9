use std::path::PathBuf;

use pixel_iqn_data::{ImageDataset, md5};
use serde::{Deserialize, Serialize};

/// Where the images of a run come from.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct DataConfig {
    /// The name of the data set.
    pub dataset: String,
    /// The folder that it was read from; `None` for images that come from no folder.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<PathBuf>,
    /// One line on the data set: its sizes, and what was held out.
    pub description: String,
    /// Height and width of the images, in pixels.
    pub size: [usize; 2],
    /// Channels of the images.
    pub channels: usize,
    /// The MD5 of the MD5s of the training images, of their labels and of the held-out images, by
    /// which a resumed run knows them.
    pub digest: String,
    /// The name of each class, where the data set has names.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub class_names: Option<Vec<String>>,
    /// How many training images were drawn, and the seed; `None` for images from files.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub drawn: Option<Drawn>,
}

/// What built-in pictures depend on besides their size.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Drawn {
    /// The training images.
    pub count: usize,
    /// The seed.
    pub seed: u64,
}

impl Drawn {
    /// Describes pictures of a seed.
    pub fn new(count: usize, seed: u64) -> Self {
        Self { count, seed }
    }
}

impl DataConfig {
    /// Describes images in memory that a data set of this name holds.
    pub fn new(dataset: &str, train: &ImageDataset, held_out: &ImageDataset) -> Self {
        let [channels, height, width] = train.shape();
        let (images, others) = (train.len(), held_out.len());
        Self {
            dataset: dataset.to_owned(),
            path: None,
            description: format!("{dataset}: {images} training and {others} held-out images"),
            size: [height, width],
            channels,
            drawn: None,
            digest: digest(train, held_out),
            class_names: train.class_names().map(<[String]>::to_vec),
        }
    }

    /// The line on the data set with what tells it from another of the same kind and size: its folder, and
    /// the beginning of its digest.
    pub fn told_apart(&self) -> String {
        let digest = self.digest.get(..8).unwrap_or(&self.digest);
        match &self.path {
            Some(path) => format!(
                "{} in {}, digest {digest}",
                self.description,
                path.display()
            ),
            None => format!("{}, digest {digest}", self.description),
        }
    }

    /// Sets the folder that the images were read from.
    pub fn with_path(self, path: Option<PathBuf>) -> Self {
        Self { path, ..self }
    }

    /// Sets how many training images a program drew, and the seed.
    pub fn with_drawn(self, drawn: Option<Drawn>) -> Self {
        Self { drawn, ..self }
    }

    /// Sets the line on the data set.
    pub fn with_description(self, description: impl Into<String>) -> Self {
        Self {
            description: description.into(),
            ..self
        }
    }
}

/// Computes [`DataConfig::digest`].
pub(crate) fn digest(train: &ImageDataset, held_out: &ImageDataset) -> String {
    let labels = train.labels().unwrap_or_default().iter();
    let labels: Vec<u8> = labels.flat_map(|label| label.to_le_bytes()).collect();
    let parts = [md5(train.images()), md5(&labels), md5(held_out.images())];
    md5(parts.concat().as_bytes())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_digest_tells_images_and_labels_apart() {
        let set = |range| pixel_iqn_data::builtin::generate(0, range, 4, 3).unwrap();
        let expected = digest(&set(0..2), &set(2..3));
        assert_eq!(digest(&set(0..2), &set(2..3)), expected);
        assert_ne!(digest(&set(0..2), &set(3..4)), expected);
        assert_ne!(digest(&set(0..3), &set(2..3)), expected);
        let of = |range| DataConfig::new("folder", &set(range), &set(8..9));
        let (first, second) = (of(0..2), of(2..4));
        assert_eq!(first.description, second.description);
        assert_ne!(first.told_apart(), second.told_apart());
        assert!(
            first
                .with_path(Some("a/b".into()))
                .told_apart()
                .contains("in a/b")
        );
        let relabelled = set(0..2).with_labels(vec![9, 9], 10).unwrap();
        assert_ne!(digest(&relabelled, &set(2..3)), expected);
    }
}

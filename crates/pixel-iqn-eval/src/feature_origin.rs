use core::fmt;
use std::str::FromStr;

use crate::inception::Preprocessing;

/// How the features of images were computed: features of two networks or resizings cannot be compared, and
/// those of images of two sizes say much of the sizes.
///
/// Its text, which files of statistics have as the comment of the archive, is read back by `parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureOrigin {
    /// How the images were resized and scaled.
    pub preprocessing: Preprocessing,
    /// The MD5 checksum of the weights of the network, in hexadecimal.
    pub network: String,
    /// The height and width of the images before they were resized, where it is known.
    pub size: Option<[usize; 2]>,
}

impl FeatureOrigin {
    /// Features of a network with this checksum.
    pub fn new(preprocessing: Preprocessing, network: impl Into<String>) -> Self {
        Self {
            preprocessing,
            network: network.into(),
            size: None,
        }
    }

    /// Sets the height and width that the images had before they were resized.
    pub fn with_size(self, size: Option<[usize; 2]>) -> Self {
        Self { size, ..self }
    }

    /// Whether features of the other origin are of the same network and resizing.
    pub fn is_comparable_with(&self, other: &Self) -> bool {
        (self.preprocessing, &self.network) == (other.preprocessing, &other.network)
    }
}

const OF_SIZE: &str = "images of ";
const AS_BY: &str = " resized as by ";
const RESIZED: &str = "images resized as by ";
const NETWORK: &str = ", features of the Inception v3 with MD5 ";

impl fmt::Display for FeatureOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preprocessing = self.preprocessing.name();
        match self.size {
            Some([height, width]) => {
                write!(f, "{OF_SIZE}{height} x {width}{AS_BY}{preprocessing}")?;
            }
            None => write!(f, "{RESIZED}{preprocessing}")?,
        }
        write!(f, "{NETWORK}{}", self.network)
    }
}

/// A text does not say how features were computed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the text does not say how features were computed")]
#[non_exhaustive]
pub struct UnknownOrigin;

impl FromStr for FeatureOrigin {
    type Err = UnknownOrigin;

    fn from_str(text: &str) -> Result<Self, UnknownOrigin> {
        let (size, text) = match text.strip_prefix(RESIZED) {
            Some(text) => (None, text),
            None => size_of(text).ok_or(UnknownOrigin)?,
        };
        let (name, network) = text.split_once(NETWORK).ok_or(UnknownOrigin)?;
        let known = [Preprocessing::TorchFidelity, Preprocessing::PytorchFid];
        let preprocessing = known.into_iter().find(|known| known.name() == name);
        let origin = Self::new(preprocessing.ok_or(UnknownOrigin)?, network);
        Ok(origin.with_size(size))
    }
}

/// The size that a text begins with, and what comes after [`RESIZED`].
fn size_of(text: &str) -> Option<(Option<[usize; 2]>, &str)> {
    let (size, rest) = text.strip_prefix(OF_SIZE)?.split_once(AS_BY)?;
    let (height, width) = size.split_once(" x ")?;
    Some((Some([height.parse().ok()?, width.parse().ok()?]), rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_read_back() {
        let origin = FeatureOrigin::new(Preprocessing::PytorchFid, "abc");
        for size in [None, Some([16, 24])] {
            let origin = origin.clone().with_size(size);
            assert_eq!(origin.to_string().parse(), Ok(origin.clone()));
        }
        assert_eq!(
            origin.with_size(Some([16, 24])).to_string(),
            "images of 16 x 24 resized as by pytorch-fid, features of the Inception v3 with MD5 abc"
        );
        for text in ["", "images of 16 resized as by pytorch-fid", "other"] {
            assert_eq!(text.parse::<FeatureOrigin>(), Err(UnknownOrigin));
        }
    }
}

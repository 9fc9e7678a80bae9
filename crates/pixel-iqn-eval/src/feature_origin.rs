use core::fmt;
use std::str::FromStr;

use crate::inception::Preprocessing;

/// How the features of images were computed: features of two origins cannot be compared.
///
/// Its text, which files of statistics have as the comment of the archive, is read back by `parse`.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct FeatureOrigin {
    /// How the images were resized and scaled.
    pub preprocessing: Preprocessing,
    /// The MD5 checksum of the weights of the network, in hexadecimal.
    pub network: String,
}

impl FeatureOrigin {
    /// Features of a network with this checksum.
    pub fn new(preprocessing: Preprocessing, network: impl Into<String>) -> Self {
        Self {
            preprocessing,
            network: network.into(),
        }
    }
}

const RESIZED: &str = "images resized as by ";
const NETWORK: &str = ", features of the Inception v3 with MD5 ";

impl fmt::Display for FeatureOrigin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let preprocessing = self.preprocessing.name();
        write!(f, "{RESIZED}{preprocessing}{NETWORK}{}", self.network)
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
        let text = text.strip_prefix(RESIZED).ok_or(UnknownOrigin)?;
        let (name, network) = text.split_once(NETWORK).ok_or(UnknownOrigin)?;
        let known = [Preprocessing::TorchFidelity, Preprocessing::PytorchFid];
        let preprocessing = known.into_iter().find(|known| known.name() == name);
        Ok(Self::new(preprocessing.ok_or(UnknownOrigin)?, network))
    }
}

use serde::{Deserialize, Serialize};

use crate::config::ConfigError;

/// What a model predicts for each value of an image, and through which layers.
///
/// In JSON and TOML it is a table with a `kind`, as in `"output": {"kind": "gates", "cosines": 64,
/// "tau_features": 64}`; a size that is left out has its default.
///
/// ```
/// use pixel_iqn_core::{ModelConfig, Output};
///
/// let config = ModelConfig::quick().with_output(Output::categorical(256));
/// assert_eq!(config.output.kind(), "categorical");
/// ```
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
#[non_exhaustive]
pub enum Output {
    /// One quantile of the conditional distribution, at a given tau that enters the gates of the
    /// horizontal stack of each layer, in the place of the location-dependent conditioning of Gated
    /// PixelCNN: the PixelIQN of Ostrovski et al. 2018. A value then also depends on the tau of the
    /// values before it.
    Gates {
        /// Cosines `n` of the quantile embedding, at least 1. The value of Dabney et al. 2018 is 64.
        #[serde(default = "sixty_four")]
        cosines: usize,
        /// Width `E` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        tau_features: usize,
    },
    /// One quantile of the conditional distribution, at a given tau that enters after the trunk,
    /// channel by channel, so that a value depends on its own tau alone and many tau share one pass
    /// of the trunk. Our choice: the strict factorisation of AIQN.
    Head {
        /// Gated 1x1 blocks after the trunk.
        #[serde(default = "two")]
        blocks: usize,
        /// Cosines `n` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        cosines: usize,
        /// Width `E` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        tau_features: usize,
    },
    /// One logit for each intensity level: the Gated PixelCNN of van den Oord et al. 2016.
    Categorical {
        /// Intensity levels, at least 2.
        #[serde(default = "all_levels")]
        levels: usize,
    },
}

fn sixty_four() -> usize {
    64
}

fn two() -> usize {
    2
}

fn all_levels() -> usize {
    256
}

impl Output {
    /// The names of all kinds, as configs and programs write them.
    pub const KINDS: [&'static str; 3] = ["gates", "head", "categorical"];

    /// Quantiles with tau in the gates: [`Output::Gates`].
    pub fn gates(cosines: usize, tau_features: usize) -> Self {
        Self::Gates {
            cosines,
            tau_features,
        }
    }

    /// Quantiles with tau after the trunk: [`Output::Head`].
    pub fn head(blocks: usize, cosines: usize, tau_features: usize) -> Self {
        Self::Head {
            blocks,
            cosines,
            tau_features,
        }
    }

    /// Logits of intensity levels: [`Output::Categorical`].
    pub fn categorical(levels: usize) -> Self {
        Self::Categorical { levels }
    }

    /// The output of a kind with its default sizes: `gates`, `head` or `categorical`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownOutput`] for any other name.
    pub fn of_kind(kind: &str) -> Result<Self, ConfigError> {
        Self::gates(sixty_four(), sixty_four()).to_kind(kind)
    }

    /// The output of another kind which keeps the sizes that both have: the quantile embedding of
    /// `gates` and `head`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownOutput`] for a name that is none of [`KINDS`](Self::KINDS).
    pub fn to_kind(&self, kind: &str) -> Result<Self, ConfigError> {
        if kind == self.kind() {
            return Ok(self.clone());
        }
        let [cosines, tau_features] = self.embedding().unwrap_or([sixty_four(); 2]);
        match kind {
            "gates" => Ok(Self::gates(cosines, tau_features)),
            "head" => Ok(Self::head(two(), cosines, tau_features)),
            "categorical" => Ok(Self::categorical(all_levels())),
            _ => Err(ConfigError::UnknownOutput(kind.to_owned())),
        }
    }

    /// The name of the kind, as [`of_kind`](Self::of_kind) reads it.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gates { .. } => "gates",
            Self::Head { .. } => "head",
            Self::Categorical { .. } => "categorical",
        }
    }

    /// Whether the model predicts quantiles, so that it is a [`PixelIqn`](crate::PixelIqn), and not
    /// the probabilities of levels.
    pub fn is_quantile(&self) -> bool {
        match self {
            Self::Gates { .. } | Self::Head { .. } => true,
            Self::Categorical { .. } => false,
        }
    }

    /// Cosines and width of the quantile embedding, for an output that has one.
    pub(crate) fn embedding(&self) -> Option<[usize; 2]> {
        match self {
            Self::Gates {
                cosines,
                tau_features,
            }
            | Self::Head {
                cosines,
                tau_features,
                ..
            } => Some([*cosines, *tau_features]),
            Self::Categorical { .. } => None,
        }
    }

    /// The field that is out of range, if one is.
    pub(crate) fn problem(&self) -> Option<String> {
        match self {
            Self::Gates {
                cosines,
                tau_features,
            }
            | Self::Head {
                cosines,
                tau_features,
                ..
            } => (*cosines == 0 || *tau_features == 0).then(|| {
                format!("cosines ({cosines}) and tau_features ({tau_features}) must be at least 1")
            }),
            Self::Categorical { levels } => {
                (*levels < 2).then(|| format!("levels must be at least 2, not {levels}"))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_kind_goes_there_and_back() {
        for kind in Output::KINDS {
            let output = Output::of_kind(kind).unwrap();
            assert_eq!(output.kind(), kind);
            let json = serde_json::to_string(&output).unwrap();
            assert!(json.contains(&format!(r#""kind":"{kind}""#)), "{json}");
            assert_eq!(serde_json::from_str::<Output>(&json).unwrap(), output);
            // Sizes that are left out have their defaults.
            let short = format!(r#"{{"kind": "{kind}"}}"#);
            assert_eq!(serde_json::from_str::<Output>(&short).unwrap(), output);
        }
        let error = Output::of_kind("softmax").unwrap_err().to_string();
        assert!(error.contains("`categorical`"), "{error}");
    }

    #[test]
    fn another_kind_keeps_the_embedding() {
        let head = Output::gates(16, 8).to_kind("head").unwrap();
        assert_eq!(head, Output::head(2, 16, 8));
        assert_eq!(head.to_kind("gates").unwrap(), Output::gates(16, 8));
        let levels = Output::categorical(16);
        assert_eq!(levels.to_kind("categorical").unwrap(), levels);
    }

    #[test]
    fn sizes_of_another_kind_are_refused() {
        let json = r#"{"kind": "categorical", "levels": 16, "cosines": 64}"#;
        assert!(serde_json::from_str::<Output>(json).is_err());
    }
}

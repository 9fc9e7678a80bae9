use pixel_iqn_loss::Knots;
use serde::{Deserialize, Serialize};

use crate::config_error::ConfigError;

/// The output of a model: what it predicts for each value of an image, and through which layers.
///
/// In JSON and TOML it is a table with a `kind`, for example `"output": {"kind": "gates",
/// "cosines": 64, "tau_features": 64}`. A size that is left out has its default.
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
    /// The quantile of the conditional distribution at a given tau, which enters the gates of each
    /// layer's horizontal stack, in place of the location-dependent conditioning of Gated PixelCNN.
    /// This is the PixelIQN of Ostrovski et al. 2018. A value also depends on the tau of the values
    /// before it.
    Gates {
        /// The number of cosines `n` of the quantile embedding, at least 1; 64 in Dabney et al.
        /// 2018.
        #[serde(default = "sixty_four")]
        cosines: usize,
        /// The number of features `E` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        tau_features: usize,
    },
    /// The quantile of the conditional distribution at a given tau, which enters after the trunk,
    /// in a head of gated 1x1 blocks that do not mix channels. A value depends on no tau but its
    /// own, and many tau share one pass of the trunk. This strict factorisation of AIQN is our
    /// choice.
    Head {
        /// The number of gated 1x1 blocks after the trunk.
        #[serde(default = "two")]
        blocks: usize,
        /// The number of cosines `n` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        cosines: usize,
        /// The number of features `E` of the quantile embedding, at least 1.
        #[serde(default = "sixty_four")]
        tau_features: usize,
    },
    /// The whole quantile function of the conditional distribution: the value at the first knot and
    /// the increments to the others, with straight lines between. It never crosses, many tau share
    /// one pass, and its distribution function and CRPS are exact. This is ours, after the
    /// incremental quantile functions of Park et al. 2022.
    Monotone {
        /// The quantile levels of the knots: two or more, strictly ascending in [0, 1]. By default
        /// those of [`Knots::default`](pixel_iqn_loss::Knots::default).
        #[serde(default = "default_knots")]
        knots: Vec<f64>,
    },
    /// The logits of all intensity levels. This is the Gated PixelCNN of van den Oord et al. 2016.
    Categorical {
        /// The number of intensity levels, at least 2.
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

fn default_knots() -> Vec<f64> {
    Knots::default().as_slice().to_vec()
}

impl Output {
    /// The names of all kinds, in the spelling of configs and command lines.
    pub const KINDS: [&'static str; 4] = ["gates", "head", "monotone", "categorical"];

    /// Creates an [`Output::Gates`].
    pub fn gates(cosines: usize, tau_features: usize) -> Self {
        Self::Gates {
            cosines,
            tau_features,
        }
    }

    /// Creates an [`Output::Head`].
    pub fn head(blocks: usize, cosines: usize, tau_features: usize) -> Self {
        Self::Head {
            blocks,
            cosines,
            tau_features,
        }
    }

    /// Creates an [`Output::Monotone`].
    pub fn monotone(knots: &Knots) -> Self {
        Self::Monotone {
            knots: knots.as_slice().to_vec(),
        }
    }

    /// Creates an [`Output::Categorical`].
    pub fn categorical(levels: usize) -> Self {
        Self::Categorical { levels }
    }

    /// Creates the output of a kind with its default sizes. The kind is `gates`, `head`, `monotone`
    /// or `categorical`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownOutput`] where the name is none of [`KINDS`](Self::KINDS).
    pub fn of_kind(kind: &str) -> Result<Self, ConfigError> {
        Self::gates(sixty_four(), sixty_four()).to_kind(kind)
    }

    /// Converts the output to another kind, and keeps the sizes that both kinds have, which are
    /// those of the quantile embedding of `gates` and `head`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownOutput`] where the name is none of [`KINDS`](Self::KINDS).
    pub fn to_kind(&self, kind: &str) -> Result<Self, ConfigError> {
        if kind == self.kind() {
            return Ok(self.clone());
        }
        let [cosines, tau_features] = self.embedding().unwrap_or([sixty_four(); 2]);
        match kind {
            "gates" => Ok(Self::gates(cosines, tau_features)),
            "head" => Ok(Self::head(two(), cosines, tau_features)),
            "monotone" => Ok(Self::monotone(&Knots::default())),
            "categorical" => Ok(Self::categorical(all_levels())),
            _ => Err(ConfigError::UnknownOutput(kind.to_owned())),
        }
    }

    /// The name of the kind, which [`of_kind`](Self::of_kind) takes.
    pub fn kind(&self) -> &'static str {
        match self {
            Self::Gates { .. } => "gates",
            Self::Head { .. } => "head",
            Self::Monotone { .. } => "monotone",
            Self::Categorical { .. } => "categorical",
        }
    }

    /// Whether the model predicts quantiles and so is a [`PixelIqn`](crate::PixelIqn); otherwise it
    /// predicts the probabilities of intensity levels.
    pub fn is_quantile(&self) -> bool {
        match self {
            Self::Gates { .. } | Self::Head { .. } | Self::Monotone { .. } => true,
            Self::Categorical { .. } => false,
        }
    }

    /// The numbers of cosines and features of the quantile embedding, for an output that has one.
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
            Self::Monotone { .. } | Self::Categorical { .. } => None,
        }
    }

    /// Describes the field that is out of range, if there is one.
    pub(crate) fn problem(&self) -> Option<String> {
        if let Some([cosines, tau_features]) = self.embedding() {
            return (cosines == 0 || tau_features == 0).then(|| {
                format!("cosines ({cosines}) and tau_features ({tau_features}) must be at least 1")
            });
        }
        match self {
            Self::Categorical { levels } if *levels < 2 => {
                Some(format!("levels must be at least 2, not {levels}"))
            }
            Self::Monotone { knots } => {
                let error = Knots::new(knots.as_slice()).err()?;
                Some(error.to_string())
            }
            _ => None,
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

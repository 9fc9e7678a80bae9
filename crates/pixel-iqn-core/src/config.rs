use serde::{Deserialize, Serialize};

use pixel_iqn_loss::Knots;

use crate::config_error::ConfigError;
use crate::order::Order;
use crate::output::Output;

/// The architecture of a [`PixelIqn`](crate::PixelIqn) or a
/// [`GatedPixelCnn`](crate::GatedPixelCnn). A run stores it in its `config.toml`.
///
/// The defaults are [`paper_small`](Self::paper_small) for RGB images.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct ModelConfig {
    /// The number of image channels `C`, at least 1.
    pub channels: usize,
    /// The number of features `F` of the feature maps, a positive multiple of `channels`: group `c`
    /// of `F / C` features belongs to image channel `c`.
    pub features: usize,
    /// The number of gated layers, including the input layer; at least 1.
    pub layers: usize,
    /// The kernel size of the input layer, odd.
    pub input_kernel: usize,
    /// The kernel size of the other layers, odd.
    pub kernel: usize,
    /// The dilations of the kernels of the other layers, each at least 1: the distances of
    /// neighbouring taps. The layers cycle through them. Dilations widen what a position reads
    /// without another multiplication (as in WaveNet; our choice).
    pub dilations: Vec<usize>,
    /// The number of classes; 0 for an unconditional model.
    pub classes: usize,
    /// The number of generation orders that the model learns: 1, raster order, or 8, those of
    /// [`Order`](crate::Order).
    pub orders: usize,
    /// What the model predicts, which also decides its kind.
    pub output: Output,
}

/// A method that sets a field.
macro_rules! setters {
    ($($name:ident, $field:ident: $kind:ty;)*) => {
        impl ModelConfig {
            $(
                #[doc = concat!("Sets [`", stringify!($field), "`](Self::", stringify!($field), ").")]
                pub fn $name(self, $field: $kind) -> Self {
                    Self { $field, ..self }
                }
            )*
        }
    };
}

setters! {
    with_channels, channels: usize;
    with_features, features: usize;
    with_layers, layers: usize;
    with_input_kernel, input_kernel: usize;
    with_kernel, kernel: usize;
    with_dilations, dilations: Vec<usize>;
    with_classes, classes: usize;
    with_orders, orders: usize;
    with_output, output: Output;
}

#[cfg(feature = "burn")]
impl burn::config::Config for ModelConfig {}

impl Default for ModelConfig {
    fn default() -> Self {
        Self::new()
    }
}

impl core::fmt::Display for ModelConfig {
    /// Writes the config as [`to_json`](ModelConfig::to_json) does.
    fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
        f.write_str(&self.to_json())
    }
}

impl ModelConfig {
    /// Creates the config of [`paper_small`](Self::paper_small) for RGB images, without classes, in one
    /// order, with the output [`gates`](Output::Gates) of 64 cosines and 64 features.
    pub fn new() -> Self {
        Self {
            channels: 3,
            features: 120,
            layers: 15,
            input_kernel: 7,
            kernel: 3,
            dilations: vec![1],
            classes: 0,
            orders: 1,
            output: Output::gates(64, 64),
        }
    }

    /// The preset for tests: 3 layers of 12 features.
    pub fn tiny() -> Self {
        Self::new()
            .with_features(12)
            .with_layers(3)
            .with_input_kernel(5)
            .with_output(Output::gates(16, 8))
    }

    /// The preset that a laptop trains in half an hour: 5 layers of 48 features with the monotone
    /// output. It was chosen by measurement (`docs/comparison.md`).
    pub fn quick() -> Self {
        Self::new()
            .with_features(48)
            .with_layers(5)
            .with_output(Output::monotone(&Knots::default()))
    }

    /// The preset for about three hours on two cores, 23,000 steps of 16 images of 32x32: 9 layers of 60
    /// features with the dilations 1, 2, 1, 4 and the monotone output.
    ///
    /// The layers and the dilations are those of the shipped model `mnist`, which has 64 features; 60 is
    /// near it and a multiple of one to four channels. The output is that of [`quick`](Self::quick). It
    /// was not chosen among others by trainings of three hours (our choice, `docs/comparison.md`).
    pub fn small() -> Self {
        Self::quick()
            .with_features(60)
            .with_layers(9)
            .with_dilations(vec![1, 2, 1, 4])
    }

    /// The preset of the size of PixelIQN(l) in Ostrovski et al. 2018: 15 layers of 120 features.
    /// The number of layers is the paper's. The number of features is our choice, a multiple of
    /// three near the paper's 128.
    pub fn paper_small() -> Self {
        Self::new()
    }

    /// The preset of the size of the large models in Ostrovski et al. 2018: 20 layers of 384
    /// features with 5x5 kernels.
    pub fn paper_large() -> Self {
        Self::new()
            .with_features(384)
            .with_layers(20)
            .with_kernel(5)
    }

    /// Finds a preset by name: `tiny`, `quick`, `small`, `paper_small` or `paper_large`.
    ///
    /// # Errors
    ///
    /// [`ConfigError::UnknownPreset`] where the name is none of these.
    pub fn preset(name: &str) -> Result<Self, ConfigError> {
        match name {
            "tiny" => Ok(Self::tiny()),
            "quick" => Ok(Self::quick()),
            "small" => Ok(Self::small()),
            "paper_small" => Ok(Self::paper_small()),
            "paper_large" => Ok(Self::paper_large()),
            _ => Err(ConfigError::UnknownPreset(name.to_owned())),
        }
    }

    /// Reads and validates a config from JSON. `dilations` and `orders` may be left out.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Json`] where the text is not a config or has an unknown field, and
    /// [`ConfigError::Invalid`] where a field is out of range.
    pub fn from_json(json: &str) -> Result<Self, ConfigError> {
        let invalid = |error: serde_json::Error| ConfigError::Json(error.to_string());
        let mut value: serde_json::Value = serde_json::from_str(json).map_err(invalid)?;
        if let Some(fields) = value.as_object_mut() {
            let defaults = serde_json::to_value(Self::new()).map_err(invalid)?;
            // The derived deserialiser ignores unknown fields, which hides a misspelt name.
            if let Some(name) = fields.keys().find(|name| defaults.get(name).is_none()) {
                return Err(ConfigError::Json(format!("unknown field `{name}`")));
            }
            // Configs from before these fields are those of their defaults.
            for name in ["dilations", "orders"] {
                let field = fields.entry(name);
                field.or_insert_with(|| defaults[name].clone());
            }
        }
        let config: Self = serde_json::from_value(value).map_err(invalid)?;
        config.validate()?;
        Ok(config)
    }

    /// Writes the config as indented JSON, which [`from_json`](Self::from_json) reads.
    pub fn to_json(&self) -> String {
        serde_json::to_string_pretty(self).expect("a config of numbers and names is valid JSON")
    }

    /// Checks that every field is in its range.
    ///
    /// # Errors
    ///
    /// [`ConfigError::Invalid`] where a field is out of range; it names the first one.
    pub fn validate(&self) -> Result<(), ConfigError> {
        let check = |ok: bool, message: String| {
            if ok {
                Ok(())
            } else {
                Err(ConfigError::Invalid(message))
            }
        };
        check(
            self.channels > 0,
            "channels must be at least 1, not 0".into(),
        )?;
        check(
            self.features > 0 && self.features.is_multiple_of(self.channels),
            format!(
                "features ({}) must be a positive multiple of channels ({})",
                self.features, self.channels
            ),
        )?;
        check(self.layers > 0, "layers must be at least 1, not 0".into())?;
        for (name, kernel) in [("input_kernel", self.input_kernel), ("kernel", self.kernel)] {
            check(kernel % 2 == 1, format!("{name} must be odd, not {kernel}"))?;
        }
        check(
            !self.dilations.is_empty() && self.dilations.iter().all(|d| (1..=1024).contains(d)),
            format!(
                "dilations must be one or more numbers from 1 to 1024, not {:?}",
                self.dilations
            ),
        )?;
        check(
            self.orders == 1 || self.orders == Order::COUNT,
            format!("orders must be 1 or 8, not {}", self.orders),
        )?;
        match self.output.problem() {
            Some(problem) => Err(ConfigError::Invalid(problem)),
            None => Ok(()),
        }
    }

    /// The dilation of a layer: 1 for the input layer, which has index 0.
    ///
    /// # Panics
    ///
    /// Panics if [`dilations`](Self::dilations) is empty, which a valid config's are not.
    pub fn dilation(&self, layer: usize) -> usize {
        match layer.checked_sub(1) {
            Some(index) => self.dilations[index % self.dilations.len()],
            None => 1,
        }
    }

    /// Panics if the config is invalid.
    #[cfg(feature = "burn")]
    pub(crate) fn expect_valid(&self) {
        if let Err(error) = self.validate() {
            panic!("{error}");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_round_trip() {
        let config = ModelConfig::quick().with_output(Output::categorical(16));
        assert!(config.to_json().contains(r#""kind": "categorical""#));
        assert_eq!(ModelConfig::from_json(&config.to_json()).unwrap(), config);
    }

    #[test]
    fn unknown_fields_are_refused() {
        let json = ModelConfig::tiny().to_json();
        let json = json.replacen("{", r#"{"kernal": 3,"#, 1);
        let error = ModelConfig::from_json(&json).unwrap_err();
        assert!(matches!(error, ConfigError::Json(_)), "{error}");
        assert!(
            error.to_string().contains("unknown field `kernal`"),
            "{error}"
        );
    }

    #[test]
    fn dilations_and_orders_may_be_left_out() {
        let config = ModelConfig::tiny();
        let mut value = serde_json::to_value(&config).unwrap();
        for name in ["dilations", "orders"] {
            value.as_object_mut().unwrap().remove(name).unwrap();
        }
        assert_eq!(ModelConfig::from_json(&value.to_string()).unwrap(), config);
    }

    #[test]
    fn dilations_go_round_the_layers_after_the_first() {
        let config = ModelConfig::tiny().with_dilations(vec![2, 4, 1]);
        let dilations: Vec<usize> = (0..5).map(|layer| config.dilation(layer)).collect();
        assert_eq!(dilations, [1, 2, 4, 1, 2]);
    }

    #[test]
    fn invalid_fields_are_named() {
        for (config, field) in [
            (ModelConfig::new().with_channels(0), "channels"),
            (ModelConfig::new().with_features(121), "features (121)"),
            (ModelConfig::new().with_features(0), "features (0)"),
            (ModelConfig::new().with_layers(0), "layers"),
            (ModelConfig::new().with_input_kernel(4), "input_kernel"),
            (ModelConfig::new().with_kernel(2), "kernel must be odd"),
            (ModelConfig::new().with_dilations(vec![]), "dilations"),
            (ModelConfig::new().with_dilations(vec![1, 0]), "dilations"),
            (ModelConfig::new().with_orders(2), "orders"),
            (
                ModelConfig::new().with_output(Output::Monotone {
                    knots: vec![0.5, 0.1],
                }),
                "knots",
            ),
            (
                ModelConfig::new().with_output(Output::gates(0, 8)),
                "cosines (0)",
            ),
            (
                ModelConfig::new().with_output(Output::categorical(1)),
                "levels",
            ),
        ] {
            let error = config.validate().unwrap_err().to_string();
            assert!(error.contains(field), "{error}");
        }
    }

    #[test]
    fn presets_are_valid_for_one_to_four_channels() {
        for name in ["tiny", "quick", "small", "paper_small", "paper_large"] {
            for channels in 1..=4 {
                let config = ModelConfig::preset(name).unwrap().with_channels(channels);
                config.validate().unwrap();
            }
        }
        let error = ModelConfig::preset("huge").unwrap_err().to_string();
        assert!(error.contains("`small`, `paper_small`"), "{error}");
    }
}

use pixel_iqn_core::{Labels, ModelConfig, Order, SampleOptions, TauSource};
use serde::Deserialize;

use crate::WebError;

/// A request for images, which the page writes as JSON.
///
/// ```
/// let request = pixel_iqn_web::Request::from_json(
///     r#"{"count": 4, "seed": 7, "labels": [3], "tau": {"kind": "constant", "tau": 0.5}}"#,
/// )?;
/// assert_eq!(request.seed, 7);
/// # Ok::<(), pixel_iqn_web::WebError>(())
/// ```
#[derive(Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
pub struct Request {
    /// The number of images.
    pub count: usize,
    /// The index of the first image in the sequence of the seed.
    #[serde(default)]
    pub first: usize,
    /// The seed of tau.
    #[serde(default)]
    pub seed: u64,
    /// The source of tau.
    #[serde(default)]
    pub tau: Tau,
    /// The class of each image, in turn and again from the first; `null` is an image without a class. Without
    /// classes here, those of a class-conditional model take turns, as in `pixel-iqn sample`.
    #[serde(default)]
    pub labels: Vec<Option<usize>>,
    /// The index of the generation order.
    #[serde(default)]
    pub order: usize,
}

/// The source of the quantile levels of a request.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Default)]
#[serde(tag = "kind", rename_all = "snake_case", deny_unknown_fields)]
pub enum Tau {
    /// Uniform in (0, 1): the images are samples of the model.
    #[default]
    Uniform,
    /// Uniform in an interval inside (0, 1).
    Interval {
        /// Its lower end, from 0 on.
        low: f32,
        /// Its upper end, to 1.
        high: f32,
    },
    /// The same for all values, in (0, 1).
    Constant {
        /// The quantile level.
        tau: f32,
    },
}

impl Request {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// [`WebError::Request`] where a field is missing, unknown or of another type.
    pub fn from_json(json: &str) -> Result<Self, WebError> {
        Ok(serde_json::from_str(json)?)
    }

    /// The request as options of a sampler, in one batch.
    pub(crate) fn options(
        &self,
        config: &ModelConfig,
        size: [usize; 2],
    ) -> Result<SampleOptions, WebError> {
        let order = Order::new(self.order).ok_or_else(|| {
            WebError::Invalid(format!("there is no generation order {}", self.order))
        })?;
        let labels = match (config.classes, self.labels.as_slice()) {
            (0, []) => Labels::None,
            (_, []) => Labels::Spread,
            (_, labels) => {
                Labels::PerImage(labels.iter().copied().cycle().take(self.count).collect())
            }
        };
        let tau = match self.tau {
            Tau::Uniform => TauSource::Uniform,
            Tau::Interval { low, high } => TauSource::Interval(low, high),
            Tau::Constant { tau } => TauSource::Constant(tau),
        };
        Ok(SampleOptions::new(self.count, size, self.seed)
            .with_first(self.first)
            .with_tau(tau)
            .with_labels(labels)
            .with_order(order)
            .with_batch(self.count))
    }
}

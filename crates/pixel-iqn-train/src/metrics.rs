use serde::{Deserialize, Deserializer, Serialize};

/// Quantile levels at which training measures the pinball loss: the midpoints of as many equal bins
/// of [0, 1].
pub const QUANTILE_LEVELS: usize = 20;

/// The numbers of one step.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct StepReport {
    /// The step, counted from 0.
    pub step: usize,
    /// The mean loss of the batch before the step.
    pub loss: f32,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f32,
    /// The learning rate of the step.
    pub learning_rate: f64,
    /// Whether the weights were left alone, because the loss or the gradient was infinite or not
    /// a number.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub skipped: bool,
}

/// A line of `metrics.jsonl`.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct Metrics {
    /// The numbers of the step. A loss that is not a number is `null`.
    #[serde(flatten)]
    pub report: StepReport,
    /// Images trained on per second, in this step.
    pub images_per_second: f64,
    /// Seconds of training so far, over all processes that worked on the run.
    pub seconds: f64,
    /// The scores of the averaged weights on held-out images after the step, where they were
    /// measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOutScores>,
}

/// The scores of the averaged weights on held-out images, by [`pixel_iqn_score`]. A score that is not a number is `null` in
/// JSON.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct HeldOutScores {
    /// The loss that is trained, at the same tau in every measurement.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f32,
    /// The mean pinball loss over all values and [`QUANTILE_LEVELS`] quantiles of each.
    #[serde(deserialize_with = "number_or_null")]
    pub mean_pinball: f64,
    /// The continuous ranked probability score: see [`pixel_iqn_score::Scores::crps`].
    #[serde(deserialize_with = "number_or_null")]
    pub crps: f64,
    /// The skill score: 1 less the fraction of the CRPS of the marginal distribution that is left.
    /// `None` where the training images have one level alone, or the CRPS is no number; JSON then has
    /// the reason as `no_skill_because`.
    #[serde(flatten, with = "skill_with_reason")]
    pub skill: Option<f64>,
    /// The fraction of neighbouring quantiles that are in the wrong order.
    #[serde(deserialize_with = "number_or_null")]
    pub crossing_rate: f64,
}

/// The skill in JSON, with the reason beside it where there is none.
mod skill_with_reason {
    use std::borrow::Cow;

    use pixel_iqn_score::NO_SKILL;
    use serde::{Deserialize, Deserializer, Serialize, Serializer};

    #[derive(Serialize, Deserialize)]
    struct Skill {
        skill: Option<f64>,
        #[serde(default, skip_serializing_if = "Option::is_none")]
        no_skill_because: Option<Cow<'static, str>>,
    }

    pub fn serialize<S: Serializer>(skill: &Option<f64>, to: S) -> Result<S::Ok, S::Error> {
        let because = match skill {
            None => Some(NO_SKILL),
            Some(skill) if !skill.is_finite() => Some("the CRPS of the model is no number"),
            Some(_) => None,
        };
        let no_skill_because = because.map(Cow::Borrowed);
        let skill = *skill;
        Skill {
            skill,
            no_skill_because,
        }
        .serialize(to)
    }

    pub fn deserialize<'de, D: Deserializer<'de>>(from: D) -> Result<Option<f64>, D::Error> {
        Ok(Skill::deserialize(from)?.skill)
    }
}

fn number_or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<f32>,
{
    let number = Option::deserialize(deserializer)?;
    Ok(number.unwrap_or_else(|| T::from(f32::NAN)))
}

#[cfg(test)]
pub(crate) mod tests {
    use super::*;

    pub(crate) fn metrics(step: usize, loss: f32) -> Metrics {
        Metrics {
            report: StepReport {
                step,
                loss,
                grad_norm: 1.0,
                learning_rate: 1.0 / 3.0,
                skipped: false,
            },
            images_per_second: 2.0,
            seconds: 0.5,
            held_out: None,
        }
    }

    #[test]
    fn what_is_no_number_survives_json() {
        let bad = HeldOutScores {
            loss: f32::NAN,
            mean_pinball: f64::INFINITY,
            crps: f64::NAN,
            skill: Some(0.5),
            crossing_rate: 0.25,
        };
        let json = serde_json::to_string(&bad).unwrap();
        let read: HeldOutScores = serde_json::from_str(&json).unwrap();
        assert!(read.loss.is_nan() && read.mean_pinball.is_nan());
        assert_eq!((read.skill, read.crossing_rate), (Some(0.5), 0.25));
    }

    #[test]
    fn a_skill_that_is_not_there_has_its_reason() {
        let mut scores = HeldOutScores {
            loss: 1.0,
            mean_pinball: 1.0,
            crps: 1.0,
            skill: Some(0.25),
            crossing_rate: 0.0,
        };
        for (skill, because) in [
            (Some(0.25), None),
            (None, Some("one level alone")),
            (Some(f64::NAN), Some("no number")),
        ] {
            scores.skill = skill;
            let json = serde_json::to_value(scores).unwrap();
            let found = json
                .get("no_skill_because")
                .map(|text| text.as_str().unwrap());
            assert_eq!(found.is_some(), because.is_some(), "{json}");
            assert!(
                found.unwrap_or("").contains(because.unwrap_or("")),
                "{json}"
            );
            assert_eq!(
                json["skill"].as_f64(),
                skill.filter(|skill| skill.is_finite())
            );
            let read: HeldOutScores = serde_json::from_value(json).unwrap();
            assert_eq!(read.skill, skill.filter(|skill| skill.is_finite()));
        }
    }
}

//! Scores of predicted distributions with their intervals, in tables and in JSON.

use pixel_iqn::score::{ConditionalScores, Estimate, Scores};
use serde_json::Value;

/// Reads one score with its interval.
pub type ReadEstimate = fn(&Scores<Estimate>) -> Estimate;

/// The scores that have intervals, in the order of tables.
pub const ESTIMATES: [(&str, ReadEstimate); 8] = [
    ("CRPS", |s| s.crps),
    ("pinball", |s| s.pinball),
    ("bits/dim", |s| s.bits_per_dim),
    ("coverage 50%", |s| s.coverage_50),
    ("coverage 90%", |s| s.coverage_90),
    ("width 50%", |s| s.width_50),
    ("width 90%", |s| s.width_90),
    ("crossing rate", |s| s.crossing_rate),
];

/// Writes the scores as a JSON object in which the means have their intervals; `seed` is that of the
/// resampling.
pub fn to_json(scores: &ConditionalScores, seed: u64) -> serde_json::Result<Value> {
    let mut json = serde_json::to_value(scores)?;
    let estimates = serde_json::to_value(scores.estimates(seed))?;
    if let (Value::Object(fields), Value::Object(estimates)) = (&mut json, estimates) {
        fields.extend(estimates);
    }
    Ok(json)
}

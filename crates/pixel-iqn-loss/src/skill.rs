/// Computes the skill score, which says how much better a score is than that of a reference
/// forecast: `1 - score / reference`.
///
/// Both scores must be such that 0 is the best and smaller is better, as for the CRPS. Then 1 is
/// perfect, 0 is no better than the reference and below 0 is worse than it. The result has no unit.
/// (Gneiting & Raftery 2007 give the form for a general best score.) A reference that is perfect
/// itself leaves nothing to win and makes the result infinite or NaN.
///
/// # Example
///
/// ```
/// assert_eq!(pixel_iqn_loss::skill_score(0.03, 0.04), 0.25);
/// ```
pub fn skill_score(score: f64, reference: f64) -> f64 {
    1.0 - score / reference
}

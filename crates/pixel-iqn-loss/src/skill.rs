/// Computes the skill score, which says how much better a score is than that of a reference
/// forecast: `1 - score / reference`.
///
/// Both scores must be such that 0 is the best and smaller is better, as for the CRPS. Then 1 is
/// perfect, 0 is no better than the reference and below 0 is worse than it. The result has no unit.
/// (Gneiting & Raftery 2007 give the form for a general best score.) Where the reference is perfect
/// itself, as for values that are all the same, there is nothing to win and the skill is not defined:
/// the result is `None`.
///
/// # Example
///
/// ```
/// use pixel_iqn_loss::skill_score;
///
/// assert_eq!(skill_score(0.03, 0.04), Some(0.25));
/// assert_eq!(skill_score(0.03, 0.0), None);
/// ```
pub fn skill_score(score: f64, reference: f64) -> Option<f64> {
    (reference > 0.0).then(|| 1.0 - score / reference)
}

use pixel_iqn::score::{ConditionalScores, Estimate};

use crate::estimates::ESTIMATES;

/// The scores of named runs, and how much the CRPS of each differs from that of the first, a line each.
pub fn table(evaluated: &[(String, ConditionalScores)], seed: u64) -> String {
    let mut lines = Vec::new();
    for (name, scores) in evaluated {
        lines.push(format!(
            "{name}: {} images, {} quantile levels, order {}",
            scores.images, scores.quantile_levels, scores.order
        ));
        if scores.images == 1 {
            let point = "  the intervals of one image are points, and say nothing";
            lines.push(point.to_owned());
        }
        let estimates = scores.estimates(seed);
        for (row, read) in ESTIMATES {
            let Estimate {
                mean, low, high, ..
            } = read(&estimates);
            lines.push(format!("  {row:<18} {mean:.5}  [{low:.5}, {high:.5}]"));
        }
        lines.push(format!("  {:<18} {}", "skill", scores.skill_text(5)));
        lines.push(format!(
            "  {:<18} {:.5}",
            "calibration error", scores.calibration_error
        ));
    }
    if let Some(((first, base), others)) = evaluated.split_first() {
        for (name, scores) in others {
            let d = scores.difference(base, |image| image.crps, seed);
            lines.push(format!(
                "CRPS of {name} less that of {first}: {:+.5} [{:+.5}, {:+.5}]",
                d.mean, d.low, d.high
            ));
        }
    }
    lines.join("\n")
}

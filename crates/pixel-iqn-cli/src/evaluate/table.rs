use std::io::{self, Write};

use pixel_iqn::score::{ConditionalScores, Estimate};

use crate::estimates::ESTIMATES;

/// Writes the scores of named runs, and how much the CRPS of each differs from that of the first.
pub fn write(
    out: &mut impl Write,
    evaluated: &[(String, ConditionalScores)],
    seed: u64,
) -> io::Result<()> {
    for (name, scores) in evaluated {
        writeln!(
            out,
            "{name}: {} images, {} quantile levels, order {}",
            scores.images, scores.quantile_levels, scores.order
        )?;
        if scores.images == 1 {
            writeln!(
                out,
                "  the intervals of one image are points, and say nothing"
            )?;
        }
        let estimates = scores.estimates(seed);
        for (row, read) in ESTIMATES {
            let Estimate {
                mean, low, high, ..
            } = read(&estimates);
            writeln!(out, "  {row:<18} {mean:.5}  [{low:.5}, {high:.5}]")?;
        }
        writeln!(out, "  {:<18} {}", "skill", scores.skill_text(5))?;
        writeln!(
            out,
            "  {:<18} {:.5}",
            "calibration error", scores.calibration_error
        )?;
    }
    let Some(((first, base), others)) = evaluated.split_first() else {
        return Ok(());
    };
    for (name, scores) in others {
        let d = scores.difference(base, |image| image.crps, seed);
        writeln!(
            out,
            "CRPS of {name} less that of {first}: {:+.5} [{:+.5}, {:+.5}]",
            d.mean, d.low, d.high
        )?;
    }
    Ok(())
}

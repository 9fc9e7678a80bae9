use pixel_iqn::score::{ConditionalScores, Estimate};

use crate::estimates::ESTIMATES;

/// Prints the scores of named runs, and how much the CRPS of each differs from that of the first.
pub fn print(evaluated: &[(String, ConditionalScores)], seed: u64) {
    for (name, scores) in evaluated {
        println!(
            "{name}: {} images, {} quantile levels",
            scores.images, scores.quantile_levels
        );
        let estimates = scores.estimates(seed);
        for (row, read) in ESTIMATES {
            let Estimate {
                mean, low, high, ..
            } = read(&estimates);
            println!("  {row:<18} {mean:.5}  [{low:.5}, {high:.5}]");
        }
        println!("  {:<18} {:.5}", "skill", scores.skill);
        println!(
            "  {:<18} {:.5}",
            "calibration error", scores.calibration_error
        );
    }
    let Some(((first, base), others)) = evaluated.split_first() else {
        return;
    };
    for (name, scores) in others {
        let d = scores.difference(base, |image| image.crps, seed);
        println!(
            "CRPS of {name} less that of {first}: {:+.5} [{:+.5}, {:+.5}]",
            d.mean, d.low, d.high
        );
    }
}

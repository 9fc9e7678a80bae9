use std::path::Path;

use super::{Chart, Mark, Series, color};
use crate::error::RunError;

/// Draws the curve of a training run: the loss of each step, its running mean, and the held-out
/// losses, `(step, loss)` with steps counted from 0, if there are any.
pub(crate) fn save_curve(
    path: &Path,
    loss_name: &str,
    losses: &[f32],
    held_out: &[(usize, f32)],
) -> Result<(), RunError> {
    let steps = |values: &[f64]| (1..).map(f64::from).zip(values.iter().copied()).collect();
    let raw: Vec<f64> = losses.iter().copied().map(f64::from).collect();
    let mean = running_mean(&raw, (raw.len() / 50).max(1));
    let mut series = vec![
        Series::new(Mark::Line(1), steps(&raw))
            .with_label("each step")
            .with_color(color::LIGHT_BLUE),
        Series::new(Mark::Line(3), steps(&mean)).with_label("running mean"),
    ];
    if !held_out.is_empty() {
        let points = held_out.iter();
        let points = points.map(|&(step, loss)| (step as f64 + 1.0, f64::from(loss)));
        let held_out = Series::new(Mark::Dots(4), points.collect())
            .with_label("held out, averaged weights")
            .with_color(color::ORANGE);
        series.push(held_out);
    }
    Chart::new("Training", "step", loss_name)
        .with_series(series)
        .without_start()
        .save(path)
}

/// The mean over the `half` values before and after each, as far as they are numbers.
fn running_mean(values: &[f64], half: usize) -> Vec<f64> {
    (0..values.len())
        .map(|i| {
            let window = &values[i.saturating_sub(half)..values.len().min(i + half + 1)];
            let finite = || window.iter().filter(|value| value.is_finite());
            finite().sum::<f64>() / finite().count() as f64
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_is_drawn() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.png");
        let losses: Vec<f32> = (0..200)
            .map(|i| 0.05 + 0.2 / (1.0 + i as f32) + 0.002 * (i % 3) as f32)
            .collect();
        save_curve(&path, "loss", &losses, &[(50, 0.06), (150, 0.055)]).unwrap();
        assert!(path.metadata().unwrap().len() > 5_000);
    }

    #[test]
    fn nothing_to_draw_is_an_error() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("curve.png");
        for losses in [&[][..], &[f32::NAN]] {
            let error = save_curve(&path, "loss", losses, &[]).unwrap_err();
            assert!(matches!(error, RunError::Plot { .. }), "{error}");
        }
        assert!(!path.exists());
    }

    #[test]
    fn the_running_mean_is_centred() {
        assert_eq!(running_mean(&[1.0, 2.0, 6.0], 1), [1.5, 3.0, 4.0]);
        let line: Vec<f64> = (0..50).map(f64::from).collect();
        assert_eq!(running_mean(&line, 5)[5..45], line[5..45]);
    }
}

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Deserializer, Serialize};

use crate::atomic;
use crate::error::{RunError, at};

/// Quantile levels at which training measures the pinball loss: the midpoints of as many equal bins
/// of [0, 1].
pub const QUANTILE_LEVELS: usize = 20;

/// What one step did.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct StepReport {
    /// The step, counted from 0.
    pub step: usize,
    /// The mean loss of the batch before the step.
    pub loss: f32,
    /// The norm of all gradients together, before clipping.
    pub grad_norm: f32,
    /// The learning rate.
    pub learning_rate: f64,
    /// Whether the weights were left alone, because the loss or the gradient was infinite or not
    /// a number.
    #[serde(skip_serializing_if = "core::ops::Not::not")]
    pub skipped: bool,
}

/// A line of `metrics.jsonl`.
#[derive(Serialize, Debug, Clone, Copy, PartialEq)]
pub struct Metrics {
    /// What the step did. A loss that is no number is `null`.
    #[serde(flatten)]
    pub report: StepReport,
    /// Images trained on per second, in this step.
    pub images_per_second: f64,
    /// Seconds of training so far, over all processes that worked on the run.
    pub seconds: f64,
    /// How the averaged weights do on held-out images after the step, where it was measured.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub held_out: Option<HeldOut>,
}

/// How the averaged weights do on held-out images, by the scores of [`pixel_iqn_score`]. A score
/// that is infinite or not a number is `null` in JSON.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
pub struct HeldOut {
    /// The loss that is trained, at tau that are the same every time.
    #[serde(deserialize_with = "number_or_null")]
    pub loss: f32,
    /// The mean pinball loss over all values and [`QUANTILE_LEVELS`] of each.
    #[serde(deserialize_with = "number_or_null")]
    pub mean_pinball: f64,
    /// 1 less the fraction of the CRPS of the marginal distribution that is left.
    #[serde(deserialize_with = "number_or_null")]
    pub skill: f64,
    /// The fraction of neighbouring quantiles in the wrong order.
    #[serde(deserialize_with = "number_or_null")]
    pub crossing_rate: f64,
}

fn number_or_null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Deserialize<'de> + From<f32>,
{
    let number = Option::deserialize(deserializer)?;
    Ok(number.unwrap_or_else(|| T::from(f32::NAN)))
}

/// The losses of a run so far, for its curve.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct History {
    /// The loss of each step; not a number where a step was bad, or where its line was lost.
    pub losses: Vec<f32>,
    /// `(step, held-out)`, where it was measured.
    pub held_out: Vec<(usize, HeldOut)>,
}

impl History {
    pub(crate) fn push(&mut self, metrics: &Metrics) {
        self.losses.push(metrics.report.loss);
        if let Some(held_out) = metrics.held_out {
            self.held_out.push((metrics.report.step, held_out));
        }
    }

    /// `(step, loss)` on held-out images.
    pub fn held_out_losses(&self) -> Vec<(usize, f32)> {
        let losses = self.held_out.iter();
        losses
            .map(|(step, held_out)| (*step, held_out.loss))
            .collect()
    }
}

/// Writes `metrics.jsonl`, a line at a time, so that a run can be watched and an end by force
/// loses nothing.
#[derive(Debug)]
pub struct MetricsLog {
    path: PathBuf,
    file: File,
}

impl MetricsLog {
    /// Opens the file for the line of step `step`: lines of later steps, which a resumed run
    /// writes again, and lines that cannot be read are removed. Returns the losses before it, and
    /// how many of them are missing.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub(crate) fn open(path: PathBuf, step: usize) -> Result<(Self, History, usize), RunError> {
        /// What is read again of a line.
        #[derive(Deserialize)]
        struct Line {
            step: usize,
            loss: Option<f32>,
            held_out: Option<HeldOut>,
        }
        let (mut kept, mut found) = (Vec::new(), 0);
        let mut history = History::default();
        if path.exists() {
            let file = BufReader::new(File::open(&path).map_err(at(&path))?);
            for text in file.split(b'\n') {
                let text = text.map_err(at(&path))?;
                let Ok(line) = serde_json::from_slice::<Line>(&text) else {
                    continue;
                };
                if line.step >= step || line.step < history.losses.len() {
                    continue;
                }
                history.losses.resize(line.step, f32::NAN);
                history.losses.push(line.loss.unwrap_or(f32::NAN));
                found += 1;
                history
                    .held_out
                    .extend(line.held_out.map(|held_out| (line.step, held_out)));
                kept.extend(text);
                kept.push(b'\n');
            }
        }
        history.losses.resize(step, f32::NAN);
        atomic::write(&path, &kept)?;
        let file = fs::OpenOptions::new().append(true).open(&path);
        let file = file.map_err(at(&path))?;
        Ok((Self { path, file }, history, step - found))
    }

    /// Adds a line.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub(crate) fn write(&mut self, metrics: &Metrics) -> Result<(), RunError> {
        let line = serde_json::to_string(metrics).expect("a struct of numbers is valid JSON");
        let written = self.file.write_all(format!("{line}\n").as_bytes());
        written.map_err(at(&self.path))
    }

    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Waits for the disk.
    pub(crate) fn sync(&self) -> Result<(), RunError> {
        self.file.sync_data().map_err(at(&self.path))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn metrics(step: usize, loss: f32) -> Metrics {
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
    fn metrics_are_one_object_per_line_at_full_precision() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut log, history, missing) = MetricsLog::open(path.clone(), 0).unwrap();
        assert_eq!((history, missing), (History::default(), 0));
        let loss = 0.1f32 + f32::EPSILON;
        log.write(&metrics(0, loss)).unwrap();
        log.write(&metrics(1, f32::NAN)).unwrap();
        let text = fs::read_to_string(path).unwrap();
        let lines: Vec<serde_json::Value> = text
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        assert_eq!(lines.len(), 2);
        assert_eq!(lines[0]["loss"].as_f64().unwrap() as f32, loss);
        assert_eq!(lines[0]["learning_rate"], 1.0 / 3.0);
        assert_eq!(lines[0].get("held_out"), None);
        assert_eq!(lines[1]["step"], 1);
        assert!(lines[1]["loss"].is_null());
    }

    #[test]
    fn steps_that_are_run_again_replace_their_lines() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("metrics.jsonl");
        let (mut log, _, _) = MetricsLog::open(path.clone(), 0).unwrap();
        for step in 0..5 {
            log.write(&metrics(step, step as f32)).unwrap();
        }
        // Cut off in the middle of a line, as by a kill.
        log.file.write_all(b"{\"step\":5,\"lo").unwrap();

        let (mut log, history, missing) = MetricsLog::open(path.clone(), 3).unwrap();
        assert_eq!((history.losses, missing), (vec![0.0, 1.0, 2.0], 0));
        log.write(&metrics(3, 30.0)).unwrap();
        let (_, history, _) = MetricsLog::open(path.clone(), 4).unwrap();
        assert_eq!(history.losses, [0.0, 1.0, 2.0, 30.0]);

        // A damaged line, and two that were never written.
        let text = fs::read_to_string(&path).unwrap().replacen('{', "", 1);
        fs::write(&path, text).unwrap();
        let (_, history, missing) = MetricsLog::open(path, 6).unwrap();
        assert_eq!(
            (history.losses[3], history.losses.len(), missing),
            (30.0, 6, 3)
        );
        assert!(history.losses[0].is_nan() && history.losses[5].is_nan());
    }

    #[test]
    fn what_is_no_number_survives_json() {
        let bad = HeldOut {
            loss: f32::NAN,
            mean_pinball: f64::INFINITY,
            skill: 0.5,
            crossing_rate: 0.25,
        };
        let json = serde_json::to_string(&bad).unwrap();
        let read: HeldOut = serde_json::from_str(&json).unwrap();
        assert!(read.loss.is_nan() && read.mean_pinball.is_nan());
        assert_eq!((read.skill, read.crossing_rate), (0.5, 0.25));
    }
}

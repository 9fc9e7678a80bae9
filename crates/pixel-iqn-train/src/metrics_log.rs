use std::fs::{self, File};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};

use serde::Deserialize;

use pixel_iqn_data::write_atomically;

use crate::error::{RunError, at};
use crate::history::History;
use crate::metrics::{HeldOutScores, Metrics};

/// Writes `metrics.jsonl`, a line at a time, so that a run can be watched and a kill loses nothing.
#[derive(Debug)]
pub(crate) struct MetricsLog {
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
        /// The keys of a line that are read again.
        #[derive(Deserialize)]
        struct Line {
            step: usize,
            loss: Option<f32>,
            held_out: Option<HeldOutScores>,
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
        write_atomically(&path, &kept)?;
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
    use crate::metrics::tests::metrics;

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
}

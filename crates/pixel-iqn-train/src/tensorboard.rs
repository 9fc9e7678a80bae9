use std::fs::{self, File};
use std::io::BufWriter;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use tfrecord::protobuf::event::What;
use tfrecord::protobuf::session_log::SessionStatus;
use tfrecord::protobuf::summary::{Image, Value, value};
use tfrecord::protobuf::{Event, SessionLog, Summary};
use tfrecord::{Error, RecordWriter};

use crate::error::{RunError, at};
use crate::metrics::Metrics;

/// The time that events may wait in memory.
const FLUSH: Duration = Duration::from_secs(5);

/// Event files for TensorBoard: the scalars of every step, and the image grids of samples.
///
/// Every process that works on a run writes a file of its own. It begins with the step it starts
/// at, upon which TensorBoard drops what earlier files say of that step and later ones.
pub(crate) struct TensorBoard {
    path: PathBuf,
    writer: RecordWriter<Event, BufWriter<File>>,
    flushed: Instant,
}

impl TensorBoard {
    /// Starts a file in `folder` for the steps from `step` on.
    pub fn create(folder: &Path, step: usize) -> Result<Self, RunError> {
        fs::create_dir_all(folder).map_err(at(folder))?;
        let now = unix_seconds();
        let name = format!(
            "events.out.tfevents.{:.0}.{}",
            now * 1e3,
            std::process::id()
        );
        let path = folder.join(name);
        let file = File::create_new(&path).map_err(at(&path))?;
        let writer = RecordWriter::from_writer(BufWriter::new(file));
        let mut board = Self {
            writer: writer.map_err(|error| io(&path, error))?,
            path,
            flushed: Instant::now(),
        };
        board.send(0, What::FileVersion("brain.Event:2".into()))?;
        let start = SessionLog {
            status: SessionStatus::Start.into(),
            ..SessionLog::default()
        };
        board.send(step, What::SessionLog(start))?;
        board.flush()?;
        Ok(board)
    }

    /// Adds the scalars of a step.
    pub fn metrics(&mut self, metrics: &Metrics) -> Result<(), RunError> {
        let report = &metrics.report;
        let mut scalars = vec![
            ("train/loss", f64::from(report.loss)),
            ("train/gradient norm", f64::from(report.grad_norm)),
            ("train/learning rate", report.learning_rate),
            ("train/images per second", metrics.images_per_second),
        ];
        if let Some(held_out) = &metrics.held_out {
            scalars.extend([
                ("held out/loss", f64::from(held_out.loss)),
                ("held out/mean pinball", held_out.mean_pinball),
                ("held out/CRPS", held_out.crps),
                ("held out/crossing rate", held_out.crossing_rate),
            ]);
            scalars.extend(held_out.skill.map(|skill| ("held out/skill", skill)));
        }
        let value = |(tag, value)| summary(tag, value::Value::SimpleValue(value as f32));
        let value = scalars.into_iter().map(value).collect();
        self.send(report.step, What::Summary(Summary { value }))?;
        if self.flushed.elapsed() > FLUSH {
            self.flush()?;
        }
        Ok(())
    }

    /// Adds a picture, as the bytes of a PNG file.
    pub fn png(&mut self, step: usize, tag: &str, png: Vec<u8>) -> Result<(), RunError> {
        // Of the header of the file: the sizes are what TensorBoard lays the page out by.
        let size = |at: usize| match png.get(at..at + 4) {
            Some(&[a, b, c, d]) => i32::from_be_bytes([a, b, c, d]),
            _ => 0,
        };
        let image = Image {
            width: size(16),
            height: size(20),
            colorspace: 3,
            encoded_image_string: png,
        };
        let value = vec![summary(tag, value::Value::Image(image))];
        self.send(step, What::Summary(Summary { value }))?;
        self.flush()
    }

    /// Hands all events to the operating system.
    pub fn flush(&mut self) -> Result<(), RunError> {
        self.flushed = Instant::now();
        let flushed = self.writer.flush();
        flushed.map_err(|error| io(&self.path, error))
    }

    fn send(&mut self, step: usize, what: What) -> Result<(), RunError> {
        let event = Event {
            wall_time: unix_seconds(),
            step: step as i64,
            source_metadata: None,
            what: Some(what),
        };
        let sent = self.writer.send(event);
        sent.map_err(|error| io(&self.path, error))
    }
}

fn summary(tag: &str, value: value::Value) -> Value {
    Value {
        node_name: String::new(),
        tag: tag.to_owned(),
        metadata: None,
        value: Some(value),
    }
}

fn unix_seconds() -> f64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.map_or(0.0, |now| now.as_secs_f64())
}

fn io(path: &Path, error: Error) -> RunError {
    let error = match error {
        Error::IoError(error) => error,
        other => std::io::Error::other(other.to_string()),
    };
    at(path)(error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::{HeldOutScores, StepReport};
    use tfrecord::{EventIter, RecordReaderConfig};

    #[test]
    fn what_is_written_is_read_again() {
        let folder = tempfile::tempdir().unwrap();
        let mut board = TensorBoard::create(folder.path(), 7).unwrap();
        let metrics = Metrics {
            report: StepReport {
                step: 7,
                loss: 0.5,
                grad_norm: 2.0,
                learning_rate: 0.25,
                skipped: false,
            },
            images_per_second: 10.0,
            seconds: 1.0,
            held_out: Some(HeldOutScores {
                loss: 0.75,
                mean_pinball: 0.1,
                crps: 0.2,
                skill: Some(0.2),
                crossing_rate: 0.3,
            }),
        };
        board.metrics(&metrics).unwrap();
        let mut png = vec![0; 16];
        png.extend([0, 0, 0, 9, 0, 0, 0, 4]);
        board.png(8, "samples", png.clone()).unwrap();

        let config = RecordReaderConfig::default();
        let events: Vec<Event> = EventIter::open(&board.path, config)
            .unwrap()
            .map(Result::unwrap)
            .collect();
        assert_eq!(
            events.iter().map(|e| e.step).collect::<Vec<_>>(),
            [0, 7, 7, 8]
        );
        let values = |event: &Event| match &event.what {
            Some(What::Summary(summary)) => summary.value.clone(),
            other => panic!("{other:?}"),
        };
        let scalars = values(&events[2]);
        assert_eq!(scalars.len(), 9);
        assert_eq!(scalars[0].tag, "train/loss");
        assert_eq!(scalars[0].value, Some(value::Value::SimpleValue(0.5)));
        let Some(value::Value::Image(image)) = &values(&events[3])[0].value else {
            panic!("no image");
        };
        assert_eq!((image.width, image.height), (9, 4));
        assert_eq!(image.encoded_image_string, png);
    }
}

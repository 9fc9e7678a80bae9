use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Child;
use std::thread::sleep;
use std::time::{Duration, Instant};

/// Between two looks at a folder: short beside the milliseconds in which a file is written.
const LOOK: Duration = Duration::from_micros(300);

/// When a program is disturbed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Moment {
    /// Some time after it began.
    After(Duration),
    /// Some time after a number of changes to the names in its folder: files of locks that come, files
    /// that are being written, files that get their names. These moments are a small part of the time of
    /// a program, and the ones in which a file can be lost.
    Change { number: usize, then: Duration },
}

/// What a program had done when it was disturbed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Stage {
    /// No file was there yet.
    Starting,
    /// Some were, and it went on.
    Working,
    /// It had ended.
    Ended,
}

/// How a program works that is left alone.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Seconds to the first change of the names in its folder.
    pub first: f32,
    /// Changes of the names.
    pub changes: usize,
    /// Seconds to its end.
    pub seconds: f32,
}

impl Moment {
    /// The moment of three draws from [0, 1): one of five falls before the first file, two fall anywhere in
    /// the time of the program and a tenth of it beyond, and two around its files.
    pub fn draw([kind, first, second]: [f32; 3], course: Course) -> Self {
        let after = |seconds| Self::After(Duration::from_secs_f32(first * seconds));
        if kind < 0.2 {
            return after(course.first);
        }
        if kind < 0.6 {
            return after(1.1 * course.seconds);
        }
        Self::Change {
            number: 1 + (first * course.changes as f32) as usize,
            // Half of them at once: a small file is written within less than a millisecond.
            then: Duration::from_secs_f32(0.01 * (2.0 * second - 1.0).max(0.0)),
        }
    }

    /// Waits for the moment, or for the end of the program. `changes` are those of the folder that it works
    /// in, from before it began: its first file may be there sooner than anyone can look.
    pub fn wait(self, child: &mut Child, mut changes: Changes<'_>) -> anyhow::Result<Stage> {
        match self {
            Self::After(time) => sleep(time),
            Self::Change { number, then } => {
                while changes.count < number && child.try_wait()?.is_none() {
                    sleep(LOOK);
                    changes.look();
                }
                sleep(then);
            }
        }
        Ok(
            match (child.try_wait()?, names(changes.folder).is_empty()) {
                (Some(_), _) => Stage::Ended,
                (None, true) => Stage::Starting,
                (None, false) => Stage::Working,
            },
        )
    }
}

/// Watches a program that has just begun until it ends, by the changes of its folder from before it began.
pub fn watch(child: &mut Child, mut changes: Changes<'_>) -> anyhow::Result<Course> {
    let start = Instant::now();
    let mut first = None;
    while child.try_wait()?.is_none() {
        sleep(LOOK);
        changes.look();
        if changes.count > 0 {
            first.get_or_insert_with(|| start.elapsed());
        }
    }
    let end = start.elapsed();
    Ok(Course {
        first: first.unwrap_or(end).as_secs_f32(),
        changes: changes.count,
        seconds: end.as_secs_f32(),
    })
}

/// The changes to the names in a folder since it was first looked at.
pub struct Changes<'a> {
    folder: &'a Path,
    names: BTreeSet<PathBuf>,
    count: usize,
}

impl<'a> Changes<'a> {
    /// Looks at the folder for the first time.
    pub fn new(folder: &'a Path) -> Self {
        Self {
            folder,
            names: names(folder),
            count: 0,
        }
    }

    fn look(&mut self) {
        let names = names(self.folder);
        self.count += usize::from(names != self.names);
        self.names = names;
    }
}

/// All names in a folder and below it, as far as they can be read while a program changes them.
fn names(folder: &Path) -> BTreeSet<PathBuf> {
    let mut found = BTreeSet::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    for entry in entries {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            found.extend(names(&entry.path()));
        }
        found.insert(entry.path());
    }
    found
}

#[cfg(test)]
mod tests {
    use std::process::{Command, Stdio};

    use super::*;

    #[test]
    fn moments_fall_anywhere_and_around_files() {
        let course = Course {
            first: 0.1,
            changes: 5,
            seconds: 2.0,
        };
        let draw = |draws| Moment::draw(draws, course);
        for (draws, seconds) in [([0.1, 0.5, 0.0], 0.05), ([0.4, 0.5, 0.0], 1.1)] {
            let Moment::After(time) = draw(draws) else {
                panic!("these moments are of the clock")
            };
            assert!((time.as_secs_f32() - seconds).abs() < 1e-5);
        }
        for (draws, number, then) in [([0.6, 0.0, 0.2], 1, 0.0), ([0.9, 0.99, 0.75], 5, 0.005)] {
            let Moment::Change { number: n, then: t } = draw(draws) else {
                panic!("these are of files")
            };
            assert!(n == number && (t.as_secs_f32() - then).abs() < 1e-5);
        }
    }

    #[cfg(unix)]
    #[test]
    fn a_program_is_seen_to_start_to_work_and_to_end() {
        let folder = std::env::temp_dir().join(format!("moments-{}", std::process::id()));
        fs::create_dir_all(&folder).unwrap();
        let start = |script: &str| {
            let script = script.replace("FOLDER", &folder.display().to_string());
            let mut shell = Command::new("sh");
            shell.args(["-c", &script]).stdin(Stdio::piped());
            shell.spawn().unwrap()
        };
        let stage = |script: &str, moment: Moment| {
            let changes = Changes::new(&folder);
            let mut child = start(script);
            let stage = moment.wait(&mut child, changes).unwrap();
            child.kill().ok();
            child.wait().unwrap();
            stage
        };
        let now = Moment::After(Duration::ZERO);
        let first = Moment::Change {
            number: 1,
            then: Duration::ZERO,
        };
        assert_eq!(stage("sleep 100", now), Stage::Starting);
        assert_eq!(stage("exit 0", first), Stage::Ended);
        let file = "echo > FOLDER/a; exec sleep 100";
        assert_eq!(stage(file, first), Stage::Working);
        fs::remove_file(folder.join("a")).unwrap();
        // It goes on once its file was seen, so that no clock decides.
        let before = Changes::new(&folder);
        let mut child = start("echo > FOLDER/a; read line; mv FOLDER/a FOLDER/b");
        let seen = first.wait(&mut child, before).unwrap();
        let mut changes = Changes::new(&folder);
        drop(child.stdin.take());
        child.wait().unwrap();
        changes.look();
        assert_eq!((seen, changes.count), (Stage::Working, 1));
        let before = Changes::new(&folder);
        let course = watch(&mut start("echo > FOLDER/c"), before).unwrap();
        assert!(course.first <= course.seconds);
        fs::remove_dir_all(&folder).unwrap();
    }
}

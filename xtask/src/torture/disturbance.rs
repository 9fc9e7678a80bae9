use std::io::Read;
use std::process::{Child, Command, Stdio};
use std::thread;

use anyhow::{Context, ensure};

use super::moment::{Changes, Moment, Stage};

/// What happens to a program while it works.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Disturbance {
    /// A signal, by its number.
    Signal(i32),
    /// What reads the output of the program goes away.
    ClosedPipe,
    /// No file can be larger than a number of bytes that is drawn at random.
    FullDisk,
}

impl Disturbance {
    pub const ALL: [Self; 5] = [
        Self::Signal(2),
        Self::Signal(15),
        Self::Signal(9),
        Self::ClosedPipe,
        Self::FullDisk,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Signal(2) => "SIGINT",
            Self::Signal(15) => "SIGTERM",
            Self::Signal(_) => "SIGKILL",
            Self::ClosedPipe => "closed pipe",
            Self::FullDisk => "full disk",
        }
    }

    /// Whether it ends the work at the moment that it comes.
    pub fn ends_the_work(self) -> bool {
        matches!(self, Self::Signal(_))
    }

    /// Runs a program in its folder, disturbs it at a moment or at files of `bytes`, checks how it ended,
    /// and returns what it had done before.
    pub fn run(self, command: &Command, moment: Moment, bytes: u64) -> anyhow::Result<Stage> {
        let folder = command
            .get_current_dir()
            .context("a job has a folder to work in")?;
        let mut command = match self {
            Self::FullDisk => with_small_files(command, bytes),
            _ => same(command),
        };
        let changes = Changes::new(folder);
        let mut child = command
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()?;
        if self == Self::ClosedPipe {
            let stage = moment.wait(&mut child, changes)?;
            drop((child.stdout.take(), child.stderr.take()));
            let status = child.wait()?;
            ensure!(status.success(), "a closed pipe ended it: {status}");
            return Ok(stage);
        }
        let stdout = child.stdout.take().context("it is a pipe")?;
        let stderr = child.stderr.take().context("it is a pipe")?;
        let readers = [
            thread::spawn(move || text(stdout)),
            thread::spawn(move || text(stderr)),
        ];
        let mut stage = Stage::Ended;
        if let Self::Signal(signal) = self {
            stage = moment.wait(&mut child, changes)?;
            if stage != Stage::Ended {
                send(signal, &child)?;
            }
        }
        let status = child.wait()?;
        let [_, errors] = readers.map(|reader| reader.join().expect("reading does not panic"));
        // Before it listens, in its first moments, a signal ends it as it ends any program, and then it
        // has no exit code; after its last moments it has done all.
        let allowed = match self {
            Self::Signal(9) => &[None, Some(0)][..],
            Self::Signal(2) => &[None, Some(0), Some(130)],
            Self::Signal(_) => &[None, Some(0), Some(143)],
            Self::ClosedPipe | Self::FullDisk => &[Some(0), Some(1)],
        };
        ensure!(
            allowed.contains(&status.code()) && !errors.contains("panicked"),
            "it ended with {status}: {errors}"
        );
        Ok(stage)
    }
}

fn same(command: &Command) -> Command {
    let mut same = Command::new(command.get_program());
    same.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        same.current_dir(folder);
    }
    same
}

/// The program with a limit on the size of its files, beyond which a write fails.
fn with_small_files(command: &Command, bytes: u64) -> Command {
    let limit = format!("trap '' XFSZ; exec prlimit --fsize={bytes} \"$0\" \"$@\"");
    let mut limited = Command::new("sh");
    limited.args(["-c", &limit]).arg(command.get_program());
    limited.args(command.get_args());
    if let Some(folder) = command.get_current_dir() {
        limited.current_dir(folder);
    }
    limited
}

fn send(signal: i32, child: &Child) -> anyhow::Result<()> {
    let (signal, id) = (format!("-{signal}"), child.id().to_string());
    // A program that ends now stays a child until it is waited for.
    let status = Command::new("kill").args([signal, id]).status()?;
    ensure!(status.success(), "cannot send a signal");
    Ok(())
}

fn text(mut stream: impl Read) -> String {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).ok();
    String::from_utf8_lossy(&bytes).into_owned()
}

//! What the examples share: flags, progress and Ctrl-C.

// Each example is a program of its own and uses a part of this.
#![allow(dead_code, reason = "no example uses all of it")]

pub mod judging;
pub mod training;

use std::io::IsTerminal;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::{Mutex, OnceLock};
use std::time::{Duration, Instant};

use anyhow::ensure;
use indicatif::{ProgressBar, ProgressStyle};
use pixel_iqn::core::Progress as WorkProgress;
use pixel_iqn::data::{DataError, OpenOptions, Splits};
use pixel_iqn::train::{DataConfig, Interrupter};
use pixel_iqn::{DEFAULT_DEVICE, DatasetKind};

/// Where images come from.
#[derive(clap::Args, Debug)]
pub struct DataArgs {
    /// Folder of the data set, or the folder that contains it [default: data]
    #[arg(long, value_name = "DIR")]
    pub data: Option<PathBuf>,
    /// Data set: cifar10, mnist, imagenet32, folder or builtin; then missing data is an error
    #[arg(long, value_name = "NAME")]
    pub dataset: Option<DatasetKind>,
    /// Height and width of the images [default: those of the set; 32 for folder and builtin];
    /// images of a set of one size are reduced to it by the means of boxes
    #[arg(long, value_name = "PIXELS")]
    pub size: Option<usize>,
}

impl DataArgs {
    /// The images that a run was trained on.
    pub fn of_run(data: &DataConfig, kind: DatasetKind) -> Self {
        let [height, width] = data.size;
        Self {
            data: data.path.clone(),
            dataset: Some(kind),
            size: (height == width).then_some(height),
        }
    }

    /// The folder of `--data`.
    pub fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("data"))
    }

    /// Opens a data set in the folder of `--data`.
    pub fn open(&self, kind: DatasetKind) -> Result<Splits, DataError> {
        let options = OpenOptions::new().with_size(self.size);
        pixel_iqn::data::open(kind, Some(self.folder()), &options)
    }
}

/// Where to compute.
#[derive(clap::Args, Debug)]
pub struct DeviceArgs {
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with an index, cuda:1
    #[arg(long, value_name = "NAME", default_value = DEFAULT_DEVICE)]
    pub device: String,
}

/// Runs a program: an error is printed with its causes and makes the exit code 1.
pub fn exit(result: anyhow::Result<()>) -> ExitCode {
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

/// Checks that a file can be put where it is asked for, before the work that fills it.
pub fn check_folder_of(out: &Path) -> anyhow::Result<()> {
    let folder = out.parent().filter(|folder| !folder.as_os_str().is_empty());
    ensure!(
        folder.is_none_or(Path::is_dir),
        "--out {}: there is no such folder",
        out.display()
    );
    Ok(())
}

static INTERRUPTER: OnceLock<Interrupter> = OnceLock::new();

/// Makes the first Ctrl-C a request to finish, and the second one an end by force; and keeps the
/// memory of tensors that are dropped.
pub fn start() -> anyhow::Result<Interrupter> {
    #[cfg(feature = "cpu")]
    pixel_iqn::keep_freed_memory();
    let interrupter = pixel_iqn::train::stop_on_signals()?;
    Ok(INTERRUPTER.get_or_init(|| interrupter).clone())
}

/// Whether Ctrl-C was pressed.
pub fn interrupted() -> bool {
    INTERRUPTER.get().is_some_and(Interrupter::should_stop)
}

/// [`ControlFlow::Break`] once Ctrl-C was pressed.
pub fn unless_interrupted() -> ControlFlow<()> {
    if interrupted() {
        ControlFlow::Break(())
    } else {
        ControlFlow::Continue(())
    }
}

/// A bar on a terminal, a line every few seconds elsewhere.
pub struct Progress {
    bar: ProgressBar,
    task: String,
    last: Mutex<Instant>,
}

impl Progress {
    const EVERY: Duration = Duration::from_secs(5);

    pub fn new(task: &str, total: usize) -> Self {
        let bar = if std::io::stderr().is_terminal() {
            ProgressBar::new(total as u64)
        } else {
            ProgressBar::with_draw_target(
                Some(total as u64),
                indicatif::ProgressDrawTarget::hidden(),
            )
        };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} eta {eta}");
        bar.set_style(style.expect("the template is valid"));
        bar.set_prefix(task.to_owned());
        Self {
            bar,
            task: task.to_owned(),
            last: Mutex::new(Instant::now()),
        }
    }

    /// Moves to `done`, with a note such as the loss.
    pub fn set(&self, done: usize, note: &str) {
        self.bar.set_position(done as u64);
        self.show(note);
    }

    fn show(&self, note: &str) {
        self.bar.set_message(note.to_owned());
        let mut last = self.last.lock().expect("no thread panics with the lock");
        if self.bar.is_hidden() && last.elapsed() >= Self::EVERY {
            *last = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let left = self.bar.eta().as_secs();
            eprintln!("{} {done}/{total} {note} eta {left}s", self.task);
        }
    }

    /// Sets what there is to do in all.
    pub fn set_total(&self, total: usize) {
        self.bar.set_length(total as u64);
    }

    /// Begins at `done`, which took no time.
    pub fn start_at(self, done: usize) -> Self {
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
        self
    }

    /// Prints a line above the bar.
    pub fn say(&self, line: &str) {
        if self.bar.is_hidden() {
            eprintln!("{line}");
        } else {
            self.bar.println(line);
        }
    }

    pub fn finish(self) {}
}

impl Drop for Progress {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

/// Calls `work` with a callback that shows how many of how many passes are done and heeds Ctrl-C.
pub fn with_pass_progress<T>(task: &str, work: impl FnOnce(&dyn WorkProgress) -> T) -> T {
    let progress = Progress::new(task, 1);
    let result = work(&|done: usize, of: usize| {
        progress.set_total(of);
        progress.set(done, "passes");
        unless_interrupted()
    });
    progress.finish();
    result
}

/// Calls `sample` with a callback that shows the rows of `images` images and heeds Ctrl-C, unless
/// it was pressed before: what is drawn after that is part of finishing.
pub fn with_row_progress<T>(
    task: &str,
    images: usize,
    height: usize,
    sample: impl FnOnce(&dyn WorkProgress) -> T,
) -> T {
    let progress = Progress::new(task, images * height);
    let finishing = interrupted();
    let result = sample(&|done: usize, _: usize| {
        progress.set(done, "rows");
        if finishing {
            ControlFlow::Continue(())
        } else {
            unless_interrupted()
        }
    });
    progress.finish();
    result
}

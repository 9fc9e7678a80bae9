use std::ops::ControlFlow;
use std::sync::Mutex;
use std::time::{Duration, Instant};

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use pixel_iqn_core::Progress;
use pixel_iqn_train::Interrupter;

/// A bar on a terminal, and a line every few seconds elsewhere, on standard error.
pub struct Bar {
    bar: ProgressBar,
    task: String,
    last_line: Mutex<Instant>,
    interrupter: Option<Interrupter>,
}

impl Bar {
    const EVERY: Duration = Duration::from_secs(5);

    pub(super) fn new(task: String, interrupter: Option<Interrupter>) -> Self {
        // The first report tells the total.
        let bar = match pixel_iqn_data::can_redraw(&std::io::stderr()) {
            true => ProgressBar::new(1),
            false => ProgressBar::with_draw_target(Some(1), ProgressDrawTarget::hidden()),
        };
        let style = ProgressStyle::with_template("{prefix} {wide_bar} {pos}/{len} {msg} eta {eta}");
        bar.set_style(style.expect("the template is valid"));
        bar.set_prefix(task.clone());
        Self {
            bar,
            task,
            last_line: Mutex::new(Instant::now()),
            interrupter,
        }
    }

    /// Begins at `done` units, which took no time, of `total`.
    pub fn start_at(self, done: usize, total: usize) -> Self {
        self.bar.set_length(total as u64);
        self.bar.set_position(done as u64);
        self.bar.reset_eta();
        self
    }

    /// Moves to `done` units, with a note such as the loss.
    pub fn set(&self, done: usize, note: &str) {
        self.bar.set_position(done as u64);
        self.bar.set_message(note.to_owned());
        let mut last = self
            .last_line
            .lock()
            .expect("no thread panics with the lock");
        if self.bar.is_hidden() && last.elapsed() >= Self::EVERY {
            *last = Instant::now();
            let (done, total) = (self.bar.position(), self.bar.length().unwrap_or(0));
            let eta = self.bar.eta().as_secs();
            pixel_iqn_data::tell!("{} {done}/{total} {note} eta {eta}s", self.task);
        }
    }

    /// Prints a line above the bar.
    pub fn println(&self, line: &str) {
        if self.bar.is_hidden() {
            pixel_iqn_data::tell!("{line}");
        } else {
            self.bar.println(line);
        }
    }
}

impl Progress for Bar {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        self.bar.set_length(total as u64);
        self.set(done.max(self.bar.position() as usize), "");
        match &self.interrupter {
            Some(interrupter) if interrupter.should_stop() => ControlFlow::Break(()),
            _ => ControlFlow::Continue(()),
        }
    }
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}

use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use pixel_iqn_core::Progress;
use pixel_iqn_data::say;
use pixel_iqn_score::skill_text;
use pixel_iqn_train::{Display, Interrupter, Metrics};

use super::{Bar, Terminal};
use crate::{Run, Watcher};

/// What the first step of a GPU does for most of its time.
const COMPILING: &str = "the device compiles kernels for the first step";

/// Shows a [training](crate::Training) on a terminal: see [`Terminal::watcher`].
pub struct TerminalWatcher {
    terminal: Terminal,
    display: Display,
    task: String,
    quiet: bool,
    /// Shared with the callbacks.
    bar: Arc<Mutex<Option<Bar>>>,
}

impl TerminalWatcher {
    pub(super) fn new(terminal: Terminal) -> Self {
        Self {
            terminal,
            display: Display::detect(),
            task: "training".to_owned(),
            quiet: false,
            bar: Arc::default(),
        }
    }

    /// Shows no dashboard, also on a terminal.
    pub fn with_plain(self, plain: bool) -> Self {
        match plain {
            true => Self {
                display: Display::Plain,
                ..self
            },
            false => self,
        }
    }

    /// Names the task before the bar, and leaves the config out: for a program that trains several.
    pub fn with_task(self, task: impl Into<String>) -> Self {
        Self {
            task: task.into(),
            quiet: true,
            ..self
        }
    }
}

impl Watcher for TerminalWatcher {
    fn begin(&mut self, run: &Run, steps_done: usize, devices: &[Device]) {
        let config = run.config();
        if !self.quiet {
            say!("{}", config.to_toml());
            say!("data   {}", config.data.description);
            say!("run    {}", run.path().display());
            if steps_done > 0 {
                say!("resume after {steps_done} steps");
            }
        }
        if self.display == Display::Plain {
            let bar = Bar::new(self.task.clone(), None).start_at(steps_done, config.train.steps);
            if !devices.iter().all(crate::device::is_cpu) {
                bar.set(steps_done, COMPILING);
                bar.println(COMPILING);
            }
            *self.bar.lock().expect("no thread panics with the lock") = Some(bar);
        }
    }

    fn display(&self) -> Display {
        self.display
    }

    fn interrupter(&self) -> Interrupter {
        self.terminal.interrupter()
    }

    fn on_step(&self) -> Box<dyn FnMut(&Metrics) + Send> {
        let bar = self.bar.clone();
        Box::new(move |metrics| {
            let bar = bar.lock().expect("no thread panics with the lock");
            let Some(bar) = &*bar else { return };
            let (step, loss) = (metrics.report.step + 1, metrics.report.loss);
            let rate = metrics.images_per_second;
            bar.set(step, &format!("loss {loss:.4} {rate:.1} images/s"));
            if let Some(held_out) = metrics.held_out {
                bar.println(&format!(
                    "step {step}: held-out loss {:.5}, mean pinball {:.5}, skill {}, crossing \
                     rate {:.1}%",
                    held_out.loss,
                    held_out.mean_pinball,
                    skill_text(held_out.skill, 3),
                    100.0 * held_out.crossing_rate
                ));
            }
        })
    }

    fn on_notice(&self) -> Box<dyn FnMut(&str) + Send> {
        let bar = self.bar.clone();
        Box::new(
            move |line| match &*bar.lock().expect("no thread panics with the lock") {
                Some(bar) => bar.println(line),
                None => pixel_iqn_data::tell!("{line}"),
            },
        )
    }

    fn progress(&self, task: &str) -> Box<dyn Progress> {
        // The bar of the steps is done.
        *self.bar.lock().expect("no thread panics with the lock") = None;
        Box::new(self.terminal.bar(task))
    }
}

use burn::tensor::Device;
use pixel_iqn_core::{NoProgress, Progress};
use pixel_iqn_train::{Display, Interrupter, Metrics};

use crate::Run;

/// Sees and may stop a [`Training`](crate::Training): what a program shows on the way.
///
/// The unit type watches nothing. [`terminal`](crate::terminal) has one for terminals.
pub trait Watcher: Send {
    /// Is called before the first step.
    fn begin(&mut self, _run: &Run, _steps_done: usize, _devices: &[Device]) {}

    /// How the steps are shown: without an answer, by the callbacks alone.
    fn display(&self) -> Display {
        Display::Plain
    }

    /// The switch that stops the training.
    fn interrupter(&self) -> Interrupter {
        Interrupter::new()
    }

    /// Makes what is called after each step.
    fn on_step(&self) -> Box<dyn FnMut(&Metrics) + Send> {
        Box::new(|_| ())
    }

    /// Makes what is called with a line of text for what a user should know.
    fn on_notice(&self) -> Box<dyn FnMut(&str) + Send> {
        Box::new(|_| ())
    }

    /// Makes the progress of a task after the steps, such as `scoring`.
    fn progress(&self, _task: &str) -> Box<dyn Progress> {
        Box::new(NoProgress)
    }
}

impl Watcher for () {}

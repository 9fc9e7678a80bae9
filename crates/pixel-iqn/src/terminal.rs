//! Programs on a terminal: their arguments, progress bars, Ctrl-C, and what a training shows.
//!
//! ```no_run
//! use pixel_iqn::terminal::Terminal;
//! use pixel_iqn::Model;
//!
//! let terminal = Terminal::new()?;
//! let model = Model::open("runs/photos", "cpu")?;
//! let bar = terminal.bar("sampling");
//! model.sample(64).progress(&bar).run()?.save_grid("samples.png")?;
//! # Ok::<(), pixel_iqn::Error>(())
//! ```

mod arguments;
mod bar;
pub mod number;
mod show;
mod watcher;

pub use arguments::{arguments, parse};
pub use bar::Bar;
pub use show::{Graphics, LiveView, Show};
pub use watcher::TerminalWatcher;

use std::fmt::Display;
use std::process::ExitCode;

use pixel_iqn_data::tell;
use pixel_iqn_train::{Interrupter, signal_exit_code};

use crate::Error;

/// A program's terminal: the first Ctrl-C (or SIGTERM) asks the work to finish, the second one kills
/// the program.
#[derive(Clone)]
pub struct Terminal {
    interrupter: Interrupter,
}

impl Terminal {
    /// Listens for signals, starts the threads that compute, and keeps the memory of tensors that are dropped (see
    /// [`keep_freed_memory`](crate::keep_freed_memory)). A program calls it once, first.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] and [`Error::Threads`] where the operating system refuses.
    pub fn new() -> Result<Self, Error> {
        #[cfg(feature = "cpu")]
        {
            crate::keep_freed_memory();
            pixel_iqn_cpu::start_threads().map_err(Error::Threads)?;
        }
        Ok(Self {
            interrupter: pixel_iqn_train::stop_on_signals()?,
        })
    }

    /// Runs the work of a program, prints its error, and returns the exit code: 0 where the result is
    /// there, 1 where it is not, and where a signal ended the work before the result was there, 130 for
    /// Ctrl-C and 143 for SIGTERM.
    ///
    /// ```no_run
    /// use pixel_iqn::terminal::Terminal;
    /// use pixel_iqn::{Error, Model};
    ///
    /// fn main() -> std::process::ExitCode {
    ///     Terminal::run(|terminal| {
    ///         let bar = terminal.bar("sampling");
    ///         let model = Model::open("runs/photos", "cpu")?;
    ///         model.sample(64).progress(&bar).run()?.save_grid("samples.png")?;
    ///         Ok::<(), Error>(())
    ///     })
    /// }
    /// ```
    pub fn run<E: Display + From<Error>>(work: impl FnOnce(&Self) -> Result<(), E>) -> ExitCode {
        match Self::new()
            .map_err(E::from)
            .and_then(|terminal| work(&terminal))
        {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => match signal_exit_code() {
                Some(code) => {
                    tell!("interrupted: {error:#}");
                    ExitCode::from(code)
                }
                None => {
                    tell!("error: {error:#}");
                    ExitCode::FAILURE
                }
            },
        }
    }

    /// The switch that the signals turn.
    pub fn interrupter(&self) -> Interrupter {
        self.interrupter.clone()
    }

    /// Whether the program was asked to finish.
    pub fn interrupted(&self) -> bool {
        self.interrupter.should_stop()
    }

    /// The progress of a task: a bar, or without a terminal a line every few seconds. It cancels the
    /// task when the program is asked to finish.
    pub fn bar(&self, task: impl Into<String>) -> Bar {
        Bar::new(task.into(), Some(self.interrupter()))
    }

    /// What a [training](crate::Training) shows: Burn's dashboard where there is a terminal, else lines.
    pub fn watcher(&self) -> TerminalWatcher {
        TerminalWatcher::new(self.clone())
    }
}

//! Programs on a terminal: progress bars, Ctrl-C, and what a training shows.
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

mod bar;
mod show;
mod watcher;

pub use bar::Bar;
pub use show::{LiveView, Show};
pub use watcher::TerminalWatcher;

use pixel_iqn_train::Interrupter;

use crate::Error;

/// A program's terminal: the first Ctrl-C (or SIGTERM) asks the work to finish, the second one kills
/// the program.
#[derive(Clone)]
pub struct Terminal {
    interrupter: Interrupter,
}

impl Terminal {
    /// Listens for signals, and keeps the memory of tensors that are dropped (see
    /// [`keep_freed_memory`](crate::keep_freed_memory)). A program calls it once, first.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] where the operating system refuses.
    pub fn new() -> Result<Self, Error> {
        #[cfg(feature = "cpu")]
        crate::keep_freed_memory();
        Ok(Self {
            interrupter: pixel_iqn_train::stop_on_signals()?,
        })
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

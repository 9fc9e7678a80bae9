//! The terminal under Burn's dashboard, which makes Ctrl-C a key that it does not read, which leaves the
//! terminal as it is when the process exits in another thread, and which panics where the terminal goes
//! away.

use burn::train::Interrupter;
use burn::train::renderer::MetricsRenderer;

/// Burn's dashboard, where the program has it.
pub(crate) fn dashboard(interrupter: &Interrupter) -> Option<Box<dyn MetricsRenderer>> {
    #[cfg(feature = "dashboard")]
    {
        use burn::train::renderer::tui::TuiMetricsRendererWrapper;
        #[cfg(unix)]
        {
            unix::remember();
            unix::outlive_the_terminal();
        }
        let renderer = TuiMetricsRendererWrapper::new(interrupter.clone(), None);
        #[cfg(unix)]
        unix::keep_ctrl_c();
        Some(Box::new(renderer))
    }
    #[cfg(not(feature = "dashboard"))]
    {
        let _ = interrupter;
        None
    }
}

/// Takes the terminal from the dashboard, before the process exits at once.
pub(crate) fn restore() {
    #[cfg(all(unix, feature = "dashboard"))]
    unix::restore();
}

/// Whether the dashboard has the terminal.
pub(crate) fn dashboard_is_up() -> bool {
    #[cfg(all(unix, feature = "dashboard"))]
    return unix::is_raw();
    #[cfg(not(all(unix, feature = "dashboard")))]
    false
}

#[cfg(all(unix, feature = "dashboard"))]
mod unix {
    use core::time::Duration;
    use std::fs::OpenOptions;
    use std::io::{Write, stderr, stdin, stdout};
    use std::sync::{Once, OnceLock};
    use std::{panic, thread};

    use rustix::fd::AsFd;
    use rustix::io::Errno;
    use rustix::stdio::{dup2_stderr, dup2_stdout};
    use rustix::termios::{LocalModes, OptionalActions, Termios, tcgetattr, tcsetattr};

    /// The name of the thread in which Burn draws.
    const RENDERER: &str = "train-renderer";

    /// The terminal before the dashboard.
    static BEFORE: OnceLock<Termios> = OnceLock::new();

    pub fn remember() {
        if let Ok(modes) = tcgetattr(stdin()) {
            BEFORE.get_or_init(|| modes);
        }
    }

    /// Lets the training go on when its terminal goes away, as at the end of an SSH connection. Burn's
    /// thread that draws then panics, as it cannot give the terminal back. What it drops meanwhile prints,
    /// and where that fails too, a second panic ends the process: so first of all, what is printed goes to
    /// nowhere from then on.
    pub fn outlive_the_terminal() {
        static ONCE: Once = Once::new();
        ONCE.call_once(|| {
            let before = panic::take_hook();
            panic::set_hook(Box::new(move |info| {
                let draws = thread::current().name() == Some(RENDERER);
                if !(draws && leave_the_terminal()) {
                    before(info);
                }
            }));
        });
    }

    /// Makes nothing of standard output and standard error where their terminal has gone away; false where
    /// it is still there.
    fn leave_the_terminal() -> bool {
        let null = || OpenOptions::new().write(true).open("/dev/null");
        let mut left = false;
        if has_gone(stdout()) {
            left |= null().is_ok_and(|null| dup2_stdout(null).is_ok());
        }
        if has_gone(stderr()) {
            left |= null().is_ok_and(|null| dup2_stderr(null).is_ok());
        }
        left
    }

    fn has_gone(stream: impl AsFd) -> bool {
        matches!(tcgetattr(stream), Err(Errno::IO))
    }

    pub fn restore() {
        let Some(modes) = BEFORE.get().filter(|_| is_raw()) else {
            return;
        };
        tcsetattr(stdin(), OptionalActions::Now, modes).ok();
        // Leave the alternate screen, show the cursor, let go of the mouse.
        let codes = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l";
        let mut stdout = stdout();
        stdout.write_all(codes.as_bytes()).ok();
        stdout.flush().ok();
    }

    pub fn is_raw() -> bool {
        let modes = tcgetattr(stdin());
        modes.is_ok_and(|modes| !modes.local_modes.contains(LocalModes::ICANON))
    }

    /// Makes Ctrl-C a signal again, so that it stops the training as it does elsewhere.
    pub fn keep_ctrl_c() {
        // The dashboard sets up the terminal in a thread of its own.
        for _ in 0..200 {
            let Ok(mut modes) = tcgetattr(stdin()) else {
                return;
            };
            if !modes.local_modes.contains(LocalModes::ICANON) {
                modes.local_modes |= LocalModes::ISIG;
                tcsetattr(stdin(), OptionalActions::Now, &modes).ok();
                return;
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

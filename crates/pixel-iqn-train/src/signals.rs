use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use burn::train::Interrupter;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::error::RunError;
use crate::terminal;

/// Returns a switch that the first SIGINT (Ctrl-C) or SIGTERM turns: a [`Session`](crate::Session)
/// with it finishes its step, writes a checkpoint and returns. The second signal ends the process at
/// once, with exit code 130.
///
/// SIGHUP stays as it is, so that `nohup` works.
///
/// # Errors
///
/// [`RunError::Signals`] where the operating system refuses.
pub fn stop_on_signals() -> Result<Interrupter, RunError> {
    let interrupter = Interrupter::new();
    let switch = interrupter.clone();
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGINT, SIGTERM] {
        flag::register(signal, stop.clone()).map_err(RunError::Signals)?;
    }
    let wait = move || {
        while !stop.swap(false, Ordering::Relaxed) {
            thread::sleep(Duration::from_millis(20));
        }
    };
    thread::spawn(move || {
        wait();
        switch.stop(Some("a signal"));
        // It would be written across the dashboard.
        if !terminal::dashboard_is_up() {
            eprintln!("\nfinishing; press Ctrl-C again to stop at once");
        }
        wait();
        terminal::restore();
        std::process::exit(130);
    });
    Ok(interrupter)
}

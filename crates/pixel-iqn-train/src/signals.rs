use std::sync::atomic::{AtomicBool, Ordering};

use burn::train::Interrupter;

use crate::error::RunError;

/// A switch that the first SIGINT (Ctrl-C), SIGTERM or SIGHUP turns: a
/// [`Session`](crate::Session) with it finishes its step, writes a checkpoint and returns. The
/// second one ends the process at once, with exit code 130.
///
/// # Errors
///
/// [`RunError::Signals`] where the process already has a handler for them.
pub fn stop_on_signals() -> Result<Interrupter, RunError> {
    let interrupter = Interrupter::new();
    let switch = interrupter.clone();
    let stopping = AtomicBool::new(false);
    ctrlc::set_handler(move || {
        if stopping.swap(true, Ordering::Relaxed) {
            std::process::exit(130);
        }
        eprintln!("\nfinishing; press Ctrl-C again to stop at once");
        switch.stop(Some("a signal"));
    })?;
    Ok(interrupter)
}

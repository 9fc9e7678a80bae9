use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU8, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use burn::train::Interrupter;
#[cfg(unix)]
use signal_hook::consts::{SIGHUP, SIGXFSZ};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::drawing::Drawing;
use crate::error::RunError;
use crate::terminal;

/// How long a process has after a signal to end by itself, where no work is lost if it is ended: less
/// than the time after which job schedulers kill.
const GRACE: Duration = Duration::from_secs(4);

/// The sessions of this process that have steps which no checkpoint holds.
static AT_STAKE: AtomicUsize = AtomicUsize::new(0);

/// Says, while it lives, that there are steps which no checkpoint holds.
pub(crate) struct StepsAtStake(());

impl StepsAtStake {
    pub(crate) fn new() -> Self {
        AT_STAKE.fetch_add(1, Ordering::Relaxed);
        Self(())
    }
}

impl Drop for StepsAtStake {
    fn drop(&mut self) {
        AT_STAKE.fetch_sub(1, Ordering::Relaxed);
    }
}

/// The first signal that asked the process to finish, or 0.
static ASKED: AtomicU8 = AtomicU8::new(0);

/// Returns the exit code by which a program says that a signal ended its work before the result was there:
/// 128 and the number of the signal, 130 for SIGINT (Ctrl-C), 143 for SIGTERM, and 129 for SIGHUP, which comes
/// where the terminal goes away. None while no signal has come.
pub fn signal_exit_code() -> Option<u8> {
    match ASKED.load(Ordering::Relaxed) {
        0 => None,
        signal => Some(128 + signal),
    }
}

/// Makes of a file that reaches the limit of `ulimit -f` an error of writing, as on a full disk, where the
/// signal SIGXFSZ would end the process.
///
/// # Errors
///
/// [`RunError::Signals`] where the operating system refuses.
pub fn survive_file_size_limits() -> Result<(), RunError> {
    #[cfg(unix)]
    flag::register(SIGXFSZ, Arc::new(AtomicBool::new(false))).map_err(RunError::Signals)?;
    Ok(())
}

/// Returns a switch that the first SIGINT (Ctrl-C) or SIGTERM turns: a [`Session`](crate::Session)
/// with it finishes its step, writes a checkpoint and returns. The second signal ends the process at
/// once, with exit code 130 or 143. So does SIGHUP, with exit code 129, which a process gets whose terminal
/// goes away; one that ignores it, as `nohup` arranges it, goes on to its end.
///
/// Four seconds after the first signal the process ends in the same way if it is still there and no
/// session has steps that a checkpoint has yet to hold: a device that compiles the kernels of a first
/// step does not look at the switch, for minutes.
///
/// # Errors
///
/// [`RunError::Signals`] where the operating system refuses.
pub fn stop_on_signals() -> Result<Interrupter, RunError> {
    let interrupter = Interrupter::new();
    let switch = interrupter.clone();
    // The last signal, or 0.
    let last = Arc::new(AtomicUsize::new(0));
    for &signal in listened_to() {
        flag::register_usize(signal, last.clone(), signal as usize).map_err(RunError::Signals)?;
    }
    let listen = move || {
        let first = loop {
            match last.swap(0, Ordering::Relaxed) {
                0 => thread::sleep(Duration::from_millis(20)),
                signal => break signal,
            }
        };
        // Before the switch, so that whoever sees that turned finds the signal.
        ASKED.store(first as u8, Ordering::Relaxed);
        switch.stop(Some("a signal"));
        // It would be written across the dashboard, or the drawing.
        if !terminal::dashboard_is_up() && !Drawing::goes_on() {
            pixel_iqn_data::tell!("\nfinishing; press Ctrl-C again to stop at once");
        }
        let since = Instant::now();
        loop {
            thread::sleep(Duration::from_millis(20));
            match last.swap(0, Ordering::Relaxed) {
                0 if since.elapsed() < GRACE || AT_STAKE.load(Ordering::Relaxed) > 0 => {}
                0 => {
                    if !terminal::dashboard_is_up() {
                        pixel_iqn_data::tell!(
                            "interrupted: the work did not stop within {} seconds and was cut off; files \
                             under their final names are whole",
                            GRACE.as_secs()
                        );
                    }
                    exit(first)
                }
                signal => exit(signal),
            }
        }
    };
    // A system that has no thread left says so.
    let thread = thread::Builder::new().name("signals".to_owned());
    thread.spawn(listen).map_err(RunError::Signals)?;
    Ok(interrupter)
}

/// The signals that ask the process to finish.
fn listened_to() -> &'static [i32] {
    #[cfg(unix)]
    if !ignores_hangups() {
        return &[SIGINT, SIGTERM, SIGHUP];
    }
    &[SIGINT, SIGTERM]
}

/// Whether the process was started to ignore that its terminal goes away. Only Linux says so without a call
/// of the system; elsewhere it is taken for granted, and SIGHUP stays as it is.
#[cfg(unix)]
fn ignores_hangups() -> bool {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    ignored_signals(&status).is_none_or(|ignored| ignored & 1 << (SIGHUP - 1) != 0)
}

/// The mask of the signals that a process ignores, from its status.
#[cfg(unix)]
fn ignored_signals(status: &str) -> Option<u64> {
    let mask = status
        .lines()
        .find_map(|line| line.strip_prefix("SigIgn:"))?;
    u64::from_str_radix(mask.trim(), 16).ok()
}

/// Ends the process as a second Ctrl-C does.
pub(crate) fn stop_at_once() -> ! {
    exit(SIGINT as usize)
}

/// Ends the process as the signal would have.
fn exit(signal: usize) -> ! {
    terminal::restore();
    std::process::exit(128 + signal as i32);
}

#[cfg(all(test, unix))]
mod tests {
    use super::*;

    #[test]
    fn the_status_of_a_process_says_what_it_ignores() {
        let status = "SigBlk:\t0000000000000000\nSigIgn:\t0000000000001001\nSigCgt:\t00\n";
        assert_eq!(ignored_signals(status), Some(0x1001));
        assert_eq!(ignored_signals("Name:\tx\n"), None);
    }
}

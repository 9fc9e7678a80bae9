use core::any::Any;
use core::time::Duration;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::mpsc::{self, RecvTimeoutError};
use std::thread;

use crate::error::TrainError;

/// Does work that waits for a device of another machine, in a thread of its own, and waits for it no
/// longer than `limit`. Burn waits for a server that stopped without a limit.
///
/// # Errors
///
/// [`TrainError::Device`] where the work panicked, or was not done in time. The thread of the latter
/// waits on, until the program ends.
pub fn within<T: Send + 'static>(
    limit: Duration,
    device: &str,
    work: impl FnOnce() -> T + Send + 'static,
) -> Result<T, TrainError> {
    let (sender, answer) = mpsc::channel();
    thread::spawn(move || {
        let done = catch_unwind(AssertUnwindSafe(work));
        let _ = sender.send(done.map_err(|panic| panic_message(&*panic)));
    });
    match answer.recv_timeout(limit) {
        Ok(done) => done.map_err(|reason| lost(device, &reason)),
        Err(RecvTimeoutError::Timeout) => Err(silent(device, limit)),
        Err(RecvTimeoutError::Disconnected) => Err(lost(device, "its thread has ended")),
    }
}

/// The error for a device that failed.
pub(crate) fn lost(device: &str, reason: &str) -> TrainError {
    TrainError::Device(format!("`{device}` was lost ({reason}){GO_ON}"))
}

/// The error for a device that does not answer.
pub(crate) fn silent(device: &str, limit: Duration) -> TrainError {
    let seconds = limit.as_secs_f64();
    TrainError::Device(format!(
        "`{device}` did not answer within {seconds} s{GO_ON}"
    ))
}

const GO_ON: &str = ". The last checkpoint stands: --resume goes on from it, on other devices where \
                     --device names them";

/// The message of a panic.
pub(crate) fn panic_message(panic: &(dyn Any + Send)) -> String {
    let text = (panic.downcast_ref::<String>().map(String::as_str))
        .or_else(|| panic.downcast_ref::<&str>().copied());
    text.unwrap_or("it failed without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn work_is_done_fails_or_is_given_up() {
        let limit = Duration::from_secs(60);
        assert_eq!(within(limit, "remote:a:1", || 3).unwrap(), 3);

        let error = within(limit, "remote:a:1", || panic!("the line is dead")).unwrap_err();
        let text = error.to_string();
        assert!(matches!(error, TrainError::Device(_)));
        assert!(
            text.contains("`remote:a:1`") && text.contains("the line is dead"),
            "{text}"
        );

        // Its sender waits for as long as the test does.
        let (sender, receiver) = mpsc::channel::<()>();
        let error = within(Duration::from_millis(20), "remote:a:1", move || {
            receiver.recv()
        });
        let text = error.unwrap_err().to_string();
        assert!(
            text.contains("`remote:a:1` did not answer within 0.02 s"),
            "{text}"
        );
        drop(sender);
    }
}

use std::error::Error;
use std::io;

/// Starts the threads that all computation on the CPU shares, as many as there are processors, or
/// `RAYON_NUM_THREADS`. Without this the first computation starts them, and panics where the system has no
/// thread left.
///
/// # Errors
///
/// The error of the operating system that refuses to start a thread.
pub fn start_threads() -> io::Result<()> {
    match rayon::ThreadPoolBuilder::new().build_global() {
        Ok(()) => Ok(()),
        // Threads that were started before have no cause.
        Err(error) => match error.source().and_then(|cause| cause.downcast_ref()) {
            Some(cause) => Err(copy(cause)),
            None => Ok(()),
        },
    }
}

fn copy(error: &io::Error) -> io::Error {
    match error.raw_os_error() {
        Some(code) => io::Error::from_raw_os_error(code),
        None => error.kind().into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn threads_start_once() {
        start_threads().unwrap();
        start_threads().unwrap();
    }
}

use core::ops::ControlFlow;

/// How far long work has come, and whether it shall go on.
pub trait Progress: Sync {
    /// `done` of `total` units of the work are done; `Break` cancels it.
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()>;
}

impl<F: Fn(usize, usize) -> ControlFlow<()> + Sync> Progress for F {
    fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
        self(done, total)
    }
}

/// Never cancels.
pub struct NoProgress;

impl Progress for NoProgress {
    fn advance(&self, _: usize, _: usize) -> ControlFlow<()> {
        ControlFlow::Continue(())
    }
}

/// The caller cancelled the work.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("cancelled")]
pub struct Cancelled;

/// Reports progress.
pub fn check(progress: &dyn Progress, done: usize, total: usize) -> Result<(), Cancelled> {
    match progress.advance(done, total) {
        ControlFlow::Continue(()) => Ok(()),
        ControlFlow::Break(()) => Err(Cancelled),
    }
}

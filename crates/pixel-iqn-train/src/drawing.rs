use std::sync::atomic::{AtomicUsize, Ordering};

/// The values of [`Drawing`] that there are in this process.
static DRAWINGS: AtomicUsize = AtomicUsize::new(0);

/// Says, while it lives, that this process draws on its terminal and knows where the cursor is. A signal
/// that [`stop_on_signals`](crate::stop_on_signals) listens to then prints nothing; whoever draws sees the
/// switch turned, and takes the drawing away.
#[derive(Debug)]
pub struct Drawing(());

impl Drawing {
    /// Begins to draw.
    pub fn begin() -> Self {
        DRAWINGS.fetch_add(1, Ordering::Relaxed);
        Self(())
    }

    /// Whether this process draws.
    pub(crate) fn goes_on() -> bool {
        DRAWINGS.load(Ordering::Relaxed) > 0
    }
}

impl Drop for Drawing {
    fn drop(&mut self) {
        DRAWINGS.fetch_sub(1, Ordering::Relaxed);
    }
}

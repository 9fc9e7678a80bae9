use std::time::{Duration, Instant};

/// Tells when some minutes have passed.
pub(super) struct Timer {
    every: Option<Duration>,
    since: Instant,
}

impl Timer {
    /// Starts now; never due for 0 minutes.
    pub fn new(minutes: f64) -> Self {
        let every = (minutes > 0.0).then(|| Duration::try_from_secs_f64(60.0 * minutes));
        Self {
            every: every.and_then(Result::ok),
            since: Instant::now(),
        }
    }

    pub fn is_due(&self) -> bool {
        self.every
            .is_some_and(|every| self.since.elapsed() >= every)
    }

    /// Starts again.
    pub fn reset(&mut self) {
        self.since = Instant::now();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zero_and_more_than_a_clock_can_hold_are_never_due() {
        assert!(!Timer::new(0.0).is_due());
        assert!(!Timer::new(f64::MAX).is_due());
        assert!(!Timer::new(60.0).is_due());
        let short = Timer::new(1e-9);
        std::thread::sleep(Duration::from_millis(1));
        assert!(short.is_due());
    }
}

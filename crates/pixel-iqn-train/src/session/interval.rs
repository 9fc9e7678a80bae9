/// The measurement interval: how the steps of a run are divided by the measurements on held-out
/// images. The last interval may be shorter.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Interval {
    steps: usize,
    every: usize,
}

impl Interval {
    /// Divides `steps` steps into intervals of `every` steps; 0 stands for one interval.
    pub fn new(steps: usize, every: usize) -> Self {
        let every = if every == 0 { steps } else { every };
        Self { steps, every }
    }

    /// The number of intervals.
    pub fn count(&self) -> usize {
        self.steps.div_ceil(self.every)
    }

    /// The number of intervals that are over after `done` steps, not counting a shorter last one.
    pub fn over_after(&self, done: usize) -> usize {
        done / self.every
    }

    /// The interval of a step, both counted from 0.
    pub fn of(&self, step: usize) -> usize {
        step / self.every
    }

    /// The number of steps in the interval of a step.
    pub fn len_at(&self, step: usize) -> usize {
        self.every.min(self.steps - self.of(step) * self.every)
    }

    /// The steps of its interval that are done after a step.
    pub fn done_at(&self, step: usize) -> usize {
        step % self.every + 1
    }

    /// Whether an interval ends after `done` steps, so that a measurement is due.
    pub fn ends_after(&self, done: usize) -> bool {
        done.is_multiple_of(self.every) || done == self.steps
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_last_interval_may_be_shorter() {
        let interval = Interval::new(7, 3);
        assert_eq!(interval.count(), 3);
        let ends: Vec<usize> = (1..=7).filter(|&done| interval.ends_after(done)).collect();
        assert_eq!(ends, [3, 6, 7]);
        let place = |step| {
            let i = interval;
            (i.of(step), i.done_at(step), i.len_at(step))
        };
        assert_eq!(
            [0, 2, 3, 6].map(place),
            [(0, 1, 3), (0, 3, 3), (1, 1, 3), (2, 1, 1)]
        );
        assert_eq!(interval.over_after(5), 1);
    }

    #[test]
    fn zero_stands_for_one_measurement_at_the_end() {
        let interval = Interval::new(7, 0);
        assert_eq!(interval, Interval::new(7, 7));
        assert_eq!((interval.count(), interval.len_at(6)), (1, 7));
        // Longer than the run.
        let interval = Interval::new(7, 50);
        assert_eq!((interval.count(), interval.len_at(6)), (1, 7));
        assert!(interval.ends_after(7) && !interval.ends_after(6));
    }
}

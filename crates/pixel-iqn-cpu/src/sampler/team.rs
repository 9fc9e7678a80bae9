//! The threads of a run. They share what is computed for a whole row, in tasks that each takes where it
//! comes; then the second one adds the convolutions over the pixels to the left, which do not need the pixel
//! that is sampled, while the first one samples that pixel.
//!
//! A row takes a millisecond or two, and to wake a thread takes a good part of that, so the second one stays
//! awake between rows that follow each other.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::Arc;
use std::thread::{self, Thread};

use super::row::{Part, steps};
use super::state::State;

/// How often a thread looks for another before it lets the system run something else.
const LOOKS: usize = 500;
/// How often the second thread looks for a row, a millisecond or so, before it sleeps: who asked for the
/// images may look at each row for as long as they like.
const LOOKS_FOR_ROW: usize = 2000;

/// How far the threads of a run are. Pixels are counted from 1 in the order in which they are sampled; 0 is
/// none.
#[derive(Debug)]
pub(super) struct Progress {
    layers: Vec<LayerProgress>,
    /// The parts of each step of a row.
    parts: usize,
    /// The rows that were begun.
    rows: AtomicUsize,
    /// The tasks that were taken, over all rows.
    taken: AtomicUsize,
    /// The tasks that are done.
    done: AtomicUsize,
    stopped: AtomicBool,
}

/// How far the pixels of a row are in a layer.
#[derive(Debug, Default)]
struct LayerProgress {
    /// The last pixel whose features are all computed.
    sampled: AtomicUsize,
    /// The last pixel whose part in the next one's gates a thread adds: twice its number, and one more once
    /// it is added.
    left: AtomicUsize,
}

impl LayerProgress {
    /// Takes it on to add a pixel's part in the next one's gates, unless the other thread does.
    fn take_left(&self, pixel: usize) -> bool {
        let next = |left| (left < 2 * pixel).then_some(2 * pixel);
        let order = Ordering::Relaxed;
        self.left.fetch_update(order, order, next).is_ok()
    }

    /// Says that a pixel's part in the next one's gates is added.
    fn finish_left(&self, pixel: usize) {
        self.left.store(2 * pixel + 1, Ordering::Release);
    }
}

impl Progress {
    /// Begins before the first row, for up to so many threads.
    pub fn new(layers: usize, threads: usize) -> Self {
        Self {
            layers: (0..layers).map(|_| LayerProgress::default()).collect(),
            parts: threads.max(1),
            rows: AtomicUsize::new(0),
            taken: AtomicUsize::new(0),
            done: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// Waits until a counter reaches a number, and returns whether it does: not where the run has stopped.
    fn wait(&self, counter: &AtomicUsize, number: usize) -> bool {
        let mut looks = 0;
        while counter.load(Ordering::Acquire) < number {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            looks += 1;
            pause(looks);
        }
        true
    }

    /// Waits like [`wait`](Self::wait) for the beginning of a row: the second thread awake for a while, and
    /// then asleep, as the others.
    fn wait_for_row(&self, row: usize, second: bool) -> bool {
        for look in 0..if second { LOOKS_FOR_ROW } else { 0 } {
            if self.rows.load(Ordering::Acquire) > row || self.stopped.load(Ordering::Relaxed) {
                break;
            }
            pause(look);
        }
        while self.rows.load(Ordering::Acquire) <= row {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            thread::park();
        }
        true
    }

    /// Takes the next task before the task `end`.
    fn take(&self, end: usize) -> Option<usize> {
        let next = |taken| (taken < end).then_some(taken + 1);
        let order = Ordering::Relaxed;
        self.taken.fetch_update(order, order, next).ok()
    }
}

/// Lets a moment pass before a thread that has looked so often looks again.
fn pause(looks: usize) {
    match looks < LOOKS {
        true => spin_loop(),
        false => thread::yield_now(),
    }
}

impl State {
    /// Does what tasks of a row no other thread takes, and returns whether the run goes on.
    fn work_on_row(&self, row: usize) -> bool {
        let (progress, parts) = (&self.progress, self.progress.parts);
        let tasks = steps(&self.plan) * parts;
        while let Some(task) = progress.take((row + 1) * tasks) {
            let index = task % parts;
            // A step reads what those before it wrote.
            if !progress.wait(&progress.done, task - index) {
                return false;
            }
            let part = Part {
                index,
                count: parts,
            };
            self.step(row, task % tasks / parts, part);
            progress.done.fetch_add(1, Ordering::Release);
        }
        true
    }

    /// Does the second thread's part of the pixels of a row, and returns whether the run goes on.
    fn add_lefts(&self, row: usize) -> bool {
        let [.., width] = self.batch.dims;
        for column in 1..width {
            let pixel = row * width + column;
            for (layer, progress) in self.progress.layers.iter().enumerate() {
                if !self.progress.wait(&progress.sampled, pixel) {
                    return false;
                }
                self.take_left(layer, pixel, column);
            }
        }
        true
    }

    /// Adds the part of the pixels to the left to the gates of a column of a layer, unless the other thread
    /// does or did, and returns whether it was added here.
    fn take_left(&self, layer: usize, pixel: usize, column: usize) -> bool {
        let progress = &self.progress.layers[layer];
        let taken = progress.take_left(pixel);
        if taken {
            self.add_left(layer, column);
            progress.finish_left(pixel);
        }
        taken
    }

    /// Computes what is computed for a whole row, with the help of the other threads.
    pub(super) fn begin_row(&self, row: usize, helpers: Option<&Helpers>) {
        let progress = &self.progress;
        progress.rows.store(row + 1, Ordering::Release);
        for helper in helpers.iter().flat_map(|helpers| &helpers.threads) {
            helper.unpark();
        }
        let tasks = steps(&self.plan) * progress.parts;
        let there = self.work_on_row(row) && progress.wait(&progress.done, (row + 1) * tasks);
        assert!(there, "a thread of a run has stopped");
    }
}

/// The first thread's side of the others.
#[derive(Debug)]
pub(super) struct Helpers {
    state: Arc<State>,
    threads: Vec<Thread>,
}

impl Helpers {
    /// Says that all features of a layer are there for a pixel, so that the second thread may go on.
    pub fn sampled(&self, layer: usize, pixel: usize) {
        let progress = &self.state.progress.layers[layer];
        progress.sampled.store(pixel, Ordering::Release);
    }

    /// Sees to it that the part of the pixels to the left is added to the gates of a column: where the second
    /// thread did not come to it, since the system runs something else, the first one adds it.
    pub fn add_left(&self, layer: usize, row: usize, column: usize) {
        let [.., width] = self.state.batch.dims;
        let (progress, pixel) = (&self.state.progress, row * width + column);
        let there = self.state.take_left(layer, pixel, column)
            || progress.wait(&progress.layers[layer].left, 2 * pixel + 1);
        assert!(there, "the second thread of a run has stopped");
    }
}

impl Drop for Helpers {
    /// Ends the other threads, also where the first one panics or is cancelled.
    fn drop(&mut self) {
        self.state.progress.stopped.store(true, Ordering::Relaxed);
        for thread in &self.threads {
            thread.unpark();
        }
    }
}

/// Runs `first` with the other threads of a run, or with fewer where the system has no thread left.
pub(super) fn with_helpers<R>(state: &Arc<State>, first: impl FnOnce(Option<Helpers>) -> R) -> R {
    if state.progress.parts == 1 {
        return first(None);
    }
    thread::scope(|scope| {
        let helper = |index: usize| {
            let builder = thread::Builder::new().name(format!("helper {index}"));
            let help = move || {
                // A panic here ends the waiting of the others.
                let stop = StopOnPanic(state);
                help(state, index);
                core::mem::forget(stop);
            };
            Some(builder.spawn_scoped(scope, help).ok()?.thread().clone())
        };
        let threads: Vec<Thread> = (1..state.progress.parts).map_while(helper).collect();
        first((!threads.is_empty()).then(|| Helpers {
            state: Arc::clone(state),
            threads,
        }))
    })
}

/// Works as the thread of a run with this index, from 1 on, until the run ends.
fn help(state: &State, index: usize) {
    let [_, _, height, _] = state.batch.dims;
    let progress = &state.progress;
    for row in 0..height {
        let begun = progress.wait_for_row(row, index == 1);
        if !begun || !state.work_on_row(row) || index == 1 && !state.add_lefts(row) {
            break;
        }
    }
}

struct StopOnPanic<'a>(&'a State);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.progress.stopped.store(true, Ordering::Relaxed);
    }
}

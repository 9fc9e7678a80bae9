//! A second thread for a run: it adds the convolutions over the pixels to the left, which do not need the
//! pixel that is sampled, while the first thread samples that pixel.

use core::hint::spin_loop;
use core::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard};
use std::thread::{self, Thread};

use super::layer_state::LayerState;
use super::plan::Plan;

/// How often a thread looks for the other before it lets the system run something else.
const LOOKS: usize = 500;

/// The layers of a run, and how far its two threads are with each. Pixels are counted from 1 in the order
/// in which they are sampled; 0 is none.
///
/// The threads work on a layer in turns, so that its lock is free whenever one of them takes it.
#[derive(Debug)]
pub(super) struct Layers {
    states: Vec<Mutex<LayerState>>,
    progress: Vec<LayerProgress>,
    /// The rows that were begun.
    rows: AtomicUsize,
    stopped: AtomicBool,
}

/// The last pixel that each thread is done with in a layer.
#[derive(Debug, Default)]
struct LayerProgress {
    /// The last one whose features are all computed.
    sampled: AtomicUsize,
    /// The last one whose part in the next pixel's gates is added.
    added: AtomicUsize,
}

impl Layers {
    /// Begins with the states before the first row.
    pub fn new(states: Vec<LayerState>) -> Self {
        Self {
            progress: states.iter().map(|_| LayerProgress::default()).collect(),
            states: states.into_iter().map(Mutex::new).collect(),
            rows: AtomicUsize::new(0),
            stopped: AtomicBool::new(false),
        }
    }

    /// The state of a layer.
    pub fn lock(&self, layer: usize) -> MutexGuard<'_, LayerState> {
        self.states[layer].lock().expect("no thread panicked")
    }

    /// Counts the numbers in the states.
    #[cfg(test)]
    pub fn numbers(&self) -> usize {
        (0..self.states.len())
            .map(|layer| self.lock(layer).numbers())
            .sum()
    }

    /// Waits until `pixel` is reached, and returns whether it is: not where the run has stopped.
    fn wait(&self, counter: &AtomicUsize, pixel: usize) -> bool {
        let mut looks = 0;
        while counter.load(Ordering::Acquire) < pixel {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            looks += 1;
            match looks < LOOKS {
                true => spin_loop(),
                false => thread::yield_now(),
            }
        }
        true
    }
}

/// The first thread's side of the second one.
#[derive(Debug)]
pub(super) struct Ahead {
    layers: Arc<Layers>,
    thread: Thread,
}

impl Ahead {
    /// Wakes the second thread at the beginning of a row.
    pub fn begin_row(&self, row: usize) {
        self.layers.rows.store(row + 1, Ordering::Release);
        self.thread.unpark();
    }

    /// Says that all features of a layer are there for a pixel, so that the second thread may go on.
    pub fn sampled(&self, layer: usize, pixel: usize) {
        let progress = &self.layers.progress[layer];
        progress.sampled.store(pixel, Ordering::Release);
    }

    /// Waits until a pixel's part in the next one's gates is added.
    pub fn wait(&self, layer: usize, pixel: usize) {
        let there = self.layers.wait(&self.layers.progress[layer].added, pixel);
        assert!(there, "the second thread of a run has stopped");
    }
}

impl Drop for Ahead {
    /// Ends the second thread, also where the first one panics or is cancelled.
    fn drop(&mut self) {
        self.layers.stopped.store(true, Ordering::Relaxed);
        self.thread.unpark();
    }
}

/// Runs `first` with a second thread for the layers, or with none where the system has no thread left.
pub(super) fn with_second_thread<R>(
    plan: &Plan,
    layers: &Arc<Layers>,
    [height, width, images]: [usize; 3],
    first: impl FnOnce(Option<Ahead>) -> R,
) -> R {
    thread::scope(|scope| {
        let second = thread::Builder::new().name("left".to_owned());
        let second = second.spawn_scoped(scope, || {
            // A panic here ends the wait of the first thread.
            let stop = StopOnPanic(layers);
            for row in 0..height {
                if !layers.run_row(plan, row, [width, images]) {
                    break;
                }
            }
            core::mem::forget(stop);
        });
        first(second.ok().map(|second| Ahead {
            layers: Arc::clone(layers),
            thread: second.thread().clone(),
        }))
    })
}

struct StopOnPanic<'a>(&'a Layers);

impl Drop for StopOnPanic<'_> {
    fn drop(&mut self) {
        self.0.stopped.store(true, Ordering::Relaxed);
    }
}

impl Layers {
    /// Adds what the pixels of a row give to the gates of those to their right, and returns whether the
    /// run goes on.
    fn run_row(&self, plan: &Plan, row: usize, [width, images]: [usize; 2]) -> bool {
        // Between the rows the first thread needs all processors, for the vertical stack.
        while self.rows.load(Ordering::Acquire) <= row {
            if self.stopped.load(Ordering::Relaxed) {
                return false;
            }
            thread::park();
        }
        for column in 1..width {
            let pixel = row * width + column;
            for (index, layer) in plan.layers.iter().enumerate() {
                let progress = &self.progress[index];
                if !self.wait(&progress.sampled, pixel) {
                    return false;
                }
                self.lock(index).add_left(layer, column, images);
                progress.added.store(pixel, Ordering::Release);
            }
        }
        true
    }
}

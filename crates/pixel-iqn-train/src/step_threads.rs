use std::sync::{Arc, Mutex};

use burn::tensor::Device;
use pixel_iqn_core::Lowering;
use rayon::{ThreadPool, ThreadPoolBuilder};

/// The threads of a training on the CPU.
///
/// A step has hundreds of operations that threads share. Begun from outside of a pool, each of them wakes a
/// thread and waits for it; a step that runs in a pool as a whole waits once. The pool is the trainer's own:
/// in the one that all computation shares, a thread that waits may take up another training's step, for
/// which it must not hold what this one has locked.
#[derive(Debug, Clone)]
pub(crate) struct StepThreads(Option<Arc<ThreadPool>>);

impl StepThreads {
    /// Starts the threads, where the device computes on threads of this process and the system has them.
    pub fn new(device: &Device) -> Self {
        let pool = || {
            let pool = ThreadPoolBuilder::new().thread_name(|i| format!("step {i}"));
            // As many as all computation shares, which a program may have limited.
            let pool = pool.num_threads(rayon::current_num_threads());
            pool.build().ok().map(Arc::new)
        };
        Self(Lowering::has_kernels(device).then(pool).flatten())
    }

    /// Runs `step` on the threads, or on the calling one where it is of a pool already.
    pub fn run<R: Send>(&self, step: impl FnOnce() -> R + Send) -> R {
        match &self.0 {
            Some(pool) if rayon::current_thread_index().is_none() => {
                // Always on the first thread: the allocator keeps memory for each thread that had some.
                let step = Mutex::new(Some(step));
                let results = pool.broadcast(|thread| {
                    if thread.index() > 0 {
                        return None;
                    }
                    let step = step.lock().ok()?.take()?;
                    Some(step())
                });
                results
                    .into_iter()
                    .flatten()
                    .next()
                    .expect("there is a first thread")
            }
            _ => step(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    #[should_panic = "on purpose"]
    fn a_panic_of_a_step_is_that_of_its_caller() {
        StepThreads::new(&Device::flex()).run(|| panic!("on purpose"));
    }

    #[test]
    fn a_step_runs_on_the_first_thread_and_stays_in_the_pool_of_its_caller() {
        let threads = StepThreads::new(&Device::flex().autodiff());
        for _ in 0..3 {
            assert_eq!(threads.run(rayon::current_thread_index), Some(0));
        }
        let pool = ThreadPoolBuilder::new().num_threads(3).build().unwrap();
        let of_three = pool.install(|| StepThreads::new(&Device::flex()));
        assert_eq!(of_three.run(rayon::current_num_threads), 3);
        let inside = pool.install(|| threads.run(rayon::current_num_threads));
        assert_eq!(inside, 3);
    }
}

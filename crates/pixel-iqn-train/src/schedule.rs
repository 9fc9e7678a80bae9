use core::f64::consts::PI;

use crate::config::{Schedule, TrainConfig};

/// Computes the learning rate of a step, counted from 0: a linear rise, then the
/// [`Schedule`](crate::Schedule). It depends on the step alone, so that a resumed run needs no state
/// of it.
///
/// ```text
/// w = warmup * steps, rounded                     p = (step - w) / (steps - w)
/// f = final_rate
/// rate = learning_rate * (step + 1) / (w + 1)                     step < w
/// rate = learning_rate                                            constant
/// rate = learning_rate * (f + (1 - f) (1 + cos(pi p)) / 2)        cosine
/// rate = learning_rate * f^p                                      exponential
/// ```
pub fn learning_rate(config: &TrainConfig, step: usize) -> f64 {
    let warmup = (config.warmup * config.steps as f64).round() as usize;
    let last = config.final_rate;
    let factor = if step < warmup {
        (step + 1) as f64 / (warmup + 1) as f64
    } else {
        let progress = (step - warmup) as f64 / config.steps.saturating_sub(warmup).max(1) as f64;
        let progress = progress.min(1.0);
        match config.schedule {
            Schedule::Constant => 1.0,
            Schedule::Cosine => last + (1.0 - last) * 0.5 * (1.0 + (PI * progress).cos()),
            Schedule::Exponential => last.powf(progress),
        }
    };
    config.learning_rate * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rates(config: &TrainConfig) -> Vec<f64> {
        (0..=100).map(|step| learning_rate(config, step)).collect()
    }

    #[test]
    fn rises_then_falls_to_zero() {
        let config = TrainConfig::new(100, 1)
            .with_warmup(0.2)
            .with_learning_rate(2.0);
        let rates = rates(&config);
        assert_eq!(rates[0], 2.0 / 21.0);
        assert_eq!(rates[20], 2.0);
        // Half of the way down the cosine.
        assert!((rates[60] - 1.0).abs() < 1e-12);
        assert_eq!(rates[100], 0.0);
        assert!(rates[..=20].is_sorted_by(|a, b| a < b));
        assert!(rates[20..].is_sorted_by(|a, b| a > b));
    }

    #[test]
    fn the_schedules_end_where_they_should() {
        let config = TrainConfig::new(100, 1)
            .with_warmup(0.0)
            .with_learning_rate(2.0)
            .with_final_rate(0.25);
        let cosine = rates(&config);
        assert_eq!((cosine[0], cosine[100]), (2.0, 0.5));
        let exponential = rates(&config.clone().with_schedule(Schedule::Exponential));
        assert_eq!((exponential[0], exponential[100]), (2.0, 0.5));
        assert!((exponential[50] - 1.0).abs() < 1e-12);
        let constant = rates(&config.with_schedule(Schedule::Constant));
        assert!(constant.iter().all(|&rate| rate == 2.0));
    }

    #[test]
    fn every_step_of_the_shortest_runs_learns() {
        for warmup in [0.0, 0.5, 1.0] {
            for steps in 1..5 {
                let config = TrainConfig::new(steps, 1).with_warmup(warmup);
                assert!((0..steps).all(|step| learning_rate(&config, step) > 0.0));
            }
        }
    }
}

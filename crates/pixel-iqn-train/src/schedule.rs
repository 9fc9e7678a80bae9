use core::f64::consts::PI;

use crate::config::TrainConfig;

/// The learning rate of a step, counted from 0: a linear rise, then half a cosine down to 0.
///
/// ```text
/// w = warmup * steps, rounded
/// rate = learning_rate * (step + 1) / (w + 1)                               step < w
/// rate = learning_rate * (1 + cos(pi * (step - w) / (steps - w))) / 2       otherwise
/// ```
pub fn learning_rate(config: &TrainConfig, step: usize) -> f64 {
    let warmup = (config.warmup * config.steps as f64).round() as usize;
    let factor = if step < warmup {
        (step + 1) as f64 / (warmup + 1) as f64
    } else {
        let progress = (step - warmup) as f64 / config.steps.saturating_sub(warmup).max(1) as f64;
        0.5 * (1.0 + (PI * progress.min(1.0)).cos())
    };
    config.learning_rate * factor
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rises_then_falls_to_zero() {
        let config = TrainConfig::new(100, 1)
            .with_warmup(0.2)
            .with_learning_rate(2.0);
        let rates: Vec<f64> = (0..=100).map(|step| learning_rate(&config, step)).collect();
        assert_eq!(rates[0], 2.0 / 21.0);
        assert_eq!(rates[20], 2.0);
        // Half of the way down the cosine.
        assert!((rates[60] - 1.0).abs() < 1e-12);
        assert_eq!(rates[100], 0.0);
        assert!(rates[..=20].is_sorted_by(|a, b| a < b));
        assert!(rates[20..].is_sorted_by(|a, b| a > b));
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

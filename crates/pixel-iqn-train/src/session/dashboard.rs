use std::panic::{AssertUnwindSafe, catch_unwind};

use burn::train::renderer::MetricsRenderer;

use super::displayed_metric::DisplayedMetric;
use super::{Context, End, Interval, SessionPart};
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::objective::TrainModel;
use crate::signals;

/// Shows the run with one of Burn's renderers, to which a measurement interval is an epoch.
///
/// The renderer is driven here and not by [`SupervisedTraining`](burn::train::SupervisedTraining),
/// which would need a learner, an optimizer and loaders that nothing uses. Its calls come in the
/// order that Burn documents for
/// [`TrainingProgressLogger`](burn::train::logger::TrainingProgressLogger). The exception is
/// `on_train_end`: the dashboard answers it by resetting the interrupter, and a Ctrl-C would be
/// forgotten.
pub(super) struct Dashboard {
    renderer: Box<dyn MetricsRenderer>,
    interval: Interval,
    training: Vec<DisplayedMetric>,
    held_out: Vec<DisplayedMetric>,
    in_interval: bool,
}

impl Dashboard {
    /// Tells the renderer what comes: the steps from `done` on.
    pub fn new(mut renderer: Box<dyn MetricsRenderer>, interval: Interval, done: usize) -> Self {
        let (training, held_out) = (
            DisplayedMetric::of_training(),
            DisplayedMetric::of_held_out(),
        );
        for metric in training.iter().chain(&held_out) {
            renderer.register_metric(metric.definition());
        }
        let starting_epoch = interval.over_after(done) + 1;
        renderer.start(interval.count(), starting_epoch, None, None);
        Self {
            renderer,
            interval,
            training,
            held_out,
            in_interval: false,
        }
    }

    fn begin_step(&mut self, step: usize) {
        if !self.in_interval {
            self.renderer
                .start_split("train", self.interval.len_at(step));
            self.in_interval = true;
        }
    }

    fn end_step(&mut self, metrics: &Metrics) {
        let step = metrics.report.step;
        for metric in &mut self.training {
            self.renderer.update_train(metric.update(metrics));
        }
        self.progress(self.interval.done_at(step));
        if self.interval.ends_after(step + 1) {
            self.end_interval(metrics);
        }
    }

    fn end_interval(&mut self, metrics: &Metrics) {
        for metric in &mut self.training {
            self.renderer.update_train(metric.finish());
        }
        self.renderer.end_split();
        if metrics.held_out.is_some() {
            self.renderer.start_split("valid", 1);
            for metric in &mut self.held_out {
                self.renderer.update_valid(metric.update(metrics));
            }
            self.progress(1);
            for metric in &mut self.held_out {
                self.renderer.update_valid(metric.finish());
            }
            self.renderer.end_split();
        }
        self.renderer
            .update_epoch(self.interval.of(metrics.report.step) + 1);
        self.in_interval = false;
    }

    fn progress(&mut self, done: usize) {
        self.renderer.update_split(done);
        self.renderer.log_event_training("Iteration".to_owned());
    }
}

/// Calls the renderer, which panics where the user chose at the dashboard to stop immediately: that is what a
/// second Ctrl-C asks for, and ends in the same way.
fn unless_killed(call: impl FnOnce()) {
    if catch_unwind(AssertUnwindSafe(call)).is_err() {
        signals::stop_at_once();
    }
}

impl<M: TrainModel> SessionPart<M> for Dashboard {
    fn before_step(&mut self, context: &mut Context<M>) -> Result<Option<End>, RunError> {
        let step = context.steps_done();
        unless_killed(|| self.begin_step(step));
        Ok(None)
    }

    fn after_step(&mut self, _: &mut Context<M>, metrics: &Metrics) -> Result<(), RunError> {
        unless_killed(|| self.end_step(metrics));
        Ok(())
    }

    fn at_end(&mut self, _: &mut Context<M>, _: End) -> Result<(), RunError> {
        self.renderer.end();
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use std::sync::{Arc, Mutex};

    use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
    use burn::train::metric::MetricDefinition;
    use burn::train::renderer::{
        EvaluationName, MetricState, MetricsRendererEvaluation, MetricsRendererTraining,
    };

    use super::*;
    use crate::metrics::HeldOutScores;
    use crate::metrics::tests::metrics;

    /// Writes down what it is told.
    #[derive(Clone, Default)]
    struct Recorder(Arc<Mutex<Vec<String>>>);

    impl Recorder {
        fn note(&self, call: String) {
            self.0.lock().unwrap().push(call);
        }

        fn heard(&self) -> Vec<String> {
            core::mem::take(&mut self.0.lock().unwrap())
        }
    }

    impl MetricsRendererTraining for Recorder {
        fn update_train(&mut self, _: MetricState) {
            self.note("train".into());
        }
        fn update_valid(&mut self, _: MetricState) {
            self.note("valid".into());
        }
    }

    impl TrainingProgressLogger for Recorder {
        fn start(&mut self, epochs: usize, first: usize, _: Option<usize>, _: Option<&str>) {
            self.note(format!("start {first} of {epochs}"));
        }
        fn update_epoch(&mut self, epoch: usize) {
            self.note(format!("epoch {epoch}"));
        }
        fn start_split(&mut self, split: &str, items: usize) {
            self.note(format!("{split}: {items}"));
        }
        fn update_split(&mut self, done: usize) {
            self.note(format!("done {done}"));
        }
        fn end_split(&mut self) {
            self.note("end".into());
        }
        fn end(&mut self) {}
        fn log_event_training(&mut self, _: String) {}
    }

    impl MetricsRendererEvaluation for Recorder {
        fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
    }

    impl EvaluationProgressLogger for Recorder {
        fn start_global_progress(&mut self, _: usize) {}
        fn start_test(&mut self, _: &str, _: usize) {}
        fn update_test_progress(&mut self, _: usize) {}
        fn end_test(&mut self) {}
        fn end_global_progress(&mut self) {}
        fn log_event_evaluation(&mut self, _: String) {}
    }

    impl MetricsRenderer for Recorder {
        fn manual_close(&mut self) {}
        fn register_metric(&mut self, definition: MetricDefinition) {
            self.note(definition.name.to_string());
        }
    }

    #[test]
    fn an_interval_is_an_epoch_of_burn() {
        let recorder = Recorder::default();
        // Resumed after the first step of the second of three intervals.
        let interval = Interval::new(5, 2);
        let mut dashboard = Dashboard::new(Box::new(recorder.clone()), interval, 3);
        let heard = recorder.heard();
        assert_eq!((heard.len(), heard[8].as_str()), (9, "start 2 of 3"));
        for step in 3..5 {
            dashboard.begin_step(step);
            let mut metrics = metrics(step, 1.0);
            metrics.held_out = Some(HeldOutScores {
                loss: 1.0,
                mean_pinball: 0.5,
                crps: 1.0,
                skill: Some(0.1),
                crossing_rate: 0.0,
            });
            dashboard.end_step(&metrics);
        }
        let mut heard = recorder.heard();
        heard.dedup();
        let measurement = ["valid: 1", "valid", "done 1", "valid", "end"];
        let expected = [
            &["train: 2", "train", "done 2", "train", "end"],
            &measurement[..],
            &["epoch 2", "train: 1", "train", "done 1", "train", "end"],
            &measurement,
            &["epoch 3"],
        ];
        assert_eq!(heard, expected.concat());
    }
}

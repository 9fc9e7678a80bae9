use std::sync::Arc;

use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    MetricDefinition, MetricEntry, MetricId, MetricName, NumericAttributes, NumericEntry,
    SerializedEntry,
};
use burn::train::renderer::MetricState;

use crate::metrics::Metrics;

/// A number of [`Metrics`] as Burn's renderers show it: its value, and its mean since the last
/// measurement.
pub(super) struct DisplayedMetric {
    name: MetricName,
    read: fn(&Metrics) -> Option<f64>,
    higher_is_better: bool,
    state: NumericMetricState,
}

impl DisplayedMetric {
    /// The numbers of a step.
    pub fn of_training() -> Vec<Self> {
        vec![
            Self::new("Loss", |m| Some(m.report.loss.into())),
            Self::new("Gradient norm", |m| Some(m.report.grad_norm.into())),
            Self::new("Learning rate", |m| Some(m.report.learning_rate)),
            Self::new("Images per second", |m| Some(m.images_per_second)).higher_is_better(),
        ]
    }

    /// The numbers of a measurement on held-out images.
    pub fn of_held_out() -> Vec<Self> {
        vec![
            Self::new("Loss", |m| m.held_out.map(|h| h.loss.into())),
            Self::new("Mean pinball", |m| m.held_out.map(|h| h.mean_pinball)),
            Self::new("Skill", |m| m.held_out.and_then(|h| h.skill)).higher_is_better(),
            Self::new("Crossing rate", |m| m.held_out.map(|h| h.crossing_rate)),
        ]
    }

    fn new(name: &str, read: fn(&Metrics) -> Option<f64>) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            read,
            higher_is_better: false,
            state: NumericMetricState::default(),
        }
    }

    fn higher_is_better(self) -> Self {
        Self {
            higher_is_better: true,
            ..self
        }
    }

    /// What a renderer is told of it before its first value.
    pub fn definition(&self) -> MetricDefinition {
        let attributes = NumericAttributes {
            unit: None,
            higher_is_better: self.higher_is_better,
        };
        MetricDefinition {
            metric_id: self.id(),
            name: self.name.clone(),
            description: None,
            attributes: attributes.into(),
        }
    }

    /// Adds a value, and returns what is shown of it.
    pub fn update(&mut self, metrics: &Metrics) -> MetricState {
        let value = (self.read)(metrics);
        // The mean would be lost to one bad step.
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.state.update(value, 1);
        }
        let entry = self.state.compute_update(self.format());
        self.shown(entry, self.state.current_value())
    }

    /// Returns the mean of the values so far, and begins with the next one anew.
    pub fn finish(&mut self) -> MetricState {
        let entry = self.state.compute_final(self.format());
        let shown = self.shown(entry, self.state.final_value());
        self.state.reset();
        shown
    }

    fn shown(&self, entry: SerializedEntry, value: NumericEntry) -> MetricState {
        MetricState::Numeric(MetricEntry::new(self.id(), entry), Some(value))
    }

    fn id(&self) -> MetricId {
        MetricId::new(self.name.clone())
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name.clone()).precision(5)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::metrics::tests::metrics;

    fn number(state: &MetricState) -> f64 {
        match state {
            MetricState::Numeric(_, Some(entry)) => entry.current(),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn the_mean_leaves_out_what_is_not_a_number_and_begins_anew() {
        let mut loss = DisplayedMetric::of_training().remove(0);
        let shown: Vec<f64> = [1.0, f32::NAN, 4.0]
            .into_iter()
            .map(|value| number(&loss.update(&metrics(0, value))))
            .collect();
        assert_eq!(shown, [1.0, 1.0, 4.0]);
        assert_eq!(number(&loss.finish()), 2.5);
        loss.update(&metrics(3, 8.0));
        assert_eq!(number(&loss.finish()), 8.0);
    }
}

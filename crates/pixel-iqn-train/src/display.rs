use std::io::IsTerminal;
use std::sync::Arc;

use burn::tensor::TensorReadError;
use burn::train::Interrupter;
use burn::train::logger::{EvaluationProgressLogger, TrainingProgressLogger};
use burn::train::metric::state::{FormatOptions, NumericMetricState};
use burn::train::metric::{
    Adaptor, Metric, MetricAttributes, MetricDefinition, MetricMetadata, MetricName, Numeric,
    NumericAttributes, NumericEntry, SerializedEntry,
};
use burn::train::renderer::{
    EvaluationName, MetricState, MetricsRenderer, MetricsRendererEvaluation,
    MetricsRendererTraining,
};

use crate::metrics::Metrics;
use crate::objective::StepOutput;

/// How a [`Session`](crate::Session) shows itself while it trains.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Display {
    /// Burn's dashboard, which takes the whole terminal. `q` asks whether to stop.
    Dashboard,
    /// Nothing but what the callbacks of the session print.
    Plain,
}

impl Display {
    /// The dashboard if the program has it and writes to a terminal.
    pub fn detect() -> Self {
        if cfg!(feature = "dashboard") && std::io::stdout().is_terminal() {
            Self::Dashboard
        } else {
            Self::Plain
        }
    }

    pub(crate) fn renderer(self, interrupter: &Interrupter) -> Box<dyn MetricsRenderer> {
        match self {
            #[cfg(feature = "dashboard")]
            Self::Dashboard => dashboard(interrupter.clone()),
            _ => {
                let _ = interrupter;
                Box::new(Silent)
            }
        }
    }
}

#[cfg(feature = "dashboard")]
fn dashboard(interrupter: Interrupter) -> Box<dyn MetricsRenderer> {
    #[cfg(unix)]
    if let Ok(modes) = rustix::termios::tcgetattr(std::io::stdin()) {
        BEFORE.get_or_init(|| modes);
    }
    let wrapper = burn::train::renderer::tui::TuiMetricsRendererWrapper::new(interrupter, None);
    #[cfg(unix)]
    keep_ctrl_c();
    Box::new(wrapper)
}

/// The terminal before the dashboard.
#[cfg(all(unix, feature = "dashboard"))]
static BEFORE: std::sync::OnceLock<rustix::termios::Termios> = std::sync::OnceLock::new();

/// Takes the terminal from the dashboard, for an end at once.
pub(crate) fn restore_terminal() {
    #[cfg(all(unix, feature = "dashboard"))]
    if let Some(modes) = BEFORE.get().filter(|_| dashboard_is_up()) {
        use std::io::Write;
        let now = rustix::termios::OptionalActions::Now;
        rustix::termios::tcsetattr(std::io::stdin(), now, modes).ok();
        // Leave the alternate screen, show the cursor, let go of the mouse.
        let codes = "\x1b[?1049l\x1b[?25h\x1b[?1000l\x1b[?1002l\x1b[?1003l\x1b[?1015l\x1b[?1006l";
        let mut stdout = std::io::stdout();
        stdout.write_all(codes.as_bytes()).ok();
        stdout.flush().ok();
    }
}

/// Whether the dashboard has the terminal.
pub(crate) fn dashboard_is_up() -> bool {
    #[cfg(all(unix, feature = "dashboard"))]
    if let Ok(modes) = rustix::termios::tcgetattr(std::io::stdin()) {
        return !modes
            .local_modes
            .contains(rustix::termios::LocalModes::ICANON);
    }
    false
}

/// The dashboard makes Ctrl-C a key that it does not read. As a signal it stops the training as it
/// does elsewhere.
#[cfg(all(unix, feature = "dashboard"))]
fn keep_ctrl_c() {
    use rustix::termios::{LocalModes, OptionalActions, tcgetattr, tcsetattr};
    // It sets up the terminal in a thread of its own.
    for _ in 0..200 {
        let Ok(mut modes) = tcgetattr(std::io::stdin()) else {
            return;
        };
        if !modes.local_modes.contains(LocalModes::ICANON) {
            modes.local_modes |= LocalModes::ISIG;
            tcsetattr(std::io::stdin(), OptionalActions::Now, &modes).ok();
            return;
        }
        std::thread::sleep(core::time::Duration::from_millis(10));
    }
}

/// A number of [`Metrics`] as a metric of Burn: a line of the dashboard and a file.
#[derive(Clone)]
pub(crate) struct Reading {
    name: MetricName,
    read: fn(&Metrics) -> Option<f64>,
    higher_is_better: bool,
    state: NumericMetricState,
}

impl Reading {
    pub fn new(name: &str, read: fn(&Metrics) -> Option<f64>) -> Self {
        Self {
            name: Arc::new(name.to_owned()),
            read,
            higher_is_better: false,
            state: NumericMetricState::default(),
        }
    }

    pub fn higher_is_better(self) -> Self {
        Self {
            higher_is_better: true,
            ..self
        }
    }

    fn format(&self) -> FormatOptions {
        FormatOptions::new(self.name()).precision(5)
    }
}

// The input of `Reading`.
impl Adaptor<Option<Metrics>> for StepOutput {
    fn adapt(&self) -> Option<Metrics> {
        self.metrics
    }
}

impl Metric for Reading {
    type Input = Option<Metrics>;

    fn name(&self) -> MetricName {
        self.name.clone()
    }

    fn attributes(&self) -> MetricAttributes {
        NumericAttributes {
            unit: None,
            higher_is_better: self.higher_is_better,
        }
        .into()
    }

    fn update(
        &mut self,
        metrics: &Option<Metrics>,
        _: &MetricMetadata,
    ) -> Result<SerializedEntry, TensorReadError> {
        let value = metrics.as_ref().and_then(self.read);
        // The mean of an epoch would be lost to one bad step.
        if let Some(value) = value.filter(|value| value.is_finite()) {
            self.state.update(value, 1);
        }
        Ok(self.state.compute_update(self.format()))
    }

    fn compute(&mut self) -> Result<SerializedEntry, TensorReadError> {
        Ok(self.state.compute_final(self.format()))
    }

    fn clear(&mut self) {
        self.state.reset();
    }
}

impl Numeric for Reading {
    fn value(&self) -> Option<NumericEntry> {
        Some(self.state.current_value())
    }

    fn running_value(&self) -> Option<NumericEntry> {
        Some(self.state.running_value())
    }

    fn final_value(&self) -> NumericEntry {
        self.state.final_value()
    }
}

/// Shows nothing: Burn's own renderer without a terminal prints a line per step.
struct Silent;

impl MetricsRendererTraining for Silent {
    fn update_train(&mut self, _: MetricState) {}
    fn update_valid(&mut self, _: MetricState) {}
}

impl MetricsRendererEvaluation for Silent {
    fn update_test(&mut self, _: EvaluationName, _: MetricState) {}
}

impl TrainingProgressLogger for Silent {
    fn start(&mut self, _: usize, _: usize, _: Option<usize>, _: Option<&str>) {}
    fn update_epoch(&mut self, _: usize) {}
    fn start_split(&mut self, _: &str, _: usize) {}
    fn update_split(&mut self, _: usize) {}
    fn end_split(&mut self) {}
    fn end(&mut self) {}
    fn log_event_training(&mut self, _: String) {}
}

impl EvaluationProgressLogger for Silent {
    fn start_global_progress(&mut self, _: usize) {}
    fn start_test(&mut self, _: &str, _: usize) {}
    fn update_test_progress(&mut self, _: usize) {}
    fn end_test(&mut self) {}
    fn end_global_progress(&mut self) {}
    fn log_event_evaluation(&mut self, _: String) {}
}

impl MetricsRenderer for Silent {
    fn manual_close(&mut self) {}
    fn register_metric(&mut self, _: MetricDefinition) {}
}

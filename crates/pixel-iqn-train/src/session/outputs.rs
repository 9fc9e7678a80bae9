use super::board::Board;
use super::curve::Curve;
use super::dashboard::Dashboard;
use super::early_stopping::EarlyStopping;
use super::grids::{Grids, MakeSampler};
use super::log::Log;
use super::on_step::OnStep;
use super::saving::Saving;
use super::{Context, SessionPart};
use crate::checkpoints::Checkpoints;
use crate::display::Display;
use crate::error::RunError;
use crate::metrics::Metrics;
use crate::metrics_log::MetricsLog;
use crate::objective::TrainModel;
use crate::terminal;

/// Where a session writes to and how it shows itself, from which its parts are made.
pub(super) struct Outputs<M: TrainModel> {
    pub checkpoints: Checkpoints,
    pub log: MetricsLog,
    pub display: Display,
    pub sampler: Option<MakeSampler<M>>,
    pub on_step: Box<dyn FnMut(&Metrics) + Send>,
}

impl<M: TrainModel> Outputs<M> {
    /// The parts in their order: a checkpoint comes after all that it promises, and before what may
    /// take long or fail.
    pub fn into_parts(
        self,
        context: &Context<M>,
    ) -> Result<Vec<Box<dyn SessionPart<M>>>, RunError> {
        let (interval, done) = (context.interval(), context.steps_done());
        let log = Log::new(self.log);
        let board = match context.config.report.tensorboard {
            true => Some(Board::create(&context.run.file("tensorboard"), done)?),
            false => None,
        };
        let dashboard = match self.display {
            Display::Dashboard => terminal::dashboard(&context.interrupter),
            Display::Plain => None,
        };
        let dashboard = dashboard.map(|renderer| Dashboard::new(renderer, interval, done));
        let saving = Saving::new(context, self.checkpoints, log.clone(), board.clone());
        let make_sampler = self.sampler;
        let grids = make_sampler.map(|make| Grids::new(context, make, board.clone()));
        let parts = [
            Some(boxed(log)),
            board.map(boxed),
            dashboard.map(boxed),
            Some(boxed(OnStep(self.on_step))),
            Some(boxed(EarlyStopping)),
            Some(boxed(saving)),
            grids.map(boxed),
            Some(boxed(Curve::new())),
        ];
        Ok(parts.into_iter().flatten().collect())
    }
}

fn boxed<M: TrainModel>(part: impl SessionPart<M> + 'static) -> Box<dyn SessionPart<M>> {
    Box::new(part)
}

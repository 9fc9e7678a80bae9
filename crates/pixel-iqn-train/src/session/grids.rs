use core::ops::ControlFlow;
use std::fs;

use burn::tensor::Device;
use pixel_iqn_core::Sampler;
use pixel_iqn_data::DataError;

use super::board::Board;
use super::{Context, End, SessionPart, Timer};
use crate::error::{RunError, at};
use crate::metrics::Metrics;
use crate::objective::TrainModel;
use crate::samples::save_samples;

/// A function that makes a sampler of a model on a device.
pub(super) type MakeSampler<M> = Box<dyn Fn(M, &Device) -> Box<dyn Sampler> + Send>;

/// Sets the tau of the image grids apart from that of other samples. The text is what runs before
/// the name "image grid" were seeded with.
const GRIDS: u64 = u64::from_be_bytes(*b"a sheet ");

/// Draws image grids of samples of the averaged model, always at the same tau: as often as the
/// config says, and when the run ends.
pub(super) struct Grids<M> {
    make_sampler: MakeSampler<M>,
    timer: Timer,
    board: Option<Board>,
}

impl<M: TrainModel> Grids<M> {
    /// The grids are added to `board` too.
    pub fn new(context: &Context<M>, make_sampler: MakeSampler<M>, board: Option<Board>) -> Self {
        Self {
            make_sampler,
            timer: Timer::new(context.config.report.grid_minutes),
            board,
        }
    }

    fn draw(&self, context: &mut Context<M>) -> Result<(), RunError> {
        let (config, trainer) = (&context.config, &context.trainer);
        let sampler = (self.make_sampler)(trainer.averaged().clone(), &trainer.device());
        let count = config.report.grid_samples;
        let (size, seed) = (config.data.size, config.train.seed ^ GRIDS);
        let interrupter = &context.interrupter;
        let unless_stopped = |_: usize, _: usize| match interrupter.should_stop() {
            true => ControlFlow::Break(()),
            false => ControlFlow::Continue(()),
        };
        let step = trainer.steps_done();
        let folder = context.run.file("grids");
        fs::create_dir_all(&folder).map_err(at(&folder))?;
        let path = folder.join(format!("{step:08}.png"));
        match save_samples(&path, &*sampler, count, size, seed, &unless_stopped) {
            Err(RunError::Sample(_)) if interrupter.should_stop() => return Ok(()),
            // A picture is no reason to end a run, which may skip such steps.
            Err(RunError::Data(error @ DataError::NotFinite { .. })) => {
                let notice = format!("WARNING: no image grid after {step} steps: {error}");
                context.notices.push(notice);
                return Ok(());
            }
            saved => saved?,
        }
        if let Some(board) = &self.board {
            board.add_grid(step, fs::read(&path).map_err(at(&path))?)?;
        }
        Ok(())
    }
}

impl<M: TrainModel> SessionPart<M> for Grids<M> {
    fn after_step(&mut self, context: &mut Context<M>, _: &Metrics) -> Result<(), RunError> {
        if self.timer.is_due() {
            self.draw(context)?;
            self.timer.reset();
        }
        Ok(())
    }

    fn at_end(&mut self, context: &mut Context<M>, end: End) -> Result<(), RunError> {
        match context.config.report.grid_minutes > 0.0 && end != End::Interrupted {
            true => self.draw(context),
            false => Ok(()),
        }
    }
}

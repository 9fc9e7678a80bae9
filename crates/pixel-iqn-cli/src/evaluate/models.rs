use std::path::{Path, PathBuf};

use anyhow::ensure;
use pixel_iqn::score::{
    ConditionalOptions, ConditionalScores, ForecastOptions, MarginalForecaster, conditional_scores,
};
use pixel_iqn::{Run, TrainingImages};
use serde_json::Value;

use super::{Job, maps, table};
use crate::{estimates, flags};

/// Flags on the models to evaluate.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Models")]
pub struct ModelsFlags {
    /// Folder of a run; may be given several times
    #[arg(long = "run", value_name = "DIR", conflicts_with_all = ["generated", "real", "weights"],
          required_unless_present = "generated")]
    runs: Vec<PathBuf>,
    /// Folder of the data set, where it is not where the runs found it
    #[arg(
        long,
        value_name = "DIR",
        requires = "runs",
        conflicts_with = "generated"
    )]
    data: Option<PathBuf>,
    /// Held-out images to evaluate on, the first ones
    #[arg(long, value_name = "COUNT", default_value_t = 256)]
    images: usize,
    /// Quantile levels that a PixelIQN is asked for
    #[arg(long, value_name = "COUNT", default_value_t = 40)]
    taus: usize,
    /// Picture of held-out images, with the widths of the first run's intervals and the PIT of each
    /// value below them
    #[arg(
        long,
        value_name = "FILE.png",
        requires = "runs",
        conflicts_with = "generated"
    )]
    pub maps: Option<PathBuf>,
}

impl ModelsFlags {
    /// Evaluates all runs, prints the scores, and returns them by the folders of the runs.
    pub fn evaluate(&self, job: &Job<'_>) -> anyhow::Result<Value> {
        let mut evaluated: Vec<(String, ConditionalScores)> = Vec::new();
        // Opened for the first run; the others must have been trained on the same images.
        let mut opened: Option<(String, TrainingImages)> = None;
        for path in &self.runs {
            let run = Run::open(path)?;
            let digest = &run.config().data.digest;
            let (first, images) = match &opened {
                Some(opened) => opened,
                None => opened.insert((
                    digest.clone(),
                    flags::images_of(&run, self.data.as_deref())?,
                )),
            };
            ensure!(
                first == digest,
                "{} was trained on other images than the first run: they cannot be compared",
                path.display()
            );
            let maps = self.maps.as_deref().filter(|_| evaluated.is_empty());
            let scores = self.evaluate_run(job, &run, images, maps)?;
            evaluated.push((path.display().to_string(), scores));
        }
        table::print(&evaluated, job.seed);
        let json = |(name, scores)| Ok((name, estimates::to_json(&scores, job.seed)?));
        let scores: serde_json::Result<_> = evaluated.into_iter().map(json).collect();
        Ok(Value::Object(scores?))
    }

    fn evaluate_run(
        &self,
        job: &Job<'_>,
        run: &Run,
        images: &TrainingImages,
        maps: Option<&Path>,
    ) -> anyhow::Result<ConditionalScores> {
        let model = run.model(job.device)?;
        let held_out = &images.held_out;
        let options = ConditionalOptions::new(self.images.min(held_out.len()))
            .with_batch(job.batch)
            .with_quantile_levels(self.taus)
            .with_seed(job.seed);
        let marginal = MarginalForecaster::of(&images.train);
        let bar = job.terminal.bar(run.path().display().to_string());
        let (network, device) = (model.network(), model.device());
        let scores = conditional_scores(network, held_out, &marginal, &options, device, &bar)?;
        drop(bar);
        if let Some(path) = maps {
            let forecast = ForecastOptions::new()
                .with_quantile_levels(self.taus)
                .with_seed(job.seed);
            let bar = job.terminal.bar("maps");
            maps::draw(&model, held_out, &forecast, path, &bar)?;
        }
        Ok(scores)
    }
}

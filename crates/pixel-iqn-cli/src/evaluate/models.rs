use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use pixel_iqn::data::{ImageDataset, tell};
use pixel_iqn::score::{
    ConditionalOptions, ConditionalScores, ForecastOptions, MarginalForecaster, conditional_scores,
};
use pixel_iqn::{Order, Run, TrainingImages};
use serde_json::Value;

use super::found::Found;
use super::job::Job;
use super::{maps, table};
use crate::{estimates, flags};

/// Flags on the models to evaluate.
#[derive(clap::Args, Debug)]
pub struct ModelsFlags {
    /// Folder of a run; may be given several times
    #[arg(long = "run", value_name = "DIR", conflicts_with_all = ["generated", "real", "weights"])]
    runs: Vec<PathBuf>,
    /// Name of a trained model that comes with this program; may be given several times
    #[arg(long = "model", value_name = "NAME", conflicts_with_all = ["generated", "real", "weights"])]
    models: Vec<String>,
    /// Folder of the data set, where it is not where the runs found it
    #[arg(long, value_name = "DIR", conflicts_with = "generated")]
    pub data: Option<PathBuf>,
    /// Held-out images to evaluate on, the first ones
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 256,
        conflicts_with = "generated", value_parser = flags::number::count)]
    images: usize,
    /// Quantile levels that a PixelIQN is asked for
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 40,
        conflicts_with = "generated", value_parser = flags::number::two_or_more)]
    taus: usize,
    /// Generation order, for models of several, from 0, raster order, to 7: the values that a
    /// distribution is given are those before it in this order
    #[arg(
        long,
        value_name = "INDEX",
        default_value = "0",
        value_parser = flags::parse_order,
        conflicts_with = "generated"
    )]
    order: Order,
    /// Picture of held-out images, with the widths of the first run's intervals and the PIT of each
    /// value below them
    #[arg(long, value_name = "FILE.png", conflicts_with = "generated")]
    pub maps: Option<PathBuf>,
}

impl ModelsFlags {
    /// Evaluates all runs, and returns the scores by the folders of the runs, with the images of the runs.
    pub fn evaluate(
        &self,
        job: &Job<'_>,
        runs: &[(String, Run)],
    ) -> anyhow::Result<(Found, TrainingImages)> {
        let mut evaluated: Vec<(String, ConditionalScores)> = Vec::new();
        let (_, first) = runs.first().context("give a run with --run")?;
        let images = flags::images_of(first, self.data.as_deref())?;
        let held_out = images.held_out.len();
        if self.images > held_out {
            tell!(
                "NOTE: there are {held_out} held-out images, fewer than --images {}: the scores are of all of \
                 them",
                self.images
            );
        }
        for (name, run) in runs {
            let scores = self.evaluate_run(job, run, &images)?;
            evaluated.push((name.clone(), scores));
        }
        let text = table::table(&evaluated, job.seed);
        let json = |(name, scores)| Ok((name, estimates::to_json(&scores, job.seed)?));
        let scores: serde_json::Result<_> = evaluated.into_iter().map(json).collect();
        let json = Value::Object(scores?);
        Ok((Found { json, text }, images))
    }

    /// The folders of `--run`.
    pub fn folders(&self) -> impl Iterator<Item = &Path> {
        self.runs.iter().map(PathBuf::as_path)
    }

    /// The runs of `--run`, then those of `--model`, with what the user calls them. They must have been
    /// trained on the same images, which is seen before any of them is scored.
    pub fn opened(&self) -> anyhow::Result<Vec<(String, Run)>> {
        let of_folder = |path: &PathBuf| {
            let run = Run::open(path).context(
                "--run takes the folder of a run, and --model the name of a shipped model",
            )?;
            Ok((path.display().to_string(), run))
        };
        let of_name = |name: &String| Ok((name.clone(), Run::pretrained(name)?));
        let runs = self.runs.iter().map(of_folder);
        let runs: anyhow::Result<Vec<(String, Run)>> =
            runs.chain(self.models.iter().map(of_name)).collect();
        let runs = runs?;
        for (i, (name, _)) in runs.iter().enumerate() {
            let is_twice = runs[..i].iter().any(|(other, _)| other == name);
            // The scores go by the names, and one would be lost.
            ensure!(!is_twice, "{name} is named twice: give each model once");
        }
        let digest = |run: &Run| run.config().data.digest.clone();
        let first = runs.first().map(|(_, run)| digest(run));
        for (name, run) in &runs {
            ensure!(
                first.as_ref() == Some(&digest(run)),
                "{name} was trained on other images than the first run: they cannot be compared"
            );
        }
        Ok(runs)
    }

    fn evaluate_run(
        &self,
        job: &Job<'_>,
        run: &Run,
        images: &TrainingImages,
    ) -> anyhow::Result<ConditionalScores> {
        let model = run.model(job.device)?;
        let orders = model.config().orders;
        ensure!(
            self.order.index() < orders,
            "{} knows {orders} order(s): --order {} is for models that were trained with --all-orders",
            run.path().display(),
            self.order.index()
        );
        let held_out = &images.held_out;
        let options = ConditionalOptions::new(self.images.min(held_out.len()))
            .with_batch(job.batch)
            .with_quantile_levels(self.taus)
            .with_order(self.order.index())
            .with_seed(job.seed);
        let marginal = MarginalForecaster::of(&images.train);
        let bar = job.terminal.bar(run.path().display().to_string());
        let (network, device) = (model.network(), model.device());
        Ok(conditional_scores(
            network, held_out, &marginal, &options, device, &bar,
        )?)
    }

    /// Draws the picture of `--maps`, of the first run.
    pub fn draw_maps(
        &self,
        job: &Job<'_>,
        runs: &[(String, Run)],
        held_out: &ImageDataset,
    ) -> anyhow::Result<()> {
        let (Some(path), Some((_, first))) = (&self.maps, runs.first()) else {
            return Ok(());
        };
        let model = first.model(job.device)?;
        let forecast = ForecastOptions::new()
            .with_quantile_levels(self.taus)
            .with_order(self.order.index())
            .with_seed(job.seed);
        let bar = job.terminal.bar("maps");
        maps::draw(&model, held_out, &forecast, path, &bar)
    }
}

use anyhow::Context;
use pixel_iqn::core::Cancelled;
use pixel_iqn::data::ImageDataset;
use pixel_iqn::score::{ConditionalOptions, MarginalForecaster, conditional_scores};
use pixel_iqn::terminal::Terminal;
use pixel_iqn::train::End;
use pixel_iqn::{Error, TrainingImages};
use pixel_iqn_eval::{
    FeatureSet, ImageSetEvaluation, ImageSetOptions, InceptionV3, KidOptions, LeftOut,
    LevelDistance, SlicedWassersteinOptions, extract, image_set_scores, sliced_wasserstein,
};

use super::command::{CompareCommand, run_name};
use super::evaluated::Evaluated;
use crate::inception;
use crate::output_kind::OutputKind;

/// Seed of the scores, the same for all models and all seeds of training.
pub const SCORE_SEED: u64 = 0;

/// Images in a batch of Inception v3.
const INCEPTION_BATCH: usize = 32;

/// What all models of a comparison share.
pub struct Comparison<'a> {
    pub command: &'a CompareCommand,
    terminal: &'a Terminal,
    pub images: TrainingImages,
    marginal: MarginalForecaster,
    /// The first held-out images, as many as there are samples.
    pub real: ImageDataset,
    inception: Option<(InceptionV3, FeatureSet)>,
}

impl<'a> Comparison<'a> {
    pub fn new(
        command: &'a CompareCommand,
        terminal: &'a Terminal,
        images: TrainingImages,
    ) -> anyhow::Result<Self> {
        let real = images.held_out.as_ref().clone().take(command.samples)?;
        let inception = match &command.weights {
            Some(path) => {
                let network = inception::open(path, &command.device.device)?;
                let keep = image_set_options(command.samples).0.of_real();
                let bar = terminal.bar("features of held-out images");
                let features = extract(&network, &real, keep, INCEPTION_BATCH, &bar)?;
                Some((network, features))
            }
            None => None,
        };
        Ok(Self {
            command,
            terminal,
            marginal: MarginalForecaster::of(&images.train),
            images,
            real,
            inception,
        })
    }

    /// Trains a model, or goes on with its run, and evaluates it.
    pub fn train_and_evaluate(
        &self,
        kind: &'static OutputKind,
        seed: u64,
    ) -> anyhow::Result<Evaluated> {
        let name = run_name(kind, seed);
        let watcher = self.terminal.watcher().with_plain(true).with_task(&name);
        let training = self.command.training(self.images.clone(), kind, seed);
        let run = training.watch(watcher).start()?;
        if run.end() == Some(End::Interrupted) {
            return Err(Error::from(Cancelled).into());
        }
        let model = run.model(&self.command.device.device)?;

        let options = ConditionalOptions::new(self.command.images)
            .with_quantile_levels(self.command.taus)
            .with_seed(SCORE_SEED);
        let bar = self.terminal.bar(format!("scoring {name}"));
        let (network, device) = (model.network(), model.device());
        let (held_out, marginal) = (&self.images.held_out, &self.marginal);
        let conditional = conditional_scores(network, held_out, marginal, &options, device, &bar)?;
        drop(bar);

        let bar = self.terminal.bar(format!("sampling {name}"));
        let request = model.sample(self.command.samples).seed(seed);
        let samples = request.progress(&bar).run()?;
        drop(bar);
        samples.save_npz(run.dir().file("samples.npz"))?;

        let set = samples.to_dataset()?;
        let trained = "a run that was trained has its time and its history";
        Ok(Evaluated {
            kind,
            seed,
            config: run.config().clone(),
            train_seconds: run.seconds().context(trained)?,
            history: run.history().context(trained)?.clone(),
            conditional,
            sliced_wasserstein: self.distances(&set, &name)?,
            image_sets: self.inception_scores(&set, &name)?,
            samples,
        })
    }

    /// The sliced Wasserstein distances of a set from the held-out images.
    fn distances(&self, set: &ImageDataset, name: &str) -> anyhow::Result<Vec<LevelDistance>> {
        let options = SlicedWassersteinOptions::default();
        let task = format!("sliced Wasserstein distance of {name}");
        Ok(sliced_wasserstein(
            set,
            &self.real,
            options,
            &self.terminal.bar(task),
        )?)
    }

    /// The distances of training images, than which no samples can be expected to be nearer.
    pub fn distances_of_training_images(&self) -> anyhow::Result<Vec<LevelDistance>> {
        let first = self.images.train.as_ref().clone().take(self.real.len())?;
        self.distances(&first, "training images")
    }

    fn inception_scores(
        &self,
        set: &ImageDataset,
        name: &str,
    ) -> anyhow::Result<Option<ImageSetEvaluation>> {
        let Some((network, real)) = &self.inception else {
            return Ok(None);
        };
        let (options, of_few) = image_set_options(set.len());
        let bar = self.terminal.bar(format!("features of {name}"));
        let generated = extract(network, set, options.of_generated(), INCEPTION_BATCH, &bar)?;
        let mut found = image_set_scores(&generated, Some(real), &options)?;
        found.left_out.extend(of_few);
        Ok(Some(found))
    }
}

/// How sets of so many images are compared, and what cannot be computed of so many.
fn image_set_options(images: usize) -> (ImageSetOptions, Vec<LeftOut>) {
    let kid = KidOptions::new();
    let subset_size = kid.subset_size.min(images);
    ImageSetOptions::new()
        .with_kid(Some(kid.with_subset_size(subset_size)))
        .fitting(images, Some(images))
}

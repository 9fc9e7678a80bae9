//! The classification accuracy score of models.

use std::collections::BTreeMap;

use anyhow::{Context, ensure};
use clap::builder::PossibleValuesParser;
use pixel_iqn::data::ImageDataset;
use pixel_iqn::{Labels, Run, SampleOptions, TrainingImages};
use pixel_iqn_eval::{Accuracy, Classifier, ClassifierConfig};
use serde_json::json;

use super::found::Found;
use super::job::Job;
use super::models::ModelsFlags;
use crate::flags::{self, TauRange};

/// Flags on the classification accuracy score.
// Scores of sets of images have none of the flags, which clap does not refuse for requiring --cas alone.
#[derive(clap::Args, Debug)]
#[group(id = "cas_flags", multiple = true, conflicts_with = "generated")]
pub struct CasFlags {
    /// Compute the classification accuracy score (Ravuri and Vinyals 2019) of class-conditional models on
    /// all held-out images, and no other score
    #[arg(
        long,
        conflicts_with_all = ["maps", "images", "taus", "order"]
    )]
    pub cas: bool,
    /// Samples that the classifier learns from, with all classes in turn
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 10_000,
        requires = "cas",
        value_parser = flags::number::count
    )]
    cas_images: usize,
    /// Real images that the other classifier learns from, which also reads the samples: more of them make
    /// it read better, and its accuracy none to compare with [default: as many as --cas-images]
    #[arg(
        long,
        value_name = "COUNT",
        requires = "cas",
        value_parser = flags::number::count
    )]
    cas_real_images: Option<usize>,
    /// Train no classifier on samples: tell only how many of them the classifier of the real images reads
    /// as their labels
    #[arg(long, requires = "cas")]
    agreement_only: bool,
    /// The classifier: small has 8 layers, resnet56 is the one of the published scores and takes days on
    /// a CPU
    #[arg(
        long,
        value_name = "NAME",
        default_value = "small",
        value_parser = PossibleValuesParser::new(ClassifierConfig::NAMES),
        requires = "cas"
    )]
    classifier: String,
    /// Training steps of the classifier [default: 2000 for small, 64000 for resnet56]
    #[arg(
        long,
        value_name = "STEPS",
        requires = "cas",
        value_parser = flags::number::count
    )]
    cas_steps: Option<usize>,
    /// Guide the samples towards their classes with this weight, as `sample --guidance` does
    #[arg(
        long,
        value_name = "WEIGHT",
        default_value_t = 0.0,
        requires = "cas",
        value_parser = flags::number::weight
    )]
    guidance: f32,
    /// Draw tau of the samples from a narrower interval than (0, 1), as `sample --tau-range` does
    #[arg(
        long,
        value_name = "LOW,HIGH",
        requires = "cas",
        allow_hyphen_values = true
    )]
    tau_range: Option<TauRange>,
}

impl CasFlags {
    /// Computes, prints and returns the scores of all models, with the accuracy after training on real
    /// images, and how many samples the classifier of those reads as their labels.
    pub fn evaluate(&self, job: &Job<'_>, models: &ModelsFlags) -> anyhow::Result<Found> {
        let mut config = ClassifierConfig::named(&self.classifier)
            .context("the names of --classifier are those of configs")?
            .with_seed(job.seed);
        if let Some(steps) = self.cas_steps {
            config = config.with_steps(steps);
        }
        let runs = models.opened()?;
        let (_, first) = runs.first().context("give a run with --run")?;
        let images = flags::images_of(first, models.data.as_deref())?;
        for (name, run) in &runs {
            self.check(name, run, &images)?;
        }
        // What the models were trained with: digits do not survive mirroring.
        config = config.with_flip(first.config().train.flip);
        let device = pixel_iqn::device(job.device)?;
        let trained_on = |task: &str, images: &ImageDataset| -> anyhow::Result<Classifier> {
            let bar = job.terminal.bar(format!("classifier of {task}"));
            Ok(Classifier::train(images, &config, &device, &bar)?)
        };
        // Before the classifiers, so that what cannot be sampled is told first.
        let mut samples = Vec::new();
        for (name, run) in &runs {
            samples.push((self.title(name), name, self.samples(job, name, run)?));
        }
        let count = self.cas_real_images.unwrap_or(self.cas_images);
        let count = count.min(images.train.len());
        let reader = trained_on("real images", &images.train.draw_copy(count, job.seed)?)?;
        let real = reader.accuracy(&images.held_out)?;
        let (mut scores, mut agreement) = (BTreeMap::new(), BTreeMap::new());
        let (mut lines, mut agreements) = (Vec::new(), Vec::new());
        for (title, name, samples) in &samples {
            if !self.agreement_only {
                let accuracy = trained_on(name, samples)?.accuracy(&images.held_out)?;
                lines.push(line(title, samples.len(), &accuracy));
                scores.insert((*name).clone(), accuracy);
            }
            let read = reader.accuracy(samples)?;
            agreements.push(line_of_agreement(title, &read));
            agreement.insert((*name).clone(), read);
        }
        lines.push(line("real images", count, &real));
        lines.extend(agreements);
        let json = json!({
            "classifier": self.classifier,
            "steps": config.steps,
            "batch": config.batch,
            "seed": job.seed,
            "samples": self.cas_images,
            "guidance": self.guidance,
            "tau_range": self.tau_range.map(|tau| format!("{},{}", tau.low, tau.high)),
            "real_images": count,
            "real": real,
            "models": scores,
            "agreement": agreement,
        });
        let text = lines.join("\n");
        Ok(Found { json, text })
    }

    fn check(&self, name: &str, run: &Run, images: &TrainingImages) -> anyhow::Result<()> {
        let config = run.config();
        ensure!(
            config.model.classes > 0,
            "--cas needs class-conditional models, and {name} has no classes: train it with \
             --class-conditional"
        );
        ensure!(
            images.held_out.labels().is_some() && config.model.classes == images.train.classes(),
            "--cas needs classes of the held-out images, and those of {name} have none"
        );
        ensure!(
            self.cas_images >= config.model.classes,
            "--cas-images {} leaves out some of the {} classes",
            self.cas_images,
            config.model.classes
        );
        let options = SampleOptions::new(1, [1, 1], 0)
            .with_labels(Labels::Spread)
            .with_guidance(self.guidance);
        options
            .validate(&config.model)
            .with_context(|| format!("{name} cannot be scored with --guidance"))?;
        if self.guidance > 0.0 {
            flags::warn_without_label_dropout(run);
        }
        Ok(())
    }

    /// The name of a model, with what sets its samples apart from those of the published score.
    fn title(&self, name: &str) -> String {
        let mut title = name.to_owned();
        if self.guidance > 0.0 {
            title += &format!(", guidance {}", self.guidance);
        }
        if let Some(TauRange { low, high }) = self.tau_range {
            title += &format!(", tau from {low} to {high}");
        }
        title
    }

    /// Draws the images that the classifier learns from.
    fn samples(&self, job: &Job<'_>, name: &str, run: &Run) -> anyhow::Result<ImageDataset> {
        let model = run.model(job.device)?;
        let classes = model.config().classes;
        let bar = job.terminal.bar(format!("sampling from {name}"));
        let mut request = model
            .sample(self.cas_images)
            .seed(job.seed)
            .labels("spread")
            .guidance(self.guidance);
        if let Some(TauRange { low, high }) = self.tau_range {
            request = request.tau_range(low, high);
        }
        let images = request.progress(&bar).run()?.to_dataset()?;
        let labels = Labels::Spread.of_images(0..images.len(), classes);
        let labels = labels.into_iter().flatten().flatten();
        let labels = labels.map(|label| label as u32).collect();
        Ok(images.with_labels(labels, classes)?)
    }
}

/// The accuracy of a classifier after training on images of this name.
fn line(name: &str, count: usize, accuracy: &Accuracy) -> String {
    let Accuracy { images, .. } = accuracy;
    let [mean, low, high] = percentages(accuracy);
    format!(
        "{name}: {mean} of {images} held-out images are read right ({low} to {high}) after training on {count} images"
    )
}

/// How many samples of a model the classifier of the real images reads as their labels.
fn line_of_agreement(name: &str, accuracy: &Accuracy) -> String {
    let Accuracy { images, .. } = accuracy;
    let [mean, low, high] = percentages(accuracy);
    format!(
        "{name}: {mean} of {images} samples are read as their labels ({low} to {high}) by the classifier of the real images"
    )
}

/// The fraction and the ends of its interval.
fn percentages(accuracy: &Accuracy) -> [String; 3] {
    let Accuracy {
        mean, low, high, ..
    } = accuracy;
    [mean, low, high].map(|fraction| format!("{:.2}%", 100.0 * fraction))
}

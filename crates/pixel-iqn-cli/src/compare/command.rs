use std::path::PathBuf;

use anyhow::{Context, ensure};
use pixel_iqn::score::ConditionalOptions;
use pixel_iqn::train::RunOverrides;
use pixel_iqn::{Output, Training, TrainingImages, train_on};
use pixel_iqn_eval::SlicedWassersteinOptions;

use crate::flags::{self, DataFlags, DeviceFlags};
use crate::output_kind::OutputKind;

/// Train several models side by side, and evaluate all of them by the same scores
///
/// Every model has the same trunk, images in the same order, and the same number of steps. Each has
/// a run folder in --out; the same command goes on after Ctrl-C, and trains nothing twice. With
/// --models several processes can train into one folder; each evaluates its own models at its end,
/// under names such as comparison-gates.md where another has those below, and the same command once
/// more, with all models, evaluates all of them together.
///
/// Writes comparison.md and comparison.json (scores with 95% bootstrap intervals over images),
/// curves.png (held-out CRPS while training) and samples.png (samples side by side).
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct CompareCommand {
    #[command(flatten)]
    pub data: DataFlags,
    #[command(flatten)]
    pub device: DeviceFlags,
    /// Kinds of output to compare, separated by commas; the others are compared with the first
    #[arg(long, value_name = "KINDS", value_delimiter = ',', default_values = Output::KINDS,
          value_parser = OutputKind::parser(), help_heading = "Models")]
    pub models: Vec<&'static OutputKind>,
    /// Trainings of each, with seeds 0, 1, ...
    #[arg(long, value_name = "COUNT", default_value_t = 1, help_heading = "Models",
          value_parser = flags::number::whole(1, u64::MAX))]
    pub seeds: u64,
    /// Architecture: tiny, quick, small, paper_small or paper_large [default: what suits the device]
    #[arg(long, value_name = "NAME", help_heading = "Models")]
    pub preset: Option<String>,
    /// Training steps [default: what suits the device]
    #[arg(long, help_heading = "Training", value_parser = flags::number::count)]
    pub steps: Option<usize>,
    /// Images in a step [default: what suits the device]
    #[arg(long, value_name = "IMAGES", help_heading = "Training", value_parser = flags::number::count)]
    pub batch: Option<usize>,
    /// Change any key of the config of all, as train.kappa=0; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Training")]
    pub settings: Vec<String>,
    /// Held-out images to evaluate on, the first ones
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 256,
        help_heading = "Scores", value_parser = flags::number::two_or_more)]
    pub images: usize,
    /// Quantile levels that a PixelIQN is asked for
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 20,
        help_heading = "Scores", value_parser = flags::number::two_or_more)]
    pub taus: usize,
    /// Samples of each model, which are compared with as many held-out images
    #[arg(
        long,
        value_name = "COUNT",
        default_value_t = 256,
        help_heading = "Scores", value_parser = flags::number::two_or_more)]
    pub samples: usize,
    /// Inception v3 of FID, for FID, Inception score, KID, precision and recall of the samples:
    /// pt_inception-2015-12-05-6726825d.pth, which is downloaded (96 MB) if it is not there
    #[arg(long, value_name = "FILE", help_heading = "Scores")]
    pub weights: Option<PathBuf>,
    /// Folder of the runs and of what comes out
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    pub out: PathBuf,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn compare --dataset builtin --steps 400
  pixel-iqn compare --dataset cifar10 --data data --size 16 --steps 7000 --seeds 2 --out runs/compare
  pixel-iqn compare --models gates,categorical --set train.kappa=0";

/// Keys of the config that the comparison varies itself.
const VARIED: [&str; 5] = [
    "seed",
    "train.seed",
    "output",
    "model.output",
    "model.output.kind",
];

impl CompareCommand {
    /// Checks the flags that contradict themselves or each other.
    pub fn check(&self) -> anyhow::Result<()> {
        for (i, model) in self.models.iter().enumerate() {
            let name = model.name;
            ensure!(
                !self.models[..i].contains(model),
                "--models names {name} twice"
            );
        }
        for setting in &self.settings {
            let key = setting.split('=').next().unwrap_or_default().trim();
            ensure!(
                !VARIED.contains(&key),
                "--set {setting}: that is what compare varies; use --models and --seeds"
            );
        }
        Ok(())
    }

    /// Checks the numbers of images against those that there are.
    pub fn check_counts(&self, held_out: usize) -> anyhow::Result<()> {
        for (name, count) in [("--images", self.images), ("--samples", self.samples)] {
            ensure!(
                (2..=held_out).contains(&count),
                "{name} {count}: from 2 to the {held_out} held-out images"
            );
        }
        Ok(())
    }

    /// Fails before the trainings where the scores or the samples after them would not fit into memory.
    pub fn check_memory(&self, images: &TrainingImages) -> anyhow::Result<()> {
        let shape = images.held_out.shape();
        let scores = ConditionalOptions::new(self.images).with_quantile_levels(self.taus);
        for kind in &self.models {
            let config = self.training(images.clone(), kind, 0).config()?;
            scores
                .check_memory(&config.model, shape)
                .with_context(|| format!("--taus {}", self.taus))?;
        }
        SlicedWassersteinOptions::default()
            .check_memory(self.samples, shape)
            .with_context(|| format!("--samples {}", self.samples))
    }

    /// The training of one model, in a folder of its own.
    pub fn training(&self, images: TrainingImages, kind: &OutputKind, seed: u64) -> Training {
        let overrides = RunOverrides::new()
            .with_preset(self.preset.clone())
            .with_output(Some(kind.name.to_owned()))
            .with_steps(self.steps)
            .with_batch(self.batch)
            .with_seed(Some(seed))
            .with_held_out_images(Some(64))
            .with_grid_minutes(Some(0.0));
        let mut training = train_on(images)
            .device(&self.device.device)
            .overrides(overrides)
            .run_dir(self.out.join(run_name(kind, seed)))
            .resume_existing(true)
            .only_steps(true);
        for setting in &self.settings {
            training = training.set(setting);
        }
        training
    }
}

/// The name of a run in tasks and folders.
pub fn run_name(kind: &OutputKind, seed: u64) -> String {
    format!("{}-{seed}", kind.name)
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    fn parse(flags: &[&str]) -> Result<CompareCommand, clap::Error> {
        let arguments = ["pixel-iqn", "compare"].iter().chain(flags);
        match Cli::try_parse_from(arguments)?.command {
            Command::Compare(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn models_are_kinds_of_output() {
        let names = |flags: &[&str]| -> Vec<&str> {
            let command = parse(flags).unwrap();
            command.models.iter().map(|kind| kind.name).collect()
        };
        assert_eq!(names(&[])[..], Output::KINDS[..]);
        assert_eq!(names(&["--models", "head,gates"]), ["head", "gates"]);
        assert!(parse(&["--models", "softmax"]).is_err());
        assert!(parse(&["--seeds", "0"]).is_err());
        assert!(parse(&["--taus", "1"]).is_err());
    }

    #[test]
    fn what_the_comparison_varies_cannot_be_set() {
        let check = |flags: &[&str]| parse(flags).unwrap().check();
        assert!(check(&["--set", "train.kappa=0"]).is_ok());
        for wrong in [
            &["--set", "seed=3"][..],
            &["--set", "model.output = head"],
            &["--models", "head,head"],
        ] {
            assert!(check(wrong).is_err(), "{wrong:?}");
        }
    }
}

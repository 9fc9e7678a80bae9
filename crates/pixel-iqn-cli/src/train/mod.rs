mod report;
mod training;

use std::path::PathBuf;

use pixel_iqn::terminal::Terminal;

use crate::flags::{self, DataFlags};
use crate::outcome::Outcome;
use crate::output_kind::OutputKind;

/// Train a model on images, evaluate it on held-out images, and draw from it
///
/// Without flags it takes CIFAR-10, which is downloaded where it is missing, or else pictures that
/// the program draws itself, and trains for a few minutes. Everything goes into a run folder: config,
/// metrics, checkpoints, weights, scores, samples and completions.
///
/// Ctrl-C finishes the step and writes a checkpoint; --resume goes on from there, with the same
/// losses as if the training had never stopped.
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct TrainCommand {
    #[command(flatten)]
    data: DataFlags,
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with the index of a GPU, cuda:1; several,
    /// separated by commas, share each batch, and those after the first may be of other machines:
    /// remote:HOST:PORT, where `pixel-iqn serve-device` runs
    #[arg(long, value_name = "NAME", default_value = pixel_iqn::DEFAULT_DEVICE)]
    device: String,
    /// Train without comparing the gradients of the device with those of the CPU first
    #[arg(long)]
    trust_device: bool,
    /// Seconds that a device of another machine may take for its part of a step
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = flags::number::whole(1, 1_000_000_u64))]
    remote_timeout: u64,

    /// Folder of the run, new or empty [default: the first new one of runs/DATASET-1, -2, ...]
    #[arg(long, value_name = "DIR", help_heading = "Run")]
    run: Option<PathBuf>,
    /// Go on with the run in this folder, under its own config. It takes the other flags that no
    /// loss depends on: --data, --device, --set, --checkpoint-steps, --skip-bad-steps,
    /// --eval-images, --samples, --out and --plain
    #[arg(long, value_name = "DIR", help_heading = "Run", conflicts_with_all = [
        "dataset", "size", "config", "preset", "output", "class_conditional", "batch",
        "learning_rate", "seed", "run", "init", "all_orders",
    ])]
    resume: Option<PathBuf>,
    /// Resume from the checkpoint after this many steps, not from the last one
    #[arg(long, value_name = "STEPS", help_heading = "Run", requires = "resume", value_parser = flags::number::from_zero)]
    resume_step: Option<usize>,
    /// Write a checkpoint every so many steps, besides those by the clock (every 10 minutes)
    #[arg(long, value_name = "STEPS", help_heading = "Run", value_parser = flags::number::from_zero)]
    checkpoint_steps: Option<usize>,
    /// TOML file with the keys that the config.toml of a run folder has, or some of them
    #[arg(long, value_name = "FILE", help_heading = "Run")]
    config: Option<PathBuf>,
    /// Change any key of the config, as train.clip_norm=0.5; may be given several times. It wins over
    /// the other flags, which win over --config
    #[arg(long = "set", value_name = "KEY=VALUE", help_heading = "Run")]
    settings: Vec<String>,

    /// Architecture: tiny, quick, small, paper_small or paper_large [default: what suits the device];
    /// the keys of the section `model` of --config change it further
    #[arg(long, value_name = "NAME", help_heading = "Model")]
    preset: Option<String>,
    /// What the model predicts for each value, and where [default: that of the preset: monotone for
    /// quick and small, gates for the others]
    #[arg(long, value_name = "KIND", help_heading = "Model", value_parser = OutputKind::parser())]
    output: Option<&'static OutputKind>,
    /// Condition the model on the class of each image
    #[arg(long, help_heading = "Model")]
    class_conditional: bool,
    /// Learn eight generation orders in place of raster order alone, so that regions on any side can
    /// be completed from what is known around them
    #[arg(long, help_heading = "Model")]
    all_orders: bool,
    /// Begin from the weights of a run, of a folder of trained weights, of a safetensors file, or of a
    /// shipped model by its name, in place of random ones; the architecture of all but a file is taken,
    /// too, without --preset
    #[arg(long, value_name = "PATH", help_heading = "Model")]
    init: Option<PathBuf>,

    /// Training steps [default: what suits the device]
    #[arg(long, help_heading = "Training", value_parser = flags::number::count)]
    steps: Option<usize>,
    /// Images in a step [default: what suits the device]
    #[arg(long, value_name = "IMAGES", help_heading = "Training", value_parser = flags::number::count)]
    batch: Option<usize>,
    /// Highest learning rate [default: 0.001]
    #[arg(long, value_name = "RATE", help_heading = "Training", value_parser = flags::number::rate, allow_hyphen_values = true)]
    learning_rate: Option<f64>,
    /// Seed of everything random, below 2^63 [default: 0]
    #[arg(long, help_heading = "Training", value_parser = flags::number::whole(0, (1u64 << 63) - 1))]
    seed: Option<u64>,
    /// Leave out steps whose loss or gradient is infinite or not a number
    #[arg(long, help_heading = "Training")]
    skip_bad_steps: bool,

    /// Held-out images to evaluate on at the end [default: what suits the device]
    #[arg(long, value_name = "IMAGES", help_heading = "Results", value_parser = flags::number::count)]
    eval_images: Option<usize>,
    /// Samples to draw at the end [default: what suits the device]
    #[arg(long, value_name = "COUNT", help_heading = "Results", value_parser = flags::number::count)]
    samples: Option<usize>,
    /// Copy the picture of the samples to this file
    #[arg(long, value_name = "FILE.png", help_heading = "Results")]
    out: Option<PathBuf>,
    /// Show lines in the place of the dashboard, also on a terminal
    #[arg(long, help_heading = "Results")]
    plain: bool,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn train
  pixel-iqn train --data data --steps 5000 --run runs/first
  pixel-iqn train --dataset folder --data photos --class-conditional
  pixel-iqn train --init runs/first --run runs/second --steps 2000
  pixel-iqn train --resume runs/first";

impl TrainCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        // What would fail after a download or after the training.
        pixel_iqn::devices(&self.device)?;
        let _claim = flags::claim([self.out.as_ref()], [])?;
        self.check_numbers()?;
        let watcher = terminal.watcher().with_plain(self.plain);
        let run = self.training()?.watch(watcher).start()?;
        self.report(&run)
    }
}

#[cfg(test)]
pub(super) mod tests {
    use clap::Parser;

    use super::*;
    use crate::cli::{Cli, Command};

    pub(super) fn parse(flags: &[&str]) -> Result<Box<TrainCommand>, clap::Error> {
        let arguments = ["pixel-iqn", "train"].iter().chain(flags);
        match Cli::try_parse_from(arguments)?.command {
            Command::Train(command) => Ok(command),
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_resumed_run_keeps_what_its_losses_depend_on() {
        assert!(
            parse(&[
                "--resume",
                "run",
                "--samples",
                "3",
                "--set",
                "report.patience=1"
            ])
            .is_ok()
        );
        for flags in [
            &["--batch", "3"][..],
            &["--output", "head"],
            &["--run", "other"],
            &["--size", "8"],
            &["--all-orders"],
        ] {
            assert!(
                parse(&[&["--resume", "run"], flags].concat()).is_err(),
                "{flags:?}"
            );
        }
        assert!(parse(&["--resume-step", "3"]).is_err());
        assert!(parse(&["--seed", "9223372036854775808"]).is_err());
        assert!(parse(&["--output", "softmax"]).is_err());
    }
}

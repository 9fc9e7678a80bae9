mod image_sets;
mod image_source;
mod maps;
mod models;
mod table;

use std::path::PathBuf;

use pixel_iqn::data::write_atomically;
use pixel_iqn::terminal::Terminal;
use serde_json::Value;

use crate::flags::{self, DeviceFlags};
use crate::outcome::Outcome;
use image_sets::ImageSetFlags;
use models::ModelsFlags;

/// Evaluate models on held-out images, or sets of images against each other
///
/// With --run: CRPS, pinball loss, bits per dimension, coverage and calibration of the predicted
/// distributions, with 95% bootstrap intervals over images; several runs are compared with the first
/// on the same images.
///
/// With --generated and --real: the sliced Wasserstein distance, and with --weights FID, Inception
/// score, KID, precision and recall, under the names and by the conventions of torch-fidelity. (But
/// precision and recall are over the Inception features too, where the default of torch-fidelity is
/// VGG-16.)
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES)]
pub struct EvaluateCommand {
    #[command(flatten)]
    models: ModelsFlags,
    #[command(flatten)]
    sets: ImageSetFlags,
    /// Images in a batch
    #[arg(long, value_name = "IMAGES", default_value_t = 32)]
    batch: usize,
    /// Seed of everything random but what torch-fidelity fixes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the scores as JSON to this file
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn evaluate --run runs/first --run runs/second --images 1000 --out scores.json
  pixel-iqn evaluate --generated samples.npz --real photos/ --size 32
  pixel-iqn evaluate --generated samples.npz --real cifar10:data \\
      --weights pt_inception-2015-12-05-6726825d.pth";

/// What both kinds of scores share.
struct Job<'a> {
    terminal: &'a Terminal,
    device: &'a str,
    batch: usize,
    seed: u64,
}

impl EvaluateCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        Outcome::of(
            self.evaluate(terminal),
            "interrupted before the scores were complete",
        )
    }

    fn evaluate(&self, terminal: &Terminal) -> anyhow::Result<()> {
        let files = [&self.out, &self.models.maps, &self.sets.save_statistics];
        for file in files.into_iter().flatten() {
            flags::check_folder_of(file)?;
        }
        let job = Job {
            terminal,
            device: &self.device.device,
            batch: self.batch,
            seed: self.seed,
        };
        let scores: Value = match &self.sets.generated {
            Some(generated) => self.sets.evaluate(&job, generated)?,
            None => self.models.evaluate(&job)?,
        };
        if let Some(out) = &self.out {
            write_atomically(out, format!("{scores:#}\n").as_bytes())?;
            println!("wrote {}", out.display());
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn models_and_sets_of_images_are_not_mixed() {
        let parses = |flags: &[&str]| {
            let arguments = ["pixel-iqn", "evaluate"].iter().chain(flags);
            Cli::try_parse_from(arguments).is_ok()
        };
        assert!(parses(&["--run", "a", "--run", "b", "--maps", "maps.png"]));
        assert!(parses(&["--generated", "a", "--real", "b"]));
        assert!(parses(&[
            "--generated",
            "a",
            "--weights",
            "w",
            "--pytorch-fid"
        ]));
        for wrong in [
            &[][..],
            &["--run", "a", "--generated", "b"],
            &["--real", "b"],
            &["--generated", "a", "--maps", "maps.png"],
            &["--generated", "a", "--pytorch-fid"],
        ] {
            assert!(!parses(wrong), "{wrong:?}");
        }
    }
}

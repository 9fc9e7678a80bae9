mod cas;
mod found;
mod image_sets;
mod image_source;
mod job;
mod maps;
mod models;
mod table;

use std::path::PathBuf;

use anyhow::Context;
use clap::ArgGroup;
use pixel_iqn::data::{print_result, say, write_atomically};
use pixel_iqn::terminal::Terminal;

use crate::flags::{self, DeviceFlags};
use crate::outcome::Outcome;
use cas::CasFlags;
use found::Found;
use image_sets::ImageSetFlags;
use job::Job;
use models::ModelsFlags;

/// Evaluate models on held-out images, or sets of images against each other
///
/// With --run: CRPS, pinball loss, bits per dimension, coverage and calibration of the predicted
/// distributions, with 95% bootstrap intervals over images; several runs are compared with the first
/// on the same images.
///
/// With --run and --cas: the classification accuracy score in their place. A classifier learns from
/// samples of the model alone and reads held-out images; its accuracy is beside that of one that learnt
/// from as many real images, and how many samples that one reads as their labels.
///
/// With --generated and --real: the sliced Wasserstein distance, and with --weights FID, Inception
/// score, KID, precision and recall, under the names and by the conventions of torch-fidelity. (But
/// precision and recall are over the Inception features too, where the default of torch-fidelity is
/// VGG-16.)
#[derive(clap::Args, Debug)]
#[command(after_help = EXAMPLES, group(
    // `multiple` leaves it to the flags to say that they exclude each other.
    ArgGroup::new("what").args(["runs", "models", "generated"]).required(true).multiple(true)
))]
pub struct EvaluateCommand {
    /// Images in a batch
    #[arg(long, value_name = "IMAGES", default_value_t = 32, value_parser = flags::number::count)]
    batch: usize,
    /// Seed of everything random but what torch-fidelity fixes
    #[arg(long, default_value_t = 0, value_parser = flags::number::seed)]
    seed: u64,
    /// Write the scores as JSON to this file
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: DeviceFlags,
    // The flags below a heading come last, since a heading holds for all after it.
    #[command(flatten, next_help_heading = "Models")]
    models: ModelsFlags,
    #[command(flatten, next_help_heading = "Sets of images")]
    sets: ImageSetFlags,
    #[command(flatten, next_help_heading = "Classification accuracy score")]
    cas: CasFlags,
}

const EXAMPLES: &str = "\
Examples:
  pixel-iqn evaluate --run runs/first --run runs/second --images 1000 --out scores.json
  pixel-iqn evaluate --model shapes --cas --cas-images 2000
  pixel-iqn evaluate --generated samples.npz --real photos/ --size 32
  pixel-iqn evaluate --generated samples.npz --real cifar10:data \\
      --weights pt_inception-2015-12-05-6726825d.pth";

impl EvaluateCommand {
    pub fn run(self, terminal: &Terminal) -> anyhow::Result<Outcome> {
        let mut scored = false;
        let work = self.evaluate(terminal, &mut scored);
        let message = match scored {
            false => "interrupted before the scores were complete",
            true => "interrupted: the scores are complete, and the picture of --maps is not there",
        };
        Outcome::of(work, message)
    }

    fn evaluate(&self, terminal: &Terminal, scored: &mut bool) -> anyhow::Result<()> {
        let files = [self.out.as_ref(), self.sets.save_statistics.as_ref()];
        flags::keep_inputs(files.into_iter().flatten(), self.sets.files())?;
        flags::keep_run(files.into_iter().flatten(), self.models.folders())?;
        let _claims = flags::claim([self.models.maps.as_ref()], files)?;
        let job = Job {
            terminal,
            device: &self.device.device,
            batch: self.batch,
            seed: self.seed,
        };
        if let Some(generated) = &self.sets.generated {
            return self.report(&self.sets.evaluate(&job, generated)?);
        }
        if self.cas.cas {
            return self.report(&self.cas.evaluate(&job, &self.models)?);
        }
        let runs = self.models.opened()?;
        let (found, images) = self.models.evaluate(&job, &runs)?;
        // Before the maps, which can fail or be interrupted.
        self.report(&found)?;
        *scored = true;
        self.models.draw_maps(&job, &runs, &images.held_out)
    }

    /// Writes the scores to `--out`, and prints them.
    fn report(&self, Found { json, text }: &Found) -> anyhow::Result<()> {
        let Some(out) = &self.out else {
            return print_result(&format!("{text}\n"))
                .context("cannot print the scores: --out FILE.json keeps them");
        };
        write_atomically(out, format!("{json:#}\n").as_bytes())?;
        say!("{text}\nwrote {}", out.display());
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
        assert!(parses(&["--model", "shapes", "--maps", "maps.png"]));
        assert!(parses(&["--run", "a", "--model", "shapes"]));
        let cas = ["--run", "a", "--cas", "--classifier", "resnet56"];
        assert!(parses(&cas));
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
            &["--generated", "a", "--images", "8"],
            &["--generated", "a", "--taus", "8"],
            &["--run", "a", "--size", "8"],
            &["--model", "a", "--size", "8"],
            &["--model", "a", "--generated", "b"],
            &["--run", "a", "--swd-images", "8"],
            &["--generated", "a", "--real", "b", "--cas"],
            &["--run", "a", "--cas-images", "8"],
            &["--run", "a", "--cas-real-images", "8"],
            &["--run", "a", "--agreement-only"],
            &["--run", "a", "--cas", "--classifier", "large"],
            &["--run", "a", "--kid-subset-size", "8"],
            &["--run", "a", "--pytorch-fid"],
            &["--run", "a", "--save-statistics", "statistics.npz"],
        ] {
            assert!(!parses(wrong), "{wrong:?}");
        }
    }
}

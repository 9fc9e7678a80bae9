use std::path::{Path, PathBuf};

use anyhow::ensure;
use clap::{ArgGroup, ValueEnum};
use pixel_iqn::core::Lowering;
use pixel_iqn::data::tell;
use pixel_iqn::{Error, Model, Run};

use super::DeviceFlags;

/// Flags that choose a trained model.
#[derive(clap::Args, Debug)]
#[command(group(
    // `multiple` leaves it to the flags to say that they exclude each other.
    ArgGroup::new("trained").args(["run", "model"]).required(true).multiple(true)
))]
pub struct ModelFlags {
    /// Folder of a run, or of trained weights (config.json and weights.safetensors)
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Name of a trained model that comes with this program, such as shapes; one that is not on this
    /// machine is downloaded
    #[arg(long, value_name = "NAME", conflicts_with = "run")]
    model: Option<String>,
    /// Safetensors file with other weights than the folder's own, which for a run are the averaged
    /// ones
    #[arg(long, value_name = "FILE", conflicts_with = "model")]
    pub weights: Option<PathBuf>,
    /// Precision of most products: bfloat16 takes less time on CPUs with AVX-512 BF16, and draws other images
    #[arg(long, value_enum, value_name = "NAME", default_value_t = Precision::Float32)]
    precision: Precision,
    #[command(flatten)]
    pub device: DeviceFlags,
}

/// The precision of most products.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Precision {
    Float32,
    Bfloat16,
}

impl ModelFlags {
    /// Opens the model.
    pub fn open(&self) -> anyhow::Result<Model> {
        let device = &self.device.device;
        let folder = self.folder()?;
        let model = match &self.weights {
            Some(weights) => Model::open_weights(&folder, weights, device),
            None => Model::open(&folder, device),
        }?;
        for notice in model.notices() {
            tell!("NOTE: {notice}");
        }
        if self.precision == Precision::Float32 {
            return Ok(model);
        }
        ensure!(
            Lowering::has_bfloat16(model.device()),
            "--precision bfloat16 is for the device cpu on a processor with AVX-512 BF16, which this is not: \
             leave it out"
        );
        Ok(model.with_lowering(Lowering::Bfloat16))
    }

    /// Warns where images are asked for that have no class, or are compared with such by guidance, of a
    /// model that never saw any.
    pub fn warn_without_label_dropout(&self, labels: Option<&str>, guidance: f32) {
        let asked = labels == Some("none") || guidance > 0.0;
        if asked && let Ok(run) = self.folder().and_then(Run::open) {
            warn_without_label_dropout(&run);
        }
    }

    /// The folder of `--run`.
    pub fn run(&self) -> Option<&Path> {
        self.run.as_deref()
    }

    /// The folder of the model.
    pub fn folder(&self) -> Result<PathBuf, Error> {
        match (&self.run, &self.model) {
            (Some(run), _) => Ok(run.clone()),
            (None, name) => {
                let run = Run::pretrained(name.as_deref().unwrap_or_default())?;
                Ok(run.path().to_owned())
            }
        }
    }
}

/// Warns where a model with classes never saw an image without one.
pub fn warn_without_label_dropout(run: &Run) {
    let config = run.config();
    let named_none = |names: &Vec<String>| names.iter().any(|name| name == "none");
    let is_class = config.data.class_names.as_ref().is_some_and(named_none);
    if config.model.classes > 0 && config.train.label_dropout == 0.0 && !is_class {
        tell!("WARNING: the model was trained without label dropout: it never saw an image");
        tell!(
            "WARNING: without a class, and what it predicts for none, which --labels none draws and"
        );
        tell!("WARNING: --guidance compares with, means little");
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use crate::cli::Cli;

    #[test]
    fn a_model_is_a_run_or_has_a_name() {
        let parses = |flags: &[&str]| {
            let arguments = ["pixel-iqn", "sample"].iter().chain(flags);
            Cli::try_parse_from(arguments).is_ok()
        };
        assert!(parses(&["--run", "a", "--weights", "b"]));
        assert!(parses(&["--model", "shapes"]));
        assert!(!parses(&[]));
        assert!(!parses(&["--run", "a", "--model", "shapes"]));
        assert!(!parses(&["--model", "shapes", "--weights", "b"]));
    }
}

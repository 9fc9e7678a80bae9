use std::path::PathBuf;

use pixel_iqn::data::tell;
use pixel_iqn::{Error, Model};

use super::DeviceFlags;

/// Flags that choose a trained model.
#[derive(clap::Args, Debug)]
pub struct ModelFlags {
    /// Folder of a run, or of trained weights (config.json and weights.safetensors)
    #[arg(long, value_name = "DIR")]
    pub run: PathBuf,
    /// Safetensors file with other weights than the folder's own, which for a run are the averaged
    /// ones
    #[arg(long, value_name = "FILE")]
    pub weights: Option<PathBuf>,
    #[command(flatten)]
    pub device: DeviceFlags,
}

impl ModelFlags {
    /// Opens the model.
    pub fn open(&self) -> Result<Model, Error> {
        let device = &self.device.device;
        let model = match &self.weights {
            Some(weights) => Model::open_weights(&self.run, weights, device),
            None => Model::open(&self.run, device),
        }?;
        for notice in model.notices() {
            tell!("NOTE: {notice}");
        }
        Ok(model)
    }
}

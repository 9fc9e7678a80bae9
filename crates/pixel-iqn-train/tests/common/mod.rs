//! A run of a few milliseconds a step.

use std::sync::Arc;

use pixel_iqn_core::ModelConfig;
use pixel_iqn_data::{ImageDataset, builtin};
use pixel_iqn_train::{DataConfig, ReportConfig, RunConfig, TrainConfig};

/// The training and the held-out images.
pub fn images() -> (Arc<ImageDataset>, Arc<ImageDataset>) {
    let set = |range| Arc::new(builtin::generate(0, range, 4, 3).unwrap());
    (set(0..64), set(64..72))
}

pub fn config(model: ModelConfig, train: TrainConfig, held_out_every: usize) -> RunConfig {
    let (images, held_out) = images();
    let report = ReportConfig::new(held_out_every).with_held_out_images(2);
    let data = DataConfig::new("builtin", &images, &held_out);
    RunConfig::new(data, model, train).with_report(report)
}

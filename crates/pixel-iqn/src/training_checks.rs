//! What is checked before a training begins.

use core::time::Duration;

use burn::tensor::Device;
use pixel_iqn_core::AnyModel;
use pixel_iqn_data::check_memory;
use pixel_iqn_train::{RunConfig, check_gradients, within};

use crate::{DeviceDefaults, Error, Images, TrainingImages};

/// Checks that a config is for these images.
pub(crate) fn images_fit(config: &RunConfig, images: &TrainingImages) -> Result<(), Error> {
    let [channels, ..] = images.train.shape();
    let classes = images.train.classes();
    let name = &images.source().dataset;
    if config.model.channels != channels || ![0, classes].contains(&config.model.classes) {
        return Err(Error::Request(format!(
            "the config is for images of {} channels and {} classes, but those of `{name}` have \
             {channels} and {classes}",
            config.model.channels, config.model.classes
        )));
    }
    if config.train.batch > images.train.len() {
        return Err(Error::Request(format!(
            "a batch of {} is more than the {} training images",
            config.train.batch,
            images.train.len()
        )));
    }
    Ok(())
}

/// Checks that a step of a training on the CPU finds room in memory.
///
/// A step keeps about ten numbers of each feature of each layer at each position for the gradients,
/// and the memory of our benchmarks is about that; six are asked for, so that nothing is refused that
/// could be done. On a GPU, which has memory of its own, nothing is asked for.
pub(crate) fn step_fits(config: &RunConfig, devices: &[Device]) -> Result<(), Error> {
    let on_cpu = devices
        .iter()
        .filter(|device| crate::device::is_cpu(device))
        .count();
    if on_cpu == 0 {
        return Ok(());
    }
    let size = config.data.size;
    let positions = (config.train.batch as u64)
        .saturating_mul(size[0] as u64)
        .saturating_mul(size[1] as u64);
    let features = (config.model.layers * config.model.features) as u64;
    let bytes = positions.saturating_mul(features).saturating_mul(6 * 4);
    Ok(check_memory(bytes)?)
}

/// Checks that the samples which are drawn at the end, and the picture of them, find room in memory, as long
/// as a training can still be begun otherwise.
pub(crate) fn samples_fit(config: &RunConfig) -> Result<(), Error> {
    let [height, width] = config.data.size;
    let (report, channels) = (&config.report, config.data.channels);
    for (key, count) in [
        ("report.samples", report.samples),
        ("report.grid_samples", report.grid_samples),
    ] {
        Images::check_picture([count, channels, height, width]).map_err(|error| {
            Error::Request(format!("{count} samples ({key}) are too many: {error}"))
        })?;
    }
    Ok(())
}

/// Compares the gradients of each device but the CPU with the CPU's, unless the devices are trusted. A
/// device of another machine may take as long as `limit`.
pub(crate) fn gradients_are_right(
    config: &RunConfig,
    devices: &[DeviceDefaults],
    trust: bool,
    limit: Duration,
    notice: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let cpu = crate::device("cpu");
    for defaults in devices {
        let device = &defaults.device;
        if crate::device::is_cpu(device) {
            continue;
        }
        let (false, Ok(cpu)) = (trust, &cpu) else {
            notice(&format!(
                "NOTE: the gradients of the device `{}` are not checked",
                defaults.name
            ));
            continue;
        };
        notice(&format!(
            "comparing the gradients of the device `{}` with the CPU's",
            defaults.name
        ));
        let (model, train) = (config.model.clone(), config.train.clone());
        if defaults.is_remote() {
            let (device, cpu) = (device.clone(), cpu.clone());
            within(limit, &defaults.name, move || {
                check_gradients::<AnyModel>(&model, &train, &device, &cpu)
            })??;
        } else {
            check_gradients::<AnyModel>(&model, &train, device, cpu)?;
        }
    }
    Ok(())
}

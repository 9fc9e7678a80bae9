//! What is checked before a training begins.

use burn::tensor::Device;
use pixel_iqn_core::AnyModel;
use pixel_iqn_train::{RunConfig, check_gradients};

use crate::{Error, TrainingImages};

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

/// Compares the gradients of each device but the CPU with the CPU's, unless the devices are trusted.
pub(crate) fn gradients_are_right(
    config: &RunConfig,
    devices: &[Device],
    trust: bool,
    notice: &mut dyn FnMut(&str),
) -> Result<(), Error> {
    let cpu = crate::device("cpu");
    let of_cpu = |device: &&Device| crate::device::is_cpu(device);
    for device in devices.iter().filter(|device| !of_cpu(device)) {
        match (trust, &cpu) {
            (false, Ok(cpu)) => {
                notice("comparing the gradients of the device with the CPU's");
                check_gradients::<AnyModel>(&config.model, &config.train, device, cpu)?;
            }
            _ => notice("NOTE: the gradients of this device are not checked"),
        }
    }
    Ok(())
}

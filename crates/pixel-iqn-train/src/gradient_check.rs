use burn::module::{ModuleMapper, Param};
use burn::optim::GradientsParams;
use burn::tensor::{Device, Tensor};
use pixel_iqn_core::{Lowering, ModelConfig, weights};
use pixel_iqn_data::ImageDataset;
use safetensors::SafeTensors;

use crate::config::TrainConfig;
use crate::error::TrainError;
use crate::objective::TrainModel;
use crate::trainer::Trainer;

/// The largest difference of a gradient that is allowed, relative to the largest value of the tensor:
/// products in TF32 are off by less than a thousandth, a kernel that reads wrong places by about
/// everything (our choice).
const TOLERANCE: f32 = 0.02;

/// Gradients below this part of the largest of all are compared on the scale of that one, since what
/// rounding leaves of a sum of nearly nothing has no scale of its own.
const SMALL: f32 = 1e-5;

/// The height and width of the images.
const SIZE: usize = 6;

/// Computes the gradients of a small model on a device and on another one that is trusted, and compares
/// them: a device whose kernels are wrong trains without a complaint, and the result is not the model.
///
/// The small model has the output, the kernels, the dilations, the classes and the orders of `model`,
/// at most three layers and a few features; the loss is that of the training.
///
/// # Errors
///
/// [`TrainError::WrongGradients`] where a gradient is off, or is infinite or not a number;
/// [`TrainError::Device`] where a device failed, and the errors of [`Trainer::new`].
///
/// # Panics
///
/// Panics if `M` is not the model of the config's output.
pub fn check_gradients<M: TrainModel>(
    model: &ModelConfig,
    config: &TrainConfig,
    device: &Device,
    trusted: &Device,
) -> Result<(), TrainError> {
    let [ours, theirs] = [device, trusted].map(|device| gradients::<M>(model, config, device));
    compare(&ours?, &theirs?)
}

/// Computes the gradients of a model on images of its own size with two lowerings of its convolutions, and compares
/// them: the kernels of a large model may be others than those of the small one of [`check_gradients`].
///
/// # Errors
///
/// As [`check_gradients`].
///
/// # Panics
///
/// Panics if `M` is not the model of the config's output.
pub fn compare_lowerings<M: TrainModel>(
    model: &ModelConfig,
    [images, size]: [usize; 2],
    device: &Device,
    [lowering, trusted]: [Lowering; 2],
) -> Result<(), TrainError> {
    let config = TrainConfig::new(1, images);
    let set = images_for(model, images, size);
    let [ours, theirs] = [lowering, trusted].map(|lowering| {
        let mut trainer = Trainer::<M>::new(model, config.clone(), device)?;
        trainer.set_lowering(lowering);
        of_step(&trainer, &set, device)
    });
    compare(&ours?, &theirs?)
}

/// Images whose levels follow a pattern, with the first and the last class in turn.
fn images_for(model: &ModelConfig, images: usize, size: usize) -> ImageDataset {
    let values = images * model.channels * size * size;
    let levels = (0..values).map(|i| (i * 37 % 256) as u8).collect();
    let shape = [model.channels, size, size];
    let set = ImageDataset::new(levels, shape).expect("the sizes are those of the model");
    match model.classes {
        0 => set,
        classes => {
            let labels = (0..images).map(|i| if i % 2 == 0 { 0 } else { classes as u32 - 1 });
            (set.with_labels(labels.collect(), classes)).expect("both labels are classes")
        }
    }
}

/// The gradients of a trainer's step for all images as a safetensors file.
fn of_step<M: TrainModel>(
    trainer: &Trainer<M>,
    set: &ImageDataset,
    device: &Device,
) -> Result<Vec<u8>, TrainError> {
    let indices: Vec<usize> = (0..set.len()).collect();
    let (_, gradients) = trainer.gradients(&set.batch(&indices, None, device))?;
    let model = trainer.model().map(&mut ToGradients(gradients));
    Ok(weights::to_safetensors(&model)?)
}

/// The gradients of the small model as a safetensors file.
fn gradients<M: TrainModel>(
    model: &ModelConfig,
    config: &TrainConfig,
    device: &Device,
) -> Result<Vec<u8>, TrainError> {
    let model = (model.clone())
        .with_features(4 * model.channels)
        .with_layers(model.layers.min(3));
    let config = TrainConfig {
        batch: 2,
        accumulation: 1,
        ..config.clone()
    };
    let set = images_for(&model, 2, SIZE);
    let trainer = Trainer::<M>::new(&model, config, device)?;
    of_step(&trainer, &set, device)
}

/// Fails for the first tensor that is off.
fn compare(ours: &[u8], theirs: &[u8]) -> Result<(), TrainError> {
    let [ours, theirs] = [ours, theirs].map(SafeTensors::deserialize);
    let (ours, theirs) = (
        ours.map_err(TrainError::tensors)?,
        theirs.map_err(TrainError::tensors)?,
    );
    let largest = |values: &[f32]| values.iter().fold(0.0f32, |max, x| max.max(x.abs()));
    let mut tensors = Vec::new();
    for (name, theirs) in theirs.iter() {
        let ours = ours.tensor(name).map_err(TrainError::tensors)?;
        tensors.push((name, floats(ours.data()), floats(theirs.data())));
    }
    let all = tensors.iter().map(|(.., theirs)| largest(theirs));
    let all = all.fold(0.0, f32::max);
    for (name, ours, theirs) in &tensors {
        let scale = largest(theirs).max(SMALL * all);
        let off = (ours.iter().zip(theirs))
            .map(|(a, b)| (a - b).abs() / scale)
            // A maximum would pass over what is not a number.
            .fold(0.0, |max: f32, off| {
                if off.is_nan() {
                    f32::INFINITY
                } else {
                    max.max(off)
                }
            });
        if off > TOLERANCE {
            return Err(TrainError::WrongGradients {
                tensor: (*name).to_owned(),
                off: off.into(),
            });
        }
    }
    Ok(())
}

fn floats(bytes: &[u8]) -> Vec<f32> {
    let numbers = bytes.chunks_exact(4);
    numbers
        .map(|bytes| f32::from_le_bytes(bytes.try_into().expect("there are four bytes")))
        .collect()
}

/// Replaces weights by their gradients, and those without one by zeros.
struct ToGradients(GradientsParams);

impl ModuleMapper for ToGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let gradient = self.0.remove::<D>(id);
        let gradient = gradient.unwrap_or_else(|| tensor.zeros_like());
        Param::from_mapped_value(id, gradient, mapper)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixel_iqn_core::{AnyModel, Output};

    fn of(kind: &str) -> (ModelConfig, TrainConfig) {
        let output = Output::of_kind(kind).unwrap();
        let model = ModelConfig::tiny().with_output(output).with_orders(8);
        let model = model.with_classes(3).with_dilations(vec![2, 1]);
        (model, TrainConfig::new(10, 64).with_accumulation(4))
    }

    #[test]
    fn lowerings_agree_for_images_of_a_size() {
        let (model, _) = of("monotone");
        let both = [Lowering::Fastest, Lowering::Product];
        compare_lowerings::<AnyModel>(&model, [3, 9], &Device::flex(), both).unwrap();
    }

    #[test]
    fn a_device_agrees_with_itself_for_every_output() {
        let device = Device::flex();
        for kind in Output::KINDS {
            let (model, config) = of(kind);
            check_gradients::<AnyModel>(&model, &config, &device, &device).unwrap();
        }
    }

    #[test]
    fn a_gradient_that_is_off_is_named() {
        let (model, config) = of("monotone");
        let right = gradients::<AnyModel>(&model, &config, &Device::flex()).unwrap();
        let name = "layers.1.horizontal.weight";
        let tensors = SafeTensors::deserialize(&right).unwrap();
        let view = tensors.tensor(name).unwrap();
        let start = view.data().as_ptr() as usize - right.as_ptr() as usize;
        let end = start + view.data().len();
        let largest = floats(view.data())
            .iter()
            .fold(0.0f32, |m, x| m.max(x.abs()));
        assert!(largest > 0.0);
        let first = floats(view.data())[0];
        let changed = |value: f32| {
            let mut wrong = right.clone();
            wrong[start..start + 4].copy_from_slice(&value.to_le_bytes());
            compare(&wrong, &right)
        };
        changed(first + 0.001 * largest).unwrap();
        for value in [first + 0.1 * largest, f32::NAN, f32::INFINITY] {
            let error = changed(value).unwrap_err();
            assert!(
                matches!(&error, TrainError::WrongGradients { tensor, .. } if tensor == name),
                "{error}"
            );
            assert!(error.to_string().contains("--trust-device"), "{error}");
        }
        // As a permuted view is read with wrong strides: the right numbers at wrong places.
        let mut wrong = right.clone();
        wrong[start..end].rotate_left(8);
        assert!(compare(&wrong, &right).is_err());
    }
}

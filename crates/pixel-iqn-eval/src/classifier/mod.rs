//! A classifier that is trained on images, and the classification accuracy score.

mod accuracy;
mod config;
mod images;
mod resnet;

use burn::module::Module;
use burn::nn::loss::CrossEntropyLossConfig;
use burn::optim::decay::WeightDecayConfig;
use burn::optim::momentum::MomentumConfig;
use burn::optim::{GradientsParams, SgdConfig};
use burn::tensor::Device;
use pixel_iqn_core::{PartProgress, Progress, report};
use pixel_iqn_data::ImageDataset;
use serde::{Deserialize, Serialize};

use crate::EvalError;
pub use accuracy::Accuracy;
pub use config::ClassifierConfig;
use images::{Draws, Normal, labels_of, moved, whole};
use resnet::ResNet;

/// Images that are classified together: a matter of memory.
const TOGETHER: usize = 100;

/// Steps after which it is looked whether the loss is still a number.
const LOSS_EVERY: usize = 50;

/// A residual network that was trained to tell the classes of images apart.
pub struct Classifier {
    network: ResNet,
    normal: Normal,
    shape: [usize; 3],
    classes: usize,
    device: Device,
}

/// The classification accuracy score of a generative model (Ravuri and Vinyals 2019): how well a
/// classifier reads real images that learnt from generated ones alone. Beside it stands the reverse, how
/// many generated images a classifier that learnt from real ones reads as their labels.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq)]
#[non_exhaustive]
pub struct ClassificationAccuracy {
    /// The images that each classifier learnt from.
    pub trained_on: usize,
    /// The accuracy on held-out real images after training on generated ones: the score.
    pub generated: Accuracy,
    /// The same after training on as many real images.
    pub real: Accuracy,
    /// The generated images that the classifier of the real ones reads as their labels. It errs, too:
    /// `real` says how often on real images. Our choice, and no part of the published score.
    pub agreement: Accuracy,
}

impl Classifier {
    /// Trains a classifier on labelled images. A unit of the progress is a step.
    ///
    /// # Errors
    ///
    /// [`EvalError::Option`] for a config out of range, [`EvalError::Shape`] where the images have no
    /// labels, [`EvalError::NotFinite`] where the training fails, and [`EvalError::Cancelled`].
    pub fn train(
        images: &ImageDataset,
        config: &ClassifierConfig,
        device: &Device,
        progress: &dyn Progress,
    ) -> Result<Self, EvalError> {
        config.validate()?;
        if images.labels().is_none() {
            return Err(EvalError::Shape(
                "a classifier needs the classes of its images, and these have none".into(),
            ));
        }
        let shape @ [channels, ..] = images.shape();
        let classes = images.classes();
        let normal = Normal::of(images);
        let device = device.clone().autodiff();
        let mut network = ResNet::init(config, channels, classes, &device);
        let momentum = MomentumConfig::new()
            .with_momentum(config.momentum)
            .with_dampening(0.0);
        let mut optimizer = SgdConfig::new()
            .with_momentum(Some(momentum))
            .with_weight_decay(Some(WeightDecayConfig::new(config.weight_decay as f32)))
            .init();
        let loss = CrossEntropyLossConfig::new().init(&device);
        let mut draws = Draws::new(config);
        for step in 0..config.steps {
            let indices = draws.next(config.batch, images.len());
            let random = draws.moves(step, config.batch);
            let how = [config.shift, usize::from(config.flip)];
            let batch = moved(images, &indices, &random, how, &normal, &device);
            let logits = network.forward(batch);
            let loss = loss.forward(logits, labels_of(images, &indices, &device));
            let last = step + 1 == config.steps;
            if (last || step % LOSS_EVERY == 0) && !loss.clone().into_scalar::<f32>().is_finite() {
                return Err(EvalError::NotFinite("losses of the classifier"));
            }
            let gradients = GradientsParams::from_grads(loss.backward(), &network);
            network = optimizer.step(config.learning_rate_at(step), network, gradients);
            report(progress, step + 1, config.steps)?;
        }
        Ok(Self {
            network: network.valid(),
            normal,
            shape,
            classes,
            device: device.inner(),
        })
    }

    /// The class of each image.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] for images of another shape than those of the training.
    pub fn classify(&self, images: &ImageDataset) -> Result<Vec<usize>, EvalError> {
        if images.shape() != self.shape {
            return Err(EvalError::Shape(format!(
                "the classifier learnt from images of {:?} (channels, height, width), and these are of {:?}",
                self.shape,
                images.shape()
            )));
        }
        let all: Vec<usize> = (0..images.len()).collect();
        let mut classes = Vec::with_capacity(all.len());
        for indices in all.chunks(TOGETHER) {
            let batch = whole(images, indices, &self.normal, &self.device);
            let data = self.network.forward(batch).argmax(1).into_data();
            classes.extend(data.iter::<i64>().map(|class| class as usize));
        }
        Ok(classes)
    }

    /// How many labelled images are classified right.
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] for images of another shape, without labels, or of more classes.
    pub fn accuracy(&self, images: &ImageDataset) -> Result<Accuracy, EvalError> {
        let Some(labels) = images.labels().filter(|_| images.classes() <= self.classes) else {
            return Err(EvalError::Shape(format!(
                "the accuracy needs images of the {} classes of the classifier, and these have {}",
                self.classes,
                images.classes()
            )));
        };
        let found = self.classify(images)?;
        let pairs = found.iter().zip(labels);
        let right = pairs
            .filter(|(found, label)| **found == **label as usize)
            .count();
        Ok(Accuracy::new(right, images.len()))
    }
}

/// Computes the classification accuracy score of generated images with labels, the accuracy after
/// training on as many real images, or all that there are, and how many of the generated images that
/// second classifier reads as their labels. A unit of the progress is a step of one of the two trainings.
///
/// # Errors
///
/// The errors of [`Classifier::train`] and [`Classifier::accuracy`].
pub fn classification_accuracy(
    generated: &ImageDataset,
    real: &ImageDataset,
    held_out: &ImageDataset,
    config: &ClassifierConfig,
    device: &Device,
    progress: &dyn Progress,
) -> Result<ClassificationAccuracy, EvalError> {
    let trained_on = |images: &ImageDataset, trainings: usize| {
        let progress = PartProgress {
            progress,
            before: trainings * config.steps,
            total: 2 * config.steps,
        };
        Classifier::train(images, config, device, &progress)
    };
    let count = generated.len().min(real.len());
    let of_generated = trained_on(generated, 0)?;
    let of_real = trained_on(&real.draw_copy(count, config.seed)?, 1)?;
    Ok(ClassificationAccuracy {
        trained_on: count,
        generated: of_generated.accuracy(held_out)?,
        real: of_real.accuracy(held_out)?,
        agreement: of_real.accuracy(generated)?,
    })
}

#[cfg(test)]
mod tests;

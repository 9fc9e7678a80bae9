use std::ops::ControlFlow;

use pixel_iqn_core::{NoProgress, Noise};

use super::*;

/// Grey images of 8 x 8 pixels, noise below a bar that lies (class 0) or stands (class 1), anywhere.
fn bars(count: usize, seed: u64) -> ImageDataset {
    let noise = Noise::new(seed);
    let mut levels = Vec::new();
    for image in 0..count {
        let random = noise.uniform(image as u64, 65);
        let place = (random[64] * 8.0) as usize;
        levels.extend((0..64).map(|pixel| {
            let along = if image % 2 == 0 { pixel / 8 } else { pixel % 8 };
            let bar = if along == place { 120.0 } else { 0.0 };
            (bar + 100.0 * random[pixel]) as u8
        }));
    }
    let labels = (0..count).map(|image| (image % 2) as u32).collect();
    let images = ImageDataset::new(levels, [1, 8, 8]).unwrap();
    images.with_labels(labels, 2).unwrap()
}

fn config() -> ClassifierConfig {
    ClassifierConfig::small()
        .with_features(4)
        .with_steps(60)
        .with_batch(16)
        .with_shift(1)
}

#[test]
fn classes_that_can_be_told_apart_are_and_random_labels_are_not() {
    let device = Device::flex();
    let (train, held_out) = (bars(200, 1), bars(200, 2));
    let noise = Noise::new(3).uniform(0, 200);
    let labels = noise.iter().map(|u| u32::from(*u < 0.5)).collect();
    let random = ImageDataset::new(train.images().to_vec(), train.shape()).unwrap();
    let random = random.with_labels(labels, 2).unwrap();

    let scores =
        classification_accuracy(&train, &random, &held_out, &config(), &device, &NoProgress);
    let scores = scores.unwrap();
    assert_eq!(scores.trained_on, 200);
    assert!(scores.generated.low > 0.9, "{scores:?}");
    assert!(scores.real.mean < 0.75, "{scores:?}");
}

#[test]
fn the_agreement_is_that_of_the_classifier_of_the_real_images_with_the_labels_of_the_generated_ones()
 {
    let device = Device::flex();
    let (real, held_out, generated) = (bars(200, 1), bars(200, 2), bars(60, 3));
    let labels = generated.labels().unwrap();
    // Every label is the other one.
    let swapped = labels.iter().map(|label| 1 - label).collect();
    let wrong = ImageDataset::new(generated.images().to_vec(), generated.shape()).unwrap();
    let wrong = wrong.with_labels(swapped, 2).unwrap();
    let agreement = |generated: &ImageDataset| {
        let scores =
            classification_accuracy(generated, &real, &held_out, &config(), &device, &NoProgress);
        scores.unwrap().agreement
    };
    let right = agreement(&generated);
    assert_eq!(right.images, 60);
    assert!(right.low > 0.8, "{right:?}");
    let wrong = agreement(&wrong);
    assert!(wrong.high < 0.2, "{wrong:?}");
}

#[test]
fn a_seed_repeats_a_training_and_a_break_ends_it() {
    let device = Device::flex();
    let (train, held_out) = (bars(40, 1), bars(40, 2));
    let config = config().with_steps(4);
    let classes = |seed: u64| {
        let config = config.clone().with_seed(seed);
        let classifier = Classifier::train(&train, &config, &device, &NoProgress).unwrap();
        let batch = whole(&held_out, &[0, 1], &classifier.normal, &device);
        classifier.network.forward(batch).into_data()
    };
    assert_eq!(classes(5), classes(5));
    assert_ne!(classes(5), classes(6));

    let cancel = |done: usize, _: usize| match done {
        0..3 => ControlFlow::Continue(()),
        _ => ControlFlow::Break(()),
    };
    let error = Classifier::train(&train, &config, &device, &cancel)
        .err()
        .unwrap();
    assert!(matches!(error, EvalError::Cancelled(_)), "{error}");
}

#[test]
fn images_that_do_not_fit_are_told() {
    let device = Device::flex();
    let plain = ImageDataset::new(vec![0; 128], [1, 8, 8]).unwrap();
    let error = Classifier::train(&plain, &config(), &device, &NoProgress)
        .err()
        .unwrap();
    assert!(error.to_string().contains("classes"), "{error}");
    let train = bars(20, 0);
    let classifier = Classifier::train(&train, &config().with_steps(1), &device, &NoProgress);
    let classifier = classifier.unwrap();
    assert!(classifier.accuracy(&plain).is_err());
    let larger = ImageDataset::new(vec![0; 100], [1, 10, 10]).unwrap();
    let error = classifier.classify(&larger).unwrap_err().to_string();
    assert!(error.contains("[1, 8, 8]"), "{error}");
}

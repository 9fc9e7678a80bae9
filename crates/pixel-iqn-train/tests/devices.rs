//! Training on several devices and in several parts is training on one.
//!
//! Alone in its process, because Burn draws the weights of all threads from one generator.

use burn::tensor::Device;
use pixel_iqn_core::{ModelConfig, PixelIqn};
use pixel_iqn_data::builtin;
use pixel_iqn_train::{StepReport, TrainConfig, TrainError, Trainer};

fn train(accumulation: usize, devices: usize) -> Vec<StepReport> {
    let device = Device::flex();
    let config = TrainConfig::new(6, 7).with_accumulation(accumulation);
    let model = ModelConfig::tiny().with_classes(10);
    let devices = vec![device.clone(); devices];
    let mut trainer = Trainer::<PixelIqn>::on_devices(&model, config, &devices).unwrap();
    let images = builtin::generate(0, 0..42, 8, 3).unwrap();
    let batches = images.batches(7, &device);
    batches.map(|batch| trainer.step(&batch).unwrap()).collect()
}

#[test]
fn parts_and_devices_give_the_losses_of_the_whole_batch() {
    let whole = train(1, 1);
    assert_eq!(whole.len(), 6);
    // Seven images do not divide evenly.
    for (accumulation, devices) in [(2, 1), (7, 1), (1, 2), (1, 3), (3, 2)] {
        let parts = train(accumulation, devices);
        for (part, whole) in parts.iter().zip(&whole) {
            let close = |a: f32, b: f32| (a - b).abs() <= 2e-4 * b.abs();
            assert!(
                close(part.loss, whole.loss) && close(part.grad_norm, whole.grad_norm),
                "{accumulation} parts on {devices} devices: {part:?}, not {whole:?}"
            );
        }
        assert_eq!(train(accumulation, devices), parts, "not reproducible");
    }

    let device = Device::flex();
    let config = TrainConfig::new(1, 3).with_accumulation(2);
    let devices = [device.clone(), device];
    let error = Trainer::<PixelIqn>::on_devices(&ModelConfig::tiny(), config, &devices);
    assert!(matches!(
        error.err(),
        Some(TrainError::Config { name: "batch", .. })
    ));
}

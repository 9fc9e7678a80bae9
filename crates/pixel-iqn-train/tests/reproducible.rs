//! Alone in its process, because Burn draws the weights of all threads from one generator.

use std::sync::Arc;

use burn::tensor::Device;
use pixel_iqn_core::{ModelConfig, PixelIqn, weights};
use pixel_iqn_data::{Loader, LoaderConfig, builtin};
use pixel_iqn_train::{StepReport, TrainConfig, Trainer};

fn train(seed: u64, size: usize) -> (Vec<StepReport>, Vec<u8>) {
    let device = Device::flex();
    let config = TrainConfig::new(5, 6).with_seed(seed);
    let images = Arc::new(builtin::generate(0, 0..20, size, 3).unwrap());
    let loader = LoaderConfig::new(config.batch)
        .with_seed(seed)
        .with_flip(config.flip);
    let batches = Loader::new(images, loader, device.clone(), 0).unwrap();
    let batches = batches.take(config.steps);
    let mut trainer = Trainer::<PixelIqn>::new(&ModelConfig::tiny(), config, &device).unwrap();
    let reports = batches.map(|batch| trainer.step(&batch).unwrap()).collect();
    let averaged = weights::to_safetensors(trainer.averaged()).unwrap();
    (reports, averaged)
}

#[test]
fn a_seed_decides_every_bit_of_a_training_on_any_number_of_threads() {
    let first = train(7, 8);
    assert_eq!(first.0.len(), 5);
    assert_eq!(train(7, 8), first);
    assert_ne!(train(8, 8).0[0].loss, first.0[0].loss);

    // Images that are large enough to be cut up for the threads.
    let on_threads = |threads| {
        let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
        pool.build().unwrap().install(|| train(7, 24))
    };
    let one = on_threads(1);
    for threads in [2, 5] {
        assert_eq!(on_threads(threads), one, "{threads} threads");
    }
}

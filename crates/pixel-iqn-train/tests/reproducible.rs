//! Alone in its process, because Burn draws the weights of all threads from one generator.

use std::sync::Arc;

use burn::tensor::Device;
use pixel_iqn_core::{Lowering, ModelConfig, PixelIqn, weights};
use pixel_iqn_data::{Loader, LoaderConfig, builtin};
use pixel_iqn_train::{Precision, StepReport, TrainConfig, TrainError, Trainer};

fn train(
    model: &ModelConfig,
    config: TrainConfig,
    size: usize,
) -> Result<(Vec<StepReport>, Vec<u8>), TrainError> {
    let device = Device::flex();
    let images = Arc::new(builtin::generate(0, 0..20, size, 3).unwrap());
    let loader = LoaderConfig::new(config.batch)
        .with_seed(config.seed)
        .with_flip(config.flip);
    let batches = Loader::new(images, loader, device.clone(), 0).unwrap();
    let batches = batches.take(config.steps);
    let mut trainer = Trainer::<PixelIqn>::new(model, config, &device)?;
    let reports = batches.map(|batch| trainer.step(&batch).unwrap()).collect();
    let averaged = weights::to_safetensors(trainer.averaged()).unwrap();
    Ok((reports, averaged))
}

#[test]
fn a_seed_decides_every_bit_of_a_training_on_any_number_of_threads() {
    let config = |seed| TrainConfig::new(5, 6).with_seed(seed);
    let of_seed = |seed| train(&ModelConfig::tiny(), config(seed), 8).unwrap();
    let first = of_seed(7);
    assert_eq!(first.0.len(), 5);
    assert_eq!(of_seed(7), first);
    assert_ne!(of_seed(8).0[0].loss, first.0[0].loss);

    // Images that are large enough to be cut up for the threads, and features enough to be rounded.
    let wide = ModelConfig::tiny().with_features(36);
    let rounds = Lowering::has_bfloat16(&Device::flex());
    let mut trained = Vec::new();
    for precision in [Precision::Float32, Precision::Bfloat16] {
        let on_threads = |threads| {
            let pool = rayon::ThreadPoolBuilder::new().num_threads(threads);
            let config = config(7).with_precision(precision);
            pool.build().unwrap().install(|| train(&wide, config, 24))
        };
        let one = match on_threads(1) {
            Err(error) => {
                assert!(matches!(error, TrainError::NoBfloat16), "{error}");
                assert!(precision == Precision::Bfloat16 && !rounds);
                break;
            }
            Ok(one) => one,
        };
        for threads in [2, 5] {
            let several = on_threads(threads).unwrap();
            assert_eq!(several, one, "{threads} threads, {precision:?}");
        }
        trained.push(one);
    }
    if let [single, rounded] = &trained[..] {
        assert!(rounds);
        assert_ne!(single, rounded);
        let losses = single.0.iter().zip(&rounded.0);
        assert!(
            losses
                .into_iter()
                .all(|(a, b)| (a.loss - b.loss).abs() < 1e-3)
        );
    }
}

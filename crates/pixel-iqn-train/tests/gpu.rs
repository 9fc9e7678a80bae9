//! Steps and samples with kernels of our own on a software adapter of WGPU, against those on the CPU and with
//! Burn's operations. Needs Mesa's lavapipe (Debian: mesa-vulkan-drivers, libvulkan1).

use burn::tensor::{Device, DeviceKind};
use pixel_iqn_core::{
    AnyModel, IncrementalSampler, Knots, Lowering, ModelConfig, NoProgress, Order, Output,
    PixelIqn, PixelModel, SampleBatch,
};
use pixel_iqn_data::builtin;
use pixel_iqn_train::{OptimizerKind, TrainConfig, Trainer};

/// The losses and norms of some steps, and the averaged weights after them.
fn train(model: &ModelConfig, config: TrainConfig, device: &Device) -> (Vec<[f32; 2]>, Vec<u8>) {
    let set = builtin::generate(0, 0..4, 8, 3).unwrap();
    let batch = set.batch(&[0, 1, 2, 3], None, device);
    let mut trainer = Trainer::<PixelIqn>::new(model, config, device).unwrap();
    let reports = (0..4).map(|_| {
        let report = trainer.step(&batch).unwrap();
        [report.loss, report.grad_norm]
    });
    let reports = reports.collect();
    (
        reports,
        pixel_iqn_core::weights::to_safetensors(trainer.averaged()).unwrap(),
    )
}

#[test]
fn steps_are_those_of_the_cpu() {
    let gpu = Device::wgpu(DeviceKind::Cpu);
    assert!(Lowering::has_gpu_kernels(&gpu), "this build has no fusion");
    // Else a step takes Burn's operations.
    let tensor = burn::tensor::Tensor::<1>::zeros([1], &gpu);
    assert!(pixel_iqn_cube::primitive(&tensor).is_some());
    let adam = TrainConfig::new(4, 4)
        .with_weight_decay(0.1)
        .with_warmup(0.0);
    let configs = [
        adam.clone(),
        adam.clone().with_optimizer(OptimizerKind::AdamW),
        adam.with_clip_norm(1e-3),
    ];
    let models = [
        ModelConfig::tiny().with_classes(10).with_orders(8),
        ModelConfig::tiny().with_output(Output::monotone(&Knots::default())),
        ModelConfig::tiny().with_dilations(vec![2]),
    ];
    for (model, config) in models.iter().zip(configs) {
        let (cpu_reports, cpu) = train(model, config.clone(), &Device::flex());
        let (gpu_reports, gpu) = train(model, config, &gpu);
        for (gpu, cpu) in gpu_reports
            .iter()
            .flatten()
            .zip(cpu_reports.iter().flatten())
        {
            assert!(
                (gpu / cpu - 1.0).abs() < 1e-4,
                "{gpu_reports:?} {cpu_reports:?}"
            );
        }
        let largest = largest_difference(&cpu, &gpu);
        assert!(largest < 2e-5, "{largest}");
    }
}

/// The largest difference of the numbers of two files of weights.
fn largest_difference(a: &[u8], b: &[u8]) -> f32 {
    let [a, b] = [a, b].map(|file| safetensors::SafeTensors::deserialize(file).unwrap());
    let mut largest = 0.0f32;
    for (name, of_a) in a.tensors() {
        let of_b = b.tensor(&name).unwrap();
        let numbers = |bytes: &[u8]| -> Vec<f32> {
            let (numbers, _) = bytes.as_chunks();
            numbers
                .iter()
                .map(|bytes| f32::from_le_bytes(*bytes))
                .collect()
        };
        for (a, b) in numbers(of_a.data()).iter().zip(numbers(of_b.data())) {
            largest = largest.max((a - b).abs());
        }
    }
    largest
}

#[test]
fn samples_are_those_of_burns_operations() {
    let gpu = Device::wgpu(DeviceKind::Cpu);
    let base = ModelConfig::tiny().with_dilations(vec![1, 2]);
    let models = [
        base.clone().with_classes(3).with_orders(8),
        base.clone().with_output(Output::categorical(16)),
        base.clone()
            .with_output(Output::monotone(&Knots::default())),
        base.clone().with_output(Output::head(2, 16, 8)),
        base.clone().with_layers(1),
        // More features in a group than a cube has units.
        base.with_channels(1).with_features(300).with_layers(2),
    ];
    for config in models {
        let dims = [2, config.channels, 3, 5];
        let values: usize = dims.iter().product();
        let tau = (0..values)
            .map(|i| (0.5 + i as f32 * 0.618) % 1.0)
            .collect();
        let labels = (config.classes > 0).then(|| vec![Some(1), None]);
        let order = Order::new(if config.orders > 1 { 5 } else { 0 }).unwrap();
        let batch = SampleBatch::new(dims, tau)
            .with_labels(labels)
            .with_order(order);
        let model = AnyModel::init_seeded(&config, &gpu, 3);
        let samplers = [Lowering::Fastest, Lowering::Product]
            .map(|lowering| IncrementalSampler::from(&model.clone().with_lowering(lowering)));
        // With the kernel a sampler keeps other numbers than with Burn's operations.
        let [with, without] = samplers.each_ref().map(|sampler| sampler.cache_bytes(2, 5));
        assert_ne!(with, without, "{config:?}");
        let [ours, burns] = samplers.map(|sampler| sampler.predict(&batch, &NoProgress).unwrap().0);
        for (ours, burns) in ours.iter().zip(&burns) {
            assert!((ours - burns).abs() < 1e-4, "{config:?}: {ours} {burns}");
        }
    }
}

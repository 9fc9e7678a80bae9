//! Verifies the compiled sampler against the images of the reference implementation, which
//! `pixel-iqn-core/tests/fixtures/reference/make_vectors.py` writes.

use std::path::Path;

use burn::tensor::Device;
use pixel_iqn_core::{
    ModelConfig, NoProgress, Order, SampleBatch, Sampler, weights::load_safetensors,
};
use pixel_iqn_cpu::CpuSampler;
use safetensors::SafeTensors;

/// Samples at the tau of a case, and compares the result with the image of the case.
fn check(name: &str) {
    let vectors = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../pixel-iqn-core/tests/fixtures/reference/vectors");
    let read = |extension| std::fs::read(vectors.join(name).with_extension(extension)).unwrap();
    let config = String::from_utf8(read("json")).unwrap();
    let config = ModelConfig::from_json(&config).unwrap();
    let file = read("safetensors");
    let tensors = SafeTensors::deserialize(&file).unwrap();
    let bytes = |name: &str| {
        let data = tensors.tensor(name).unwrap().data();
        data.chunks_exact(4)
            .map(|x| <[u8; 4]>::try_from(x).unwrap())
    };

    let mut model = config.init_pixel_iqn(&Device::flex());
    let weights = tensors.iter().filter_map(|(name, tensor)| {
        let name = name.strip_prefix("weight/")?;
        Some((name.to_owned(), tensor))
    });
    let weights = safetensors::serialize(weights, None).unwrap();
    load_safetensors(&mut model, &weights).unwrap();

    let dims: [usize; 4] = tensors.tensor("x").unwrap().shape().try_into().unwrap();
    let labels = tensors.tensor("labels").ok().map(|labels| {
        let labels = labels.data().chunks_exact(8);
        labels.map(|x| Some(u64::from_le_bytes(x.try_into().unwrap()) as usize))
    });
    let order = match tensors.tensor("order") {
        Ok(order) => Order::new(order.data()[0].into()).unwrap(),
        Err(_) => Order::RASTER,
    };
    let batch = SampleBatch::new(dims, bytes("tau").map(f32::from_le_bytes).collect())
        .with_order(order)
        .with_labels(labels.map(Iterator::collect))
        .with_levels(Some(256));
    let sampled = CpuSampler::from(&model).sample(&batch, &NoProgress);
    let expected: Vec<f32> = bytes("sample").map(f32::from_le_bytes).collect();
    // The reference computes in double precision: the intensity level is the same, but its value
    // may differ by one part in 10^7.
    for (i, (a, b)) in sampled.unwrap().iter().zip(&expected).enumerate() {
        assert!((a - b).abs() < 1e-6, "value {i}: {a} is not {b}");
    }
}

#[test]
fn gates_gray() {
    check("gates_gray");
}

#[test]
fn gates_gray_orders() {
    check("gates_gray_orders");
}

#[test]
fn gates_rgb_dilated() {
    check("gates_rgb_dilated");
}

#[test]
fn monotone_gray_orders() {
    check("monotone_gray_orders");
}

#[test]
fn monotone_rgb_labels() {
    check("monotone_rgb_labels");
}

#[test]
fn gates_rgb_labels() {
    check("gates_rgb_labels");
}

#[test]
fn head_rgb_labels() {
    check("head_rgb_labels");
}

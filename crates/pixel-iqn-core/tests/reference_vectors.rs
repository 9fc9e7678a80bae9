//! Verifies the models on the CPU against every vector of the reference implementation.
//!
//! `fixtures/reference/make_vectors.py` writes the files:
//!
//! ```text
//! pip install torch safetensors
//! python crates/pixel-iqn-core/tests/fixtures/reference/make_vectors.py
//! ```

use burn::tensor::Device;
use pixel_iqn_core::{Lowering, parity};

macro_rules! case {
    ($name:ident) => {
        #[test]
        fn $name() {
            let config = include_str!(concat!(
                "fixtures/reference/vectors/",
                stringify!($name),
                ".json"
            ));
            let vectors = include_bytes!(concat!(
                "fixtures/reference/vectors/",
                stringify!($name),
                ".safetensors"
            ));
            let differences =
                parity::check(config, vectors, &Device::flex(), Lowering::Fastest).unwrap();
            assert!(differences.ok(), "{differences:?}");
        }
    };
}

case!(categorical_rgb);
case!(gates_gray);
case!(gates_gray_orders);
case!(gates_rgb_dilated);
case!(gates_rgb_labels);
case!(head_rgb_labels);
case!(monotone_gray_orders);
case!(monotone_rgb_labels);

#[test]
fn a_changed_weight_is_a_miss() {
    let config = include_str!("fixtures/reference/vectors/gates_gray.json");
    let vectors = include_bytes!("fixtures/reference/vectors/gates_gray.safetensors");
    let tensors = safetensors::SafeTensors::deserialize(vectors).unwrap();
    let bias = tensors.tensor("weight/out.bias").unwrap().data().as_ptr();
    let at = bias as usize - vectors.as_ptr() as usize;
    let mut changed = vectors.to_vec();
    let value = f32::from_le_bytes(changed[at..at + 4].try_into().unwrap());
    changed[at..at + 4].copy_from_slice(&(value + 0.01).to_le_bytes());
    let differences = parity::check(config, &changed, &Device::flex(), Lowering::Fastest).unwrap();
    assert!(!differences.ok(), "{differences:?}");
    assert!((differences.output - 0.01).abs() < 1e-4);
}

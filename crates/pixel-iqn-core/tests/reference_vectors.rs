//! Every vector of the reference implementation, on the CPU.
//!
//! The files come from `fixtures/reference/make_vectors.py`:
//!
//! ```text
//! pip install torch safetensors
//! python crates/pixel-iqn-core/tests/fixtures/reference/make_vectors.py
//! ```

use burn::tensor::Device;
use pixel_iqn_core::parity;

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
            let differences = parity::check(config, vectors, &Device::flex()).unwrap();
            assert!(differences.ok(), "{differences:?}");
        }
    };
}

case!(categorical_rgb);
case!(gates_gray);
case!(gates_rgb_labels);
case!(head_rgb_labels);

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
    let differences = parity::check(config, &changed, &Device::flex()).unwrap();
    assert!(!differences.ok(), "{differences:?}");
    assert!((differences.output - 0.01).abs() < 1e-4);
}

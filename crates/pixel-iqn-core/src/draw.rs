//! Random initial weights, from a generator on the host where a seed is given.

use core::cell::RefCell;

use burn::module::{Initializer, Param};
use burn::tensor::{Device, Tensor, TensorData};
use rand_chacha::ChaCha8Rng;
use rand_core::{Rng, SeedableRng};

use crate::noise::open_unit;

thread_local! {
    /// The generator of the weights that this thread creates inside of [`seeded`].
    static GENERATOR: RefCell<Option<ChaCha8Rng>> = const { RefCell::new(None) };
}

/// Creates a model whose weights come from a generator of this seed on the host. Burn's own
/// generators are global and differ between backends.
pub(crate) fn seeded<M>(seed: u64, create: impl FnOnce() -> M) -> M {
    /// Ends the seeding, also where creating the model panics.
    struct End;
    impl Drop for End {
        fn drop(&mut self) {
            GENERATOR.set(None);
        }
    }
    GENERATOR.set(Some(ChaCha8Rng::seed_from_u64(seed)));
    let _end = End;
    create()
}

/// Draws weights or biases uniformly from `±1 / sqrt(fan_in)`, which is PyTorch's initialisation of
/// a convolution.
pub(crate) fn uniform_fan_in<const D: usize>(
    shape: [usize; D],
    fan_in: usize,
    device: &Device,
) -> Param<Tensor<D>> {
    let bound = 1.0 / (fan_in as f64).sqrt();
    let uniform = Initializer::Uniform {
        min: -bound,
        max: bound,
    };
    let draw = |rng: &mut ChaCha8Rng| (2.0 * open_unit(rng.next_u32()) - 1.0) * bound as f32;
    create(shape, uniform, draw, device)
}

/// Draws weights from a standard normal distribution, which is PyTorch's initialisation of an
/// embedding.
pub(crate) fn normal<const D: usize>(shape: [usize; D], device: &Device) -> Param<Tensor<D>> {
    let normal = Initializer::Normal {
        mean: 0.0,
        std: 1.0,
    };
    // Box and Muller 1958.
    let draw = |rng: &mut ChaCha8Rng| {
        let radius = (-2.0 * open_unit(rng.next_u32()).ln()).sqrt();
        radius * (core::f32::consts::TAU * open_unit(rng.next_u32())).cos()
    };
    create(shape, normal, draw, device)
}

fn create<const D: usize>(
    shape: [usize; D],
    initializer: Initializer,
    draw: impl Fn(&mut ChaCha8Rng) -> f32,
    device: &Device,
) -> Param<Tensor<D>> {
    let drawn = GENERATOR.with_borrow_mut(|generator| {
        let rng = generator.as_mut()?;
        let count = shape.iter().product();
        Some((0..count).map(|_| draw(rng)).collect::<Vec<f32>>())
    });
    match drawn {
        Some(values) => {
            Param::from_tensor(Tensor::from_data(TensorData::new(values, shape), device))
        }
        None => initializer.init(shape, device),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ModelConfig, PixelIqn, PixelModel, weights::to_safetensors};

    #[test]
    fn a_seed_has_its_weights_in_every_thread() {
        let config = ModelConfig::tiny().with_classes(2);
        let weights = |seed| {
            let model = PixelIqn::init_seeded(&config, &Device::flex(), seed);
            to_safetensors(&model).unwrap()
        };
        let expected = weights(1);
        std::thread::scope(|scope| {
            let threads: Vec<_> = (0..4).map(|_| scope.spawn(|| weights(1))).collect();
            for thread in threads {
                assert!(thread.join().unwrap() == expected);
            }
        });
        assert!(weights(2) != expected);
        // Nothing is left for models without a seed.
        assert!(GENERATOR.with_borrow(Option::is_none));
    }

    #[test]
    fn weights_have_their_distributions() {
        let device = Device::flex();
        let moments = |param: Param<Tensor<1>>| {
            let values: Vec<f32> = param.val().into_data().try_to_vec().unwrap();
            let mean = values.iter().sum::<f32>() / 1e4;
            let square = values.iter().map(|x| x * x).sum::<f32>() / 1e4;
            (
                mean,
                square,
                values.iter().fold(0.0f32, |m, x| m.max(x.abs())),
            )
        };
        let (mean, square, largest) = seeded(0, || moments(uniform_fan_in([10_000], 4, &device)));
        // ±0.5, with variance 1/12; standard deviations of 0.003 and 0.0007.
        assert!(mean.abs() < 0.015 && (square - 1.0 / 12.0).abs() < 0.004 && largest < 0.5);
        let (mean, square, largest) = seeded(0, || moments(normal([10_000], &device)));
        assert!(mean.abs() < 0.05 && (square - 1.0).abs() < 0.07 && largest > 3.0);
    }
}

use std::time::Instant;

use burn::tensor::{Device, Distribution, Tensor};

/// Measures the floating-point operations per second of a matrix product in the float type of a
/// device, so that what a program reaches can be told as a fraction of it. Takes the best of six
/// products of square matrices, from 512
/// rows on as large as it takes for a fiftieth of a second, and of 8192 rows at most.
///
/// # Panics
///
/// Panics if the device fails.
pub fn product_rate(device: &Device) -> f64 {
    const REPEATS: usize = 6;
    const LONG: f64 = 0.02;
    const LARGEST: usize = 8192;
    let mut size = 512;
    loop {
        let matrix = || Tensor::<2>::random([size, size], Distribution::Uniform(-1.0, 1.0), device);
        let (a, b) = (matrix(), matrix());
        let seconds = (0..REPEATS).map(|_| {
            let start = Instant::now();
            // Reading one number waits for the product.
            let product = a.clone().matmul(b.clone()).slice([0..1, 0..1]);
            let _ = product.into_scalar::<f32>();
            start.elapsed().as_secs_f64()
        });
        let best = seconds.fold(f64::INFINITY, f64::min);
        if best >= LONG || size >= LARGEST {
            return 2.0 * (size as f64).powi(3) / best;
        }
        size *= 2;
    }
}

use burn::tensor::Device;
use pixel_iqn_train::{RunConfig, product_rate};

/// What a training reaches of what its device can do.
#[derive(Debug, Clone, Copy)]
pub(super) struct Arithmetic {
    /// Floating-point operations for an image.
    flops_per_image: f64,
    /// Floating-point operations per second of a large matrix product.
    product_rate: f64,
}

impl Arithmetic {
    /// Measures the device, which takes seconds where kernels are compiled first.
    pub fn measure(config: &RunConfig, device: &Device) -> Self {
        let [height, width] = config.data.size;
        Self {
            flops_per_image: (config.model.training_flops() * height * width) as f64,
            product_rate: product_rate(device),
        }
    }

    /// A line on the device.
    pub fn device(&self) -> String {
        let rate = self.product_rate / 1e12;
        format!("{rate:.2} TFLOP/s in a large matrix product")
    }

    /// What so many images per second are.
    pub fn note(&self, images_per_second: f64) -> String {
        let reached = self.flops_per_image * images_per_second;
        format!(
            " {:.2} TFLOP/s ({:.0}% of a matrix product)",
            reached / 1e12,
            100.0 * reached / self.product_rate
        )
    }
}

//! Inception v3, as FID, Inception score and KID are published with.

mod architecture;
mod cpu;
mod resize;
mod tensors;
mod weights;

use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_kernels::{Panels, Rows};
use rayon::prelude::*;
use serde::{Deserialize, Serialize};

use self::architecture::inception_v3;
use self::cpu::{CpuEngine, Map};
use self::resize::SIDE;
use self::tensors::TensorEngine;
pub use self::weights::InceptionWeights;
use crate::error::EvalError;
use crate::feature_origin::FeatureOrigin;
use crate::features::Features;

/// Features of the last pool.
const DIMS: usize = 2048;
/// Outputs of the classifier.
const CLASSES: usize = 1008;

/// How images are resized to 299 x 299 and scaled. Scores under the two are not comparable.
#[derive(Serialize, Deserialize, Debug, Clone, Copy, PartialEq, Eq, Default)]
#[serde(rename_all = "kebab-case")]
#[non_exhaustive]
pub enum Preprocessing {
    /// Does as torch-fidelity and the original TensorFlow code: bilinear without aligned corners or
    /// pixel centres, then `(x - 128) / 128`.
    #[default]
    TorchFidelity,
    /// Does as pytorch-fid: bilinear by pixel centres, then `2 x / 255 - 1`.
    PytorchFid,
}

impl Preprocessing {
    /// The program that does so.
    pub fn name(self) -> &'static str {
        match self {
            Self::TorchFidelity => "torch-fidelity",
            Self::PytorchFid => "pytorch-fid",
        }
    }
}

/// The network that FID, Inception score and KID are computed with.
///
/// ```no_run
/// use pixel_iqn_eval::{InceptionV3, InceptionWeights};
///
/// let weights = InceptionWeights::open("pt_inception-2015-12-05-6726825d.pth")?;
/// let network = InceptionV3::on_cpu(&weights);
/// let black = vec![0; 3 * 32 * 32];
/// let features = network.features(&black, [3, 32, 32])?;
/// assert_eq!(features.pool.dims(), 2048);
/// # Ok::<(), pixel_iqn_eval::EvalError>(())
/// ```
#[derive(Debug, Clone)]
pub struct InceptionV3 {
    engine: Hardware,
    /// The classifier without its bias, from features to classes.
    classifier: Panels,
    preprocessing: Preprocessing,
    /// The checksum of the weights.
    digest: String,
}

#[derive(Debug, Clone)]
enum Hardware {
    Cpu(CpuEngine),
    Device(TensorEngine),
}

/// The outputs of an [`InceptionV3`] for some images.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct InceptionFeatures {
    /// The features of the last pool, 2048 an image: for FID, KID, precision and recall.
    pub pool: Features,
    /// The logits of 1008 classes without their bias ("logits_unbiased" of torch-fidelity): for
    /// the Inception score.
    pub logits: Features,
}

impl InceptionV3 {
    /// The network on the CPU, by kernels of our own, an image on each thread.
    pub fn on_cpu(weights: &InceptionWeights) -> Self {
        Self::new(weights, Hardware::Cpu(CpuEngine::new(weights)))
    }

    /// The network on a device of Burn, a call's images in one batch.
    pub fn on_device(weights: &InceptionWeights, device: &Device) -> Self {
        Self::new(
            weights,
            Hardware::Device(TensorEngine::new(weights, device)),
        )
    }

    fn new(weights: &InceptionWeights, engine: Hardware) -> Self {
        let classifier = &weights.classifier;
        Self {
            engine,
            classifier: Panels::new([1, DIMS, CLASSES], |k, n| classifier[n * DIMS + k]),
            preprocessing: Preprocessing::default(),
            digest: weights.digest(),
        }
    }

    /// Changes how images are resized and scaled.
    pub fn with_preprocessing(mut self, preprocessing: Preprocessing) -> Self {
        self.preprocessing = preprocessing;
        self
    }

    /// How this network computes features.
    pub fn origin(&self) -> FeatureOrigin {
        FeatureOrigin::new(self.preprocessing, &*self.digest)
    }

    /// The features of one or more images.
    ///
    /// # Shapes
    ///
    /// - `images`: `[count, channels, height, width]`, levels of 0 to 255
    /// - `shape`: channels, 3 or 1, height and width
    ///
    /// # Errors
    ///
    /// [`EvalError::Shape`] for other channels, no pixels, or images that do not divide into the
    /// shape, and [`EvalError::Device`] where the device failed.
    pub fn features(
        &self,
        images: &[u8],
        shape: [usize; 3],
    ) -> Result<InceptionFeatures, EvalError> {
        let [channels, height, width] = shape;
        let length = channels * height * width;
        if !matches!(channels, 1 | 3) || length == 0 || !images.len().is_multiple_of(length) {
            return Err(EvalError::Shape(format!(
                "{} bytes are no images of {channels} x {height} x {width} with 1 or 3 channels",
                images.len()
            )));
        }
        let prepared = images
            .par_chunks_exact(length)
            .map(|image| self.preprocessing.apply(image, shape));
        let pool: Vec<f32> = match &self.engine {
            Hardware::Cpu(engine) => prepared
                .flat_map_iter(|data| {
                    let image = Map {
                        data,
                        size: [SIDE, SIDE],
                        channels: 3,
                    };
                    inception_v3(engine, &image).mean()
                })
                .collect(),
            Hardware::Device(engine) => {
                let data: Vec<f32> = prepared.flat_map_iter(|image| image).collect();
                let shape = [images.len() / length, SIDE, SIDE, 3];
                let x = Tensor::<4>::from_data(TensorData::new(data, shape), &engine.device);
                let maps = inception_v3(engine, &x.permute([0, 3, 1, 2]));
                let pool = maps.mean_dim(3).mean_dim(2).try_into_data()?;
                pool.iter().collect()
            }
        };
        let logits = self.classify(&pool);
        Ok(InceptionFeatures {
            pool: Features::new(pool, DIMS)?,
            logits: Features::new(logits, CLASSES)?,
        })
    }

    fn classify(&self, pool: &[f32]) -> Vec<f32> {
        let mut logits = vec![0.0; pool.len() / DIMS * CLASSES];
        logits
            .par_chunks_mut(CLASSES * 8)
            .zip(pool.par_chunks(DIMS * 8))
            .for_each(|(logits, pool)| {
                let rows = pool.len() / DIMS;
                let x = Rows {
                    data: pool,
                    stride: DIMS,
                };
                self.classifier.accumulate(x, logits, CLASSES, rows);
            });
        logits
    }
}

#[cfg(test)]
mod tests {
    use super::weights::tests::formula;
    use super::*;

    fn images(count: usize) -> Vec<u8> {
        (0..count * 3 * 6 * 5)
            .map(|i| (i * i % 251) as u8)
            .collect()
    }

    /// The largest difference relative to the largest value.
    fn difference(a: &Features, b: &Features) -> f32 {
        let largest = a.data().iter().fold(0.0f32, |max, x| max.max(x.abs()));
        let differences = a.data().iter().zip(b.data()).map(|(a, b)| (a - b).abs());
        differences.fold(0.0, f32::max) / largest
    }

    #[test]
    fn both_engines_agree_and_images_are_apart() {
        let weights = formula();
        let images = images(2);
        for preprocessing in [Preprocessing::TorchFidelity, Preprocessing::PytorchFid] {
            let cpu = InceptionV3::on_cpu(&weights).with_preprocessing(preprocessing);
            let burn =
                InceptionV3::on_device(&weights, &Device::flex()).with_preprocessing(preprocessing);
            let ours = cpu.features(&images, [3, 6, 5]).unwrap();
            let theirs = burn.features(&images, [3, 6, 5]).unwrap();
            assert_eq!(ours.pool.len(), 2);
            assert!(difference(&ours.pool, &theirs.pool) < 1e-5);
            assert!(difference(&ours.logits, &theirs.logits) < 1e-5);
            let second = cpu.features(&images[90..], [3, 6, 5]).unwrap();
            assert_eq!(second.pool.row(0), ours.pool.row(1));
            assert!(
                difference(
                    &second.pool,
                    &cpu.features(&images[..90], [3, 6, 5]).unwrap().pool
                ) > 1e-3
            );
        }
    }

    /// From torch-fidelity 0.4.0 and pytorch-fid 0.3.0 in double precision, with what
    /// `xtask/src/eval_reference.py` defines:
    ///
    /// ```python
    /// x = (np.arange(2 * 3 * 32 * 32) ** 2 % 251).astype(np.uint8).reshape(2, 3, 32, 32)
    /// x = torch.from_numpy(x)
    /// pool, logits = extractor(["2048", "logits_unbiased"], "float64")(x)
    /// other = pytorch_fid_network().double()(x.double() / 255)[0][:, :, 0, 0]
    /// for t in [pool, logits, other]:
    ///     print(t[:, ::400][:, :5], t.double().mean(1), t.double().pow(2).mean().sqrt())
    /// ```
    #[test]
    fn features_are_those_of_torch_fidelity_and_pytorch_fid() {
        /// Features 0, 400, ... of both images, the means of all of each, and the root mean square.
        struct Expected([Vec<f64>; 2], [f64; 2], f64);
        let pool = Expected(
            [
                vec![0.276079, 1.320806, 4.587229, 1.300133, 0.865402],
                vec![0.258159, 1.296256, 4.604603, 1.263894, 0.844333],
            ],
            [1.2047738, 1.2088992],
            2.0102,
        );
        let logits = Expected(
            [
                vec![-2.179855, -1.917441, -2.883432],
                vec![-2.222686, -1.918406, -2.888099],
            ],
            [0.0610434, 0.0611084],
            2.9210,
        );
        let pytorch_fid = Expected(
            [
                vec![0.281860, 1.284042, 4.543971, 1.290364, 0.861114],
                vec![0.248020, 1.265205, 4.612903, 1.246347, 0.844361],
            ],
            [1.2023950, 1.2061812],
            2.0061,
        );
        let check = |features: &Features, expected: &Expected| {
            let Expected(rows, means, scale) = expected;
            for image in 0..2 {
                let row = features.row(image);
                let mean = row.iter().map(|x| f64::from(*x)).sum::<f64>() / row.len() as f64;
                let found = row.iter().step_by(400).map(|x| f64::from(*x));
                let pairs = found.zip(rows[image].iter().copied());
                for (found, expected) in pairs.chain([(mean, means[image])]) {
                    let difference = (found - expected).abs() / scale;
                    assert!(difference < 1e-5, "{found} and {expected}");
                }
            }
        };
        let images: Vec<u8> = (0..2 * 3 * 32 * 32).map(|i| (i * i % 251) as u8).collect();
        let network = InceptionV3::on_cpu(&formula());
        let found = network.features(&images, [3, 32, 32]).unwrap();
        check(&found.pool, &pool);
        check(&found.logits, &logits);
        let network = network.with_preprocessing(Preprocessing::PytorchFid);
        let found = network.features(&images, [3, 32, 32]).unwrap();
        check(&found.pool, &pytorch_fid);
    }

    #[test]
    fn other_weights_and_another_resizing_are_another_origin() {
        let weights = formula();
        let origin = InceptionV3::on_cpu(&weights).origin();
        let burn = InceptionV3::on_device(&weights, &Device::flex());
        assert_eq!(burn.origin(), origin);
        let resized = burn.with_preprocessing(Preprocessing::PytorchFid).origin();
        assert_eq!(resized.network, origin.network);
        assert_ne!(resized, origin);
        let mut other = weights;
        other.classifier[7] += 1.0;
        assert_ne!(InceptionV3::on_cpu(&other).origin(), origin);
    }

    #[test]
    fn what_is_no_image_is_refused() {
        let network = InceptionV3::on_cpu(&formula());
        for (bytes, shape) in [(8, [2, 2, 2]), (13, [3, 2, 2]), (0, [3, 0, 2])] {
            let error = network.features(&vec![0; bytes], shape).unwrap_err();
            assert!(matches!(error, EvalError::Shape(_)), "{error}");
        }
        assert!(network.features(&[], [3, 2, 2]).unwrap().pool.is_empty());
    }
}

use burn::tensor::{Device, Int, Tensor};

/// What a step, or a part of a step, is trained on: images, the values to predict, and everything
/// random, drawn.
///
/// A [`TrainBatcher`](crate::TrainBatcher) makes it for one of Burn's data loaders.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct TrainBatch {
    /// What the model reads, `[batch, channels, height, width]`, in [0, 1].
    pub images: Tensor<4>,
    /// The values to predict, `[taus * batch, channels, height, width]`: the images once for each
    /// tau, spread over their intensity level where the config says so.
    pub targets: Tensor<4>,
    /// The quantile level of each target, in (0, 1).
    pub tau: Tensor<4>,
    /// The class of each image, `[batch]`, for a class-conditional model; the number of classes for
    /// an image whose label was dropped.
    pub labels: Option<Tensor<1, Int>>,
    /// The fraction of the step's images that these are, in (0, 1].
    pub weight: f64,
    /// The number of this part of the step, counted from 0.
    pub part: usize,
}

impl TrainBatch {
    /// Moves the tensors.
    pub(crate) fn moved_to(self, device: &Device) -> Self {
        Self {
            images: self.images.to_device(device),
            targets: self.targets.to_device(device),
            tau: self.tau.to_device(device),
            labels: self.labels.map(|labels| labels.to_device(device)),
            ..self
        }
    }
}

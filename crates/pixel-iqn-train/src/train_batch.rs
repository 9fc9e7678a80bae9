use burn::tensor::{Device, Int, Tensor};
use pixel_iqn_core::{Conditions, Order};

/// What a step, or a part of a step, is trained on: images, the values to predict, and everything
/// random, drawn. Images, targets and tau are [reordered](Order::reorder).
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
    /// The generation order, which all parts of a step share.
    pub order: Order,
    /// The fraction of the step's images that these are, in (0, 1].
    pub weight: f64,
    /// The number of this part of the step, counted from 0.
    pub part: usize,
}

impl TrainBatch {
    /// What the model is told of the images besides their values.
    pub fn conditions(&self) -> Conditions<'_> {
        Conditions::new(self.labels.as_ref()).with_order(self.order)
    }

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

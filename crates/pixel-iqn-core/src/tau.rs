use burn::config::Config;
use burn::module::{Module, Param};
use burn::tensor::activation::relu;
use burn::tensor::{Device, Tensor, assert_shape};

use crate::draw::uniform_fan_in;
use crate::lower::{self, Lowering, ReceptiveField};

/// The configuration of a [`TauEmbedding`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct TauEmbeddingConfig {
    /// The number of cosines `n`; 64 in Dabney et al. 2018.
    #[config(default = 64)]
    pub cosines: usize,
    /// The number of features `E` of the embedding.
    #[config(default = 64)]
    pub features: usize,
}

/// The quantile embedding `phi(tau) = ReLU(W cos(pi i tau) + b)`, `i = 0 .. n - 1` (Dabney et
/// al., "Implicit Quantile Networks", 2018, equation 4).
///
/// Should be created with [`TauEmbeddingConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct TauEmbedding {
    /// The linear layer from the cosines to the features.
    pub linear: TauLinear,
    #[module(skip)]
    pub(crate) lowering: Lowering,
}

/// The linear layer of a [`TauEmbedding`], in PyTorch's layout.
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct TauLinear {
    /// The weights, `[features, cosines]`.
    pub weight: Param<Tensor<2>>,
    /// The biases, `[features]`.
    pub bias: Param<Tensor<1>>,
}

impl TauEmbeddingConfig {
    /// Creates the layer.
    pub fn init(&self, device: &Device) -> TauEmbedding {
        TauEmbedding {
            linear: TauLinear {
                weight: uniform_fan_in([self.features, self.cosines], self.cosines, device),
                bias: uniform_fan_in([self.features], self.cosines, device),
            },
            lowering: Lowering::default(),
        }
    }
}

impl TauEmbedding {
    /// Embeds quantile levels.
    ///
    /// # Shapes
    ///
    /// - `tau`: `[.., 1]`, in (0, 1)
    /// - output: `[.., features]`
    ///
    /// # Panics
    ///
    /// Panics if the last axis of `tau` is not 1.
    pub fn forward<const D: usize>(&self, tau: Tensor<D>) -> Tensor<D> {
        let weight = self.linear.weight.val();
        let [features, cosines] = weight.dims();
        let mut shape = tau.dims();
        let positions = shape.iter().product::<usize>();
        assert_eq!(shape[D - 1], 1, "tau must be [.., 1], not {shape:?}");
        shape[D - 1] = features;

        let cosines = lower::cosines(tau.reshape([positions, 1]), cosines);
        let phi = lower::convolve(
            cosines.unsqueeze_dims(&[0, 0]),
            weight.unsqueeze_dims(&[2, 3]),
            None,
            ReceptiveField::POINT,
            Some(self.linear.bias.val().unsqueeze()),
            None,
            self.lowering,
        );
        relu(phi).reshape(shape)
    }

    /// Embeds the quantile levels of all values of a batch of images.
    ///
    /// # Shapes
    ///
    /// - `tau`: `[batch, channels, height, width]`, in (0, 1)
    /// - output: `[channels, batch * height * width, features]`
    pub fn forward_images(&self, tau: Tensor<4>) -> Tensor<3> {
        let [batch, channels, height, width] = tau.dims();
        let tau = tau.swap_dims(0, 1);
        self.forward(tau.reshape([channels, batch * height * width, 1]))
    }
}

/// The configuration of a [`TauProjection`].
#[derive(Config, Debug)]
#[non_exhaustive]
pub struct TauProjectionConfig {
    /// The number of features `E` of the quantile embedding.
    pub tau_features: usize,
    /// The number of features `F` of each gate half.
    pub features: usize,
    /// The number of channel groups `C`.
    pub groups: usize,
}

/// A linear layer without bias that maps the quantile embedding of channel
/// `c` to both gate halves of feature group `c`.
///
/// Should be created with [`TauProjectionConfig`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct TauProjection {
    /// The weights, `[2, features, tau_features]`, for each gate half, feature and embedding
    /// feature.
    pub weight: Param<Tensor<3>>,
    /// The number of channel groups.
    groups: usize,
}

impl TauProjectionConfig {
    /// Creates the layer.
    ///
    /// # Panics
    ///
    /// Panics if the features do not divide into the groups.
    pub fn init(&self, device: &Device) -> TauProjection {
        assert!(
            self.features.is_multiple_of(self.groups),
            "{} features must divide into {} group(s)",
            self.features,
            self.groups
        );
        let shape = [2, self.features, self.tau_features];
        TauProjection {
            weight: uniform_fan_in(shape, self.tau_features, device),
            groups: self.groups,
        }
    }
}

impl TauProjection {
    /// Computes the weights as one matrix product per group, each with its two gate halves side by
    /// side.
    ///
    /// # Shapes
    ///
    /// - output: `[groups, tau_features, 2 * features / groups]`
    pub fn matrices(&self) -> Tensor<3> {
        let weight = self.weight.val();
        let [_, features, embedding] = weight.dims();
        let group = features / self.groups;
        weight
            .reshape([2, self.groups, group, embedding])
            .permute([1, 3, 0, 2])
            .reshape([self.groups, embedding, 2 * group])
    }

    /// Applies the projection with the groups first in the output, and the two gate halves of each
    /// group side by side.
    ///
    /// # Shapes
    ///
    /// - `phi`: `[groups, positions, tau_features]`
    /// - output: `[groups, positions, 2 * features / groups]`
    ///
    /// # Panics
    ///
    /// Panics if the groups or features of `phi` are not those of the layer.
    pub fn forward_groups(&self, phi: Tensor<3>) -> Tensor<3> {
        let matrices = self.matrices();
        let [groups, embedding, _] = matrices.dims();
        assert_shape!(phi, [groups, _, embedding]);
        phi.matmul(matrices)
    }

    /// Applies the projection with the output in the order of a feature map: gate half, group,
    /// feature.
    ///
    /// # Shapes
    ///
    /// - `phi`: `[groups, positions, tau_features]`
    /// - output: `[positions, 2 * features]`
    ///
    /// # Panics
    ///
    /// Panics if the groups or features of `phi` are not those of the layer.
    pub fn forward(&self, phi: Tensor<3>) -> Tensor<2> {
        let ([_, positions, _], [_, features, _]) = (phi.dims(), self.weight.dims());
        let zero = Tensor::zeros([1, 1, positions, 2 * features], &phi.device());
        self.forward_onto(phi, zero).flatten::<2>(0, 2)
    }

    /// Applies the projection and adds it to `base`, `[batch, height, width, 2 * features]`.
    pub(crate) fn forward_onto(&self, phi: Tensor<3>, base: Tensor<4>) -> Tensor<4> {
        let weight = self.weight.val();
        let ([_, _, embedding], groups) = (weight.dims(), self.groups);
        assert_shape!(phi, [groups, _, embedding]);
        lower::project_tau(base, phi, weight)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use burn::tensor::Tolerance;

    #[test]
    fn embedding_is_its_formula() {
        let device = Device::flex();
        let layer = TauEmbeddingConfig::new()
            .with_cosines(5)
            .with_features(24)
            .init(&device);
        let weight: Vec<f32> = layer.linear.weight.val().to_data().try_to_vec().unwrap();
        let bias: Vec<f32> = layer.linear.bias.val().to_data().try_to_vec().unwrap();
        let taus = [0.1f32, 0.5, 0.97];
        let expected: Vec<f32> = taus
            .iter()
            .flat_map(|tau| {
                weight.chunks(5).zip(&bias).map(move |(row, bias)| {
                    let sum: f32 = row
                        .iter()
                        .enumerate()
                        .map(|(i, w)| w * (core::f32::consts::PI * i as f32 * tau).cos())
                        .sum();
                    (sum + bias).max(0.0)
                })
            })
            .collect();
        assert!(expected.iter().any(|&x| x > 0.0));
        let tau = Tensor::<1>::from_data(taus, &device).reshape([1, 3, 1]);
        layer.forward(tau).to_data().assert_approx_eq::<f32>(
            &Tensor::<1>::from_data(expected.as_slice(), &device)
                .reshape([1, 3, 24])
                .to_data(),
            Tolerance::absolute(1e-6),
        );
    }

    #[test]
    fn projection_reaches_its_own_group_alone() {
        let device = Device::flex();
        let layer = TauProjectionConfig::new(2, 6, 3).init(&device);
        let phi =
            Tensor::<1>::from_data([0.0, 0.0, 1.0, 1.0, 0.0, 0.0], &device).reshape([3, 1, 2]);
        let y: Vec<f32> = layer.forward(phi).to_data().try_to_vec().unwrap();
        let reached: Vec<usize> = (0..12).filter(|&i| y[i] != 0.0).collect();
        // Group 1 of 2 features, in each half of 6.
        assert_eq!(reached, [2, 3, 8, 9]);
    }
}

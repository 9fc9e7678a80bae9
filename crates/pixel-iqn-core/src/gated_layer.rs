use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::conv::{HorizontalConv, HorizontalConvConfig, VerticalConv, VerticalConvConfig};
use crate::label::{LabelEmbedding, LabelEmbeddingConfig};
use crate::lower::{self, Lowering, ReceptiveField};
use crate::output::Output;
use crate::pointwise::{MaskedPointwise, Pointwise, PointwiseConfig};
use crate::tau::{TauProjection, TauProjectionConfig};

/// `tanh(a) * sigmoid(b)` of the two halves of the last axis (van den Oord et al. 2016,
/// equation 2).
///
/// # Shapes
///
/// - `x`: `[.., 2 * features]`
/// - output: `[.., features]`
pub fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    lower::gate(x)
}

/// What the gates of every layer are conditioned on besides the values before a position.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Conditions<'a> {
    /// The embedding of every value's tau, `[channels, batch * height * width, tau_features]`, for a
    /// model with [`Output::Gates`].
    pub phi: Option<&'a Tensor<3>>,
    /// The class of every image, `[batch]`, for a class-conditional model; the number of classes
    /// stands for no class.
    pub labels: Option<&'a Tensor<1, Int>>,
}

impl<'a> Conditions<'a> {
    /// Conditions on classes alone, or on nothing.
    pub fn new(labels: Option<&'a Tensor<1, Int>>) -> Self {
        Self { phi: None, labels }
    }

    /// Adds the embedding of tau.
    pub fn with_phi(self, phi: &'a Tensor<3>) -> Self {
        Self {
            phi: Some(phi),
            ..self
        }
    }
}

/// One layer of Gated PixelCNN (van den Oord et al. 2016, figure 2).
///
/// A vertical stack `v`, which sees the rows up to its own, and a horizontal stack `h`, which
/// sees the current row up to its own pixel and takes from the vertical stack what lies above.
/// Labels (equation 4) and tau, in the place of the location-dependent conditioning (equation 5),
/// are added before the gates.
///
/// Created by [`GatedLayer::new`].
#[derive(Module, Debug)]
pub struct GatedLayer {
    /// Features to both gate halves of the vertical stack.
    pub vertical: VerticalConv,
    /// Features to both gate halves of the horizontal stack.
    pub horizontal: HorizontalConv,
    /// From the vertical stack before its gate, one row above, to the horizontal one.
    pub vertical_to_horizontal: Pointwise,
    /// From the gated features to the horizontal stack.
    pub output: MaskedPointwise,
    /// From the quantile embedding to both gate halves;
    /// [`Output::Gates`] only.
    pub tau: Option<TauProjection>,
    /// Class biases of the vertical stack; class-conditional models only.
    pub label_vertical: Option<LabelEmbedding>,
    /// Class biases of the horizontal stack; class-conditional models only.
    pub label_horizontal: Option<LabelEmbedding>,
    /// Whether this is the input layer: it reads the image, and has no residual connection.
    first: bool,
}

impl GatedLayer {
    /// Creates a layer; `first` for the one that reads the image.
    ///
    /// # Panics
    ///
    /// Panics if `config` is invalid.
    pub fn new(config: &ModelConfig, first: bool, device: &Device) -> Self {
        config.expect_valid();
        let (features, groups) = (config.features, config.channels);
        let (input, kernel) = if first {
            (config.channels, config.input_kernel)
        } else {
            (features, config.kernel)
        };
        let labels = || {
            let labels = LabelEmbeddingConfig::new(config.classes, 2 * features);
            (config.classes > 0).then(|| labels.init(device))
        };
        Self {
            vertical: VerticalConvConfig::new([input, 2 * features], kernel).init(device),
            horizontal: HorizontalConvConfig::new([input, 2 * features], kernel, groups)
                .with_first(first)
                .init(device),
            vertical_to_horizontal: PointwiseConfig::new([2 * features, 2 * features]).init(device),
            output: PointwiseConfig::new([features, features]).init_masked(groups, device),
            tau: match config.output {
                Output::Gates { tau_features, .. } => {
                    Some(TauProjectionConfig::new(tau_features, features, groups).init(device))
                }
                _ => None,
            },
            label_vertical: labels(),
            label_horizontal: labels(),
            first,
        }
    }

    /// Whether this is the input layer, which reads the image under mask A.
    pub fn is_first(&self) -> bool {
        self.first
    }

    /// # Shapes
    ///
    /// - `v`, `h`: `[batch, height, width, features]`, of the image's channels in the first layer
    /// - output: `v` and `h`, both `[batch, height, width, features]`
    ///
    /// # Panics
    ///
    /// Panics if a condition is missing that the layer needs, or if a shape is wrong.
    pub fn forward(
        &self,
        v: Tensor<4>,
        h: Tensor<4>,
        Conditions { phi, labels }: Conditions<'_>,
    ) -> (Tensor<4>, Tensor<4>) {
        // One tensor takes up all that is added before a gate, bias first.
        let bias = with_label(self.vertical.bias.val(), &self.label_vertical, labels);
        let v_in = self.vertical.forward_onto(v, bias);
        let bias = self.horizontal.bias.val() + self.vertical_to_horizontal.bias.val();
        let bias = with_label(bias, &self.label_horizontal, labels);
        let above = &self.vertical_to_horizontal;
        let above = above.forward_at(v_in.clone(), ReceptiveField::ABOVE, bias);
        let mut h_in = self.horizontal.forward_onto(h.clone(), None, Some(above));
        if let Some(tau) = &self.tau {
            let phi = phi.expect("this model needs tau: give it to the forward pass");
            h_in = tau.forward_onto(phi.clone(), h_in);
        }
        let residual = (!self.first).then_some(h);
        (gate(v_in), self.output.forward_onto(gate(h_in), residual))
    }

    pub(crate) fn set_lowering(&mut self, lowering: Lowering) {
        self.vertical.lowering = lowering;
        self.horizontal.lowering = lowering;
        self.vertical_to_horizontal.lowering = lowering;
        self.output.lowering = lowering;
    }
}

/// A bias and that of each image's class, where the layer has one: `[1, features]` or
/// `[batch, features]`.
pub(crate) fn with_label(
    bias: Tensor<1>,
    embedding: &Option<LabelEmbedding>,
    labels: Option<&Tensor<1, Int>>,
) -> Tensor<2> {
    let bias = bias.unsqueeze();
    let Some(embedding) = embedding else {
        return bias;
    };
    let labels = labels.expect("this model is class-conditional: give it labels");
    bias + embedding.forward(labels.clone()).flatten::<2>(1, 3)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gate_is_its_formula() {
        let device = Device::flex();
        let x = Tensor::<2>::from_data([[0.5, -2.0, 1.0, 0.0]], &device);
        let y: Vec<f32> = gate(x).to_data().try_to_vec().unwrap();
        let expected = [(0.5f32, 1.0f32), (-2.0, 0.0)].map(|(a, b)| a.tanh() / (1.0 + (-b).exp()));
        for (y, expected) in y.iter().zip(expected) {
            assert!((y - expected).abs() < 1e-6, "{y} {expected}");
        }
    }

    #[test]
    #[should_panic = "this model is class-conditional"]
    fn labels_are_required() {
        let device = Device::flex();
        let layer = GatedLayer::new(&ModelConfig::tiny().with_classes(2), true, &device);
        let x = Tensor::zeros([1, 2, 2, 3], &device);
        layer.forward(x.clone(), x, Conditions::default());
    }
}

use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::conv::{HorizontalConv, HorizontalConvConfig, VerticalConv, VerticalConvConfig};
use crate::label::{LabelEmbedding, LabelEmbeddingConfig};
use crate::lower::{self, Lowering, ReceptiveField};
use crate::output::Output;
use crate::pointwise::{MaskedPointwise, Pointwise, PointwiseConfig};
use crate::tau::{TauProjection, TauProjectionConfig};

/// Applies the gate `tanh(a) * sigmoid(b)` to the two halves of the last axis (van den Oord et al.
/// 2016, equation 2).
///
/// # Shapes
///
/// - `x`: `[.., 2 * features]`
/// - output: `[.., features]`
pub(crate) fn gate<const D: usize>(x: Tensor<D>) -> Tensor<D> {
    lower::gate(x)
}

/// The conditions that enter the gates of every layer besides the values before a position.
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Conditions<'a> {
    /// The embedding of every value's tau, `[channels, batch * height * width, tau_features]`, for
    /// a model with [`Output::Gates`].
    pub phi: Option<&'a Tensor<3>>,
    /// The class of every image, `[batch]`, for a class-conditional model; a label equal to the
    /// number of classes stands for no class.
    pub labels: Option<&'a Tensor<1, Int>>,
}

impl<'a> Conditions<'a> {
    /// Creates conditions with classes alone, or with none.
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

/// A layer of Gated PixelCNN (van den Oord et al. 2016, figure 2).
///
/// It has a vertical stack `v`, which reads the rows up to its own, and a horizontal stack `h`,
/// which reads the current row up to its own pixel and takes the rows above from the vertical
/// stack. Conditions are added before the gates: labels (equation 4), and tau in place of the
/// location-dependent conditioning (equation 5).
///
/// Created by [`GatedLayer::new`].
#[derive(Module, Debug)]
#[non_exhaustive]
pub struct GatedLayer {
    /// The convolution of the vertical stack, to both halves of its gates.
    pub vertical: VerticalConv,
    /// The convolution of the horizontal stack, to both halves of its gates.
    pub horizontal: HorizontalConv,
    /// The 1x1 convolution from the vertical stack before its gate, one row above, to the gates of
    /// the horizontal stack.
    pub vertical_to_horizontal: Pointwise,
    /// The 1x1 convolution from the gated features to the output of the horizontal stack.
    pub output: MaskedPointwise,
    /// The projection of the quantile embedding to both halves of the horizontal gates, in a model
    /// with [`Output::Gates`].
    pub tau: Option<TauProjection>,
    /// The class biases of the vertical stack, in a class-conditional model.
    pub label_vertical: Option<LabelEmbedding>,
    /// The class biases of the horizontal stack, in a class-conditional model.
    pub label_horizontal: Option<LabelEmbedding>,
    /// Whether this is the input layer, which reads the image and has no residual connection.
    first: bool,
}

impl GatedLayer {
    /// Creates a layer. `first` says whether it is the input layer, which reads the image.
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

    /// Applies the layer to both stacks.
    ///
    /// # Shapes
    ///
    /// - `v`, `h`: `[batch, height, width, features]`, or `[batch, height, width, channels]` for
    ///   the input layer
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
        // Everything that a gate reads is added up in one tensor, the bias first.
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

    /// Sets how the convolutions become operations of the backend.
    pub(crate) fn set_lowering(&mut self, lowering: Lowering) {
        self.vertical.lowering = lowering;
        self.horizontal.lowering = lowering;
        self.vertical_to_horizontal.lowering = lowering;
        self.output.lowering = lowering;
    }
}

/// Adds the bias of each image's class to the bias of a layer.
///
/// # Shapes
///
/// - `bias`: `[features]`
/// - `labels`: `[batch]`
/// - output: `[batch, features]`, or `[1, features]` for a layer without class biases
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

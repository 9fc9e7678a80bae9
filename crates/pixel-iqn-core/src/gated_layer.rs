use burn::module::Module;
use burn::tensor::{Device, Int, Tensor};

use crate::config::ModelConfig;
use crate::conv::{HorizontalConv, HorizontalConvConfig, VerticalConv, VerticalConvConfig};
use crate::label::{LabelEmbedding, LabelEmbeddingConfig};
use crate::lower::{self, Lowering, ReceptiveField};
use crate::order::Order;
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

/// What a model is told besides the values before a position: the classes of the images and their
/// generation order.
///
/// Labels alone are converted to it, in raster order:
///
/// ```
/// use burn::tensor::{Device, Int, Tensor};
/// use pixel_iqn_core::{Conditions, Order};
///
/// let labels = Tensor::<1, Int>::from_data([3, 1], &Device::flex());
/// let conditions = Conditions::from(Some(&labels)).with_order(Order::new(2).unwrap());
/// assert_eq!(Conditions::default().order, Order::RASTER);
/// # assert_eq!(conditions.order.index(), 2);
/// ```
#[derive(Debug, Clone, Copy, Default)]
#[non_exhaustive]
pub struct Conditions<'a> {
    /// The class of every image, `[batch]`, for a class-conditional model; a label equal to the
    /// number of classes stands for no class.
    pub labels: Option<&'a Tensor<1, Int>>,
    /// The order in which the values are generated.
    pub order: Order,
}

impl<'a> Conditions<'a> {
    /// Creates conditions with classes alone, or with none, in raster order.
    pub fn new(labels: Option<&'a Tensor<1, Int>>) -> Self {
        Self {
            labels,
            order: Order::RASTER,
        }
    }

    /// Sets the generation order.
    pub fn with_order(self, order: Order) -> Self {
        Self { order, ..self }
    }
}

impl<'a> From<Option<&'a Tensor<1, Int>>> for Conditions<'a> {
    fn from(labels: Option<&'a Tensor<1, Int>>) -> Self {
        Self::new(labels)
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
    /// The biases of the generation orders for the vertical stack, in a model of several.
    pub order_vertical: Option<LabelEmbedding>,
    /// The biases of the generation orders for the horizontal stack, in a model of several.
    pub order_horizontal: Option<LabelEmbedding>,
    /// Whether this is the input layer, which reads the image and has no residual connection.
    first: bool,
}

impl GatedLayer {
    /// Creates layer `index` of a model, counted from 0, which is the input layer.
    ///
    /// # Panics
    ///
    /// Panics if `config` is invalid.
    pub fn new(config: &ModelConfig, index: usize, device: &Device) -> Self {
        config.expect_valid();
        let (first, dilation) = (index == 0, config.dilation(index));
        let (features, groups) = (config.features, config.channels);
        let (input, kernel) = if first {
            (config.channels, config.input_kernel)
        } else {
            (features, config.kernel)
        };
        let embedding = |count| LabelEmbeddingConfig::new(count, 2 * features).init(device);
        let labels = || (config.classes > 0).then(|| embedding(config.classes));
        let orders = || (config.orders > 1).then(|| embedding(config.orders));
        Self {
            vertical: VerticalConvConfig::new([input, 2 * features], kernel)
                .with_dilation(dilation)
                .init(device),
            horizontal: HorizontalConvConfig::new([input, 2 * features], kernel, groups)
                .with_first(first)
                .with_dilation(dilation)
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
            order_vertical: orders(),
            order_horizontal: orders(),
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
    ///   the input layer, in the raster of the order
    /// - `phi`: `[channels, batch * height * width, tau_features]`, the embedding of every value's
    ///   tau, for a model with [`Output::Gates`]
    /// - output: `v` and `h`, both `[batch, height, width, features]`
    ///
    /// # Panics
    ///
    /// Panics if a condition is missing that the layer needs, or if a shape is wrong.
    pub fn forward(
        &self,
        v: Tensor<4>,
        h: Tensor<4>,
        conditions: Conditions<'_>,
        phi: Option<&Tensor<3>>,
    ) -> (Tensor<4>, Tensor<4>) {
        // Everything that a gate reads is added up in one tensor, the bias first.
        let v_in = self
            .vertical
            .forward_onto(v, self.vertical_bias(conditions));
        let bias = self.horizontal_bias(conditions);
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

    /// The bias of the vertical stack, with those of the classes and the order:
    /// `[batch, 2 * features]`, or `[1, 2 * features]` without classes.
    pub(crate) fn vertical_bias(&self, Conditions { labels, order }: Conditions<'_>) -> Tensor<2> {
        let bias = with_order(self.vertical.bias.val(), &self.order_vertical, order);
        with_label(bias, &self.label_vertical, labels)
    }

    /// The bias of the horizontal stack and of the rows above together, with those of the classes and
    /// the order. The shape is that of [`vertical_bias`](Self::vertical_bias).
    pub(crate) fn horizontal_bias(
        &self,
        Conditions { labels, order }: Conditions<'_>,
    ) -> Tensor<2> {
        let bias = self.horizontal.bias.val() + self.vertical_to_horizontal.bias.val();
        let bias = with_order(bias, &self.order_horizontal, order);
        with_label(bias, &self.label_horizontal, labels)
    }

    /// Sets how the convolutions become operations of the backend.
    pub(crate) fn set_lowering(&mut self, lowering: Lowering) {
        self.vertical.lowering = lowering;
        self.horizontal.lowering = lowering;
        self.vertical_to_horizontal.lowering = lowering;
        self.output.lowering = lowering;
    }
}

/// Adds the bias of a generation order to the bias of a layer, `[features]`.
fn with_order(bias: Tensor<1>, embedding: &Option<LabelEmbedding>, order: Order) -> Tensor<1> {
    match embedding {
        Some(embedding) => bias + embedding.of_order(order),
        None => {
            let message = "this model has one generation order, raster order";
            assert!(
                order == Order::RASTER,
                "{message}, not one of index {order}"
            );
            bias
        }
    }
}

/// Adds the bias of each image's class to the bias of a layer.
///
/// # Shapes
///
/// - `bias`: `[features]`
/// - `labels`: `[batch]`
/// - output: `[batch, features]`, or `[1, features]` for a layer without class biases
fn with_label(
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
        let layer = GatedLayer::new(&ModelConfig::tiny().with_classes(2), 0, &device);
        let x = Tensor::zeros([1, 2, 2, 3], &device);
        layer.forward(x.clone(), x, Conditions::default(), None);
    }

    #[test]
    #[should_panic = "one generation order, raster order, not one of index 3"]
    fn an_order_that_the_model_does_not_know_is_refused() {
        let device = Device::flex();
        let layer = GatedLayer::new(&ModelConfig::tiny(), 0, &device);
        let x = Tensor::zeros([1, 2, 2, 3], &device);
        let conditions = Conditions::default().with_order(Order::new(3).unwrap());
        layer.forward(x.clone(), x, conditions, None);
    }
}

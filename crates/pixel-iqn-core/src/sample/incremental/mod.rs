//! Incremental sampling on Burn tensors, which computes every feature once.

#[cfg(feature = "cube")]
mod gpu;
mod run;
mod weights;

use burn::tensor::Device;
use pixel_iqn_loss::Knots;

use crate::any_model::AnyModel;
use crate::config::ModelConfig;
use crate::gated_pixel_cnn::GatedPixelCnn;
use crate::model::PixelModel;
use crate::pixel_iqn::{PixelIqn, QuantileOutput};
use crate::progress::{Progress, RowProgress};
use crate::sample::{SampleBatch, SampleError, Sampler};
use crate::tau::TauEmbedding;
use crate::trunk::Trunk;

use run::Run;
use weights::{BlockWeights, ByGroup, LayerWeights};

/// A sampler that computes every feature once, on the device of the model: a batch costs the
/// arithmetic of one forward pass.
///
/// The vertical stack runs one row at a time, as one product over the row. The horizontal stack
/// runs one pixel and channel group at a time, and computes only the outputs of that group.
/// Features that depend on tau, labels or earlier rows alone are computed one row at a time.
///
/// # Memory
///
/// For a batch of `B` images of width `W`, `F` features, and layers with `I` inputs (the image
/// channels in the first, `F` in the others) that reach `R` rows up, the dilation times half the
/// kernel size, the caches hold `B * (sum over layers of ((R + 1) W I + R I + 2 W F) + blocks *
/// 2 W F)` numbers, where `blocks` is the number of blocks of
/// [`Output::Head`](crate::Output::Head). Width and height change places in an order that
/// [transposes](crate::Order::transposes); the height does not matter.
/// [`cache_bytes`](Self::cache_bytes) computes it.
///
/// On CUDA, WGPU and Vulkan, in a build without fusion, the horizontal stack of all layers is one kernel of our own for
/// each value. It keeps the row so far in place of `R I`: `W F` for each layer after the first, or once where there is no
/// other, `F` for each layer and once more, and `W` times the image channels.
#[derive(Debug)]
pub struct IncrementalSampler {
    trunk: Trunk,
    layers: Vec<LayerWeights>,
    hidden: ByGroup,
    output: OutputWeights,
    config: ModelConfig,
    device: Device,
    /// The weights of the horizontal stack for a kernel of our own, where the device has it.
    #[cfg(feature = "cube")]
    kernel: Option<pixel_iqn_cube::TrunkWeights>,
}

/// The weights of the layers after the trunk.
#[derive(Debug)]
enum OutputWeights {
    /// The weights of [`Output::Gates`](crate::Output::Gates), where a channel reads the hidden
    /// features of the groups up to its own.
    Gates {
        embedding: TauEmbedding,
        out: ByGroup,
    },
    /// The weights of [`Output::Head`](crate::Output::Head), where a channel reads the hidden
    /// features of its own group.
    Head {
        embedding: TauEmbedding,
        blocks: Vec<BlockWeights>,
        out: ByGroup,
    },
    /// The weights of [`Output::Monotone`](crate::Output::Monotone), where a channel reads the
    /// hidden features of the groups up to its own.
    Monotone { out: ByGroup, knots: Knots },
    /// The weights of [`Output::Categorical`](crate::Output::Categorical), where a channel reads
    /// the hidden features of the groups up to its own.
    Categorical { out: ByGroup },
}

impl From<&PixelIqn> for IncrementalSampler {
    fn from(model: &PixelIqn) -> Self {
        let config = model.config();
        let output = match &model.output {
            QuantileOutput::Gates(output) => OutputWeights::Gates {
                embedding: output.tau_embedding.clone(),
                out: ByGroup::masked(&output.out, config.channels),
            },
            QuantileOutput::Head(output) => OutputWeights::Head {
                embedding: output.tau_embedding.clone(),
                blocks: output.head_blocks.iter().map(BlockWeights::from).collect(),
                out: ByGroup::grouped(&[&output.out]),
            },
            QuantileOutput::Monotone(output) => OutputWeights::Monotone {
                out: ByGroup::masked(&output.out, config.channels),
                knots: output.knots().clone(),
            },
        };
        Self::new(&model.trunk, output, config)
    }
}

impl From<&GatedPixelCnn> for IncrementalSampler {
    fn from(model: &GatedPixelCnn) -> Self {
        let out = ByGroup::masked(&model.output.out, model.config().channels);
        Self::new(
            &model.trunk,
            OutputWeights::Categorical { out },
            model.config(),
        )
    }
}

impl From<&AnyModel> for IncrementalSampler {
    fn from(model: &AnyModel) -> Self {
        match model {
            AnyModel::PixelIqn(model) => model.into(),
            AnyModel::GatedPixelCnn(model) => model.into(),
        }
    }
}

impl IncrementalSampler {
    fn new(trunk: &Trunk, output: OutputWeights, config: &ModelConfig) -> Self {
        let layers = trunk.layers.iter();
        let layers: Vec<_> = layers
            .map(|layer| LayerWeights::new(layer, config))
            .collect();
        let device = trunk.hidden.weight.val().device();
        Self {
            trunk: trunk.clone(),
            #[cfg(feature = "cube")]
            kernel: (trunk.lowering().has_kernels_of_gpus(&device))
                .then(|| gpu::weights(&layers, config))
                .flatten(),
            layers,
            hidden: ByGroup::masked(&trunk.hidden, config.channels),
            output,
            config: config.clone(),
            device,
        }
    }

    /// Computes the size in bytes of the caches for a batch of images of a width, by the formula
    /// above.
    pub fn cache_bytes(&self, batch: usize, width: usize) -> usize {
        let gates = 2 * width * self.config.features;
        let blocks = match &self.output {
            OutputWeights::Head { blocks, .. } => blocks.len(),
            _ => 0,
        };
        let layers = self.trunk.layers.iter().map(|layer| {
            let [_, input, taps, _] = layer.vertical.weight.val().dims();
            let reach = (taps - 1) * layer.vertical.dilation();
            (reach + 1) * width * input + self.left(reach) * input + gates
        });
        let numbers = layers.sum::<usize>() + self.of_row(width) + blocks * gates;
        batch * numbers * size_of::<f32>()
    }

    /// The columns to the left of a pixel that a layer keeps, of those that it reaches.
    fn left(&self, reach: usize) -> usize {
        #[cfg(feature = "cube")]
        if self.kernel.is_some() {
            return 0;
        }
        reach
    }

    /// The numbers of an image that the kernel of the horizontal stack keeps of a row.
    fn of_row(&self, width: usize) -> usize {
        #[cfg(feature = "cube")]
        if self.kernel.is_some() {
            let ModelConfig {
                features, channels, ..
            } = self.config;
            let layers = self.layers.len();
            // There is room for a second layer in any case.
            let inputs = (layers - 1).max(1) * width * features;
            return inputs + (layers + 1) * features + width * channels;
        }
        let _ = width;
        0
    }

    /// Samples the images of a batch, and returns the model's predictions and the images, both
    /// `[batch, channels, height, width]`.
    ///
    /// The predictions are the values before clamping, rounding and given values. With all values
    /// given, they are the output of the model's forward pass.
    ///
    /// # Errors
    ///
    /// [`SampleError::Invalid`] where the batch does not fit the model, and
    /// [`SampleError::Cancelled`] where the progress cancels.
    pub fn predict(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.config)?;
        batch.check_without_guidance()?;
        let run = Run::new(self, batch.reordered());
        let (predictions, sampled) = run.sample(&RowProgress::new(batch, progress))?;
        Ok((batch.restored(predictions), batch.restored(sampled)))
    }
}

impl Sampler for IncrementalSampler {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn sample(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<Vec<f32>, SampleError> {
        Ok(self.predict(batch, progress)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_bytes_are_those_of_the_caches() {
        let config = ModelConfig::tiny()
            .with_dilations(vec![1, 3])
            .with_output(crate::Output::head(2, 16, 8));
        let sampler = IncrementalSampler::from(&config.init_pixel_iqn(&Device::flex()));
        for height in [1, 4] {
            let dims = [2, config.channels, height, 5];
            let batch = SampleBatch::new(dims, vec![0.5; dims.iter().product()]);
            let mut run = Run::new(&sampler, batch.reordered());
            run.begin_row(0, None);
            let expected = sampler.cache_bytes(2, 5);
            assert_eq!(run.cached_numbers() * size_of::<f32>(), expected);
        }
    }
}

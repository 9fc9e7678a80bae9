//! Sampling with every feature computed once, on Burn tensors.

mod run;
mod weights;

use burn::tensor::Device;

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

/// Samples at the arithmetic of one forward pass, on the device of the model.
///
/// The vertical stack runs a row at a time, as one product over the row; the horizontal stack one
/// pixel and channel group at a time, only that group's outputs. What depends on tau, labels or
/// earlier rows alone is computed a row at a time.
///
/// # Memory
///
/// For a batch of `B` images of width `W`, `F` features, and layers with kernel `K` and `I` inputs
/// (the image's channels in the first, then `F`), the caches hold
/// `B * (sum over layers of ((K / 2 + 1) W I + K / 2 I + 2 W F) + blocks * 2 W F)` numbers, where
/// `blocks` are those after the trunk ([`Output::Head`](crate::Output::Head)). The
/// height of the images does not enter. [`cache_bytes`](Self::cache_bytes) reports it.
#[derive(Debug)]
pub struct IncrementalSampler {
    trunk: Trunk,
    layers: Vec<LayerWeights>,
    hidden: ByGroup,
    output: OutputWeights,
    config: ModelConfig,
    device: Device,
}

#[derive(Debug)]
enum OutputWeights {
    /// Tau enters the gates; a channel reads the hidden features up to its own.
    Gates {
        embedding: TauEmbedding,
        out: ByGroup,
    },
    /// Tau enters after the trunk; a channel reads its own hidden features.
    Head {
        embedding: TauEmbedding,
        blocks: Vec<BlockWeights>,
        out: ByGroup,
    },
    Categorical {
        out: ByGroup,
    },
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
        Self {
            trunk: trunk.clone(),
            layers: layers
                .map(|layer| LayerWeights::new(layer, config))
                .collect(),
            hidden: ByGroup::masked(&trunk.hidden, config.channels),
            output,
            config: config.clone(),
            device: trunk.hidden.weight.val().device(),
        }
    }

    /// Bytes of the caches for a batch of images of a width, whatever their height: the formula
    /// of the type's documentation, in 32-bit numbers.
    pub fn cache_bytes(&self, batch: usize, width: usize) -> usize {
        let gates = 2 * width * self.config.features;
        let blocks = match &self.output {
            OutputWeights::Head { blocks, .. } => blocks.len(),
            OutputWeights::Gates { .. } | OutputWeights::Categorical { .. } => 0,
        };
        let layers = self.trunk.layers.iter().map(|layer| {
            let [_, input, rows, _] = layer.vertical.weight.val().dims();
            rows * width * input + (rows - 1) * input + gates
        });
        batch * (layers.sum::<usize>() + blocks * gates) * size_of::<f32>()
    }

    /// The model's value at every position of a batch, before clamping, rounding and known values:
    /// with all values known, what the full forward pass returns for them. Also returns the
    /// images.
    ///
    /// # Errors
    ///
    /// As [`Sampler::sample`].
    pub fn predict(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.config)?;
        Run::new(self, batch).sample(&RowProgress::new(batch, progress))
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
        let config = ModelConfig::tiny().with_output(crate::Output::head(2, 16, 8));
        let sampler = IncrementalSampler::from(&config.init_pixel_iqn(&Device::flex()));
        for height in [1, 4] {
            let dims = [2, config.channels, height, 5];
            let batch = SampleBatch::new(dims, vec![0.5; dims.iter().product()]);
            let mut run = Run::new(&sampler, &batch);
            run.begin_row(0, None);
            let expected = sampler.cache_bytes(2, 5);
            assert_eq!(run.cached_numbers() * size_of::<f32>(), expected);
        }
    }
}

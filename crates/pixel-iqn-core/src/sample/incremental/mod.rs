//! Sampling with every feature computed once, on Burn tensors.

mod run;
mod weights;

use burn::tensor::Device;

use crate::config::ModelConfig;
use crate::gated_pixel_cnn::GatedPixelCnn;
use crate::pixel_iqn::{OutputLayer, PixelIqn};
use crate::sample::{OnRow, SampleBatch, SampleError, Sampler};
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
/// `blocks` are those after the trunk ([`TauInjection::Head`](crate::TauInjection::Head)). The
/// height of the images does not enter. [`cache_bytes`](Self::cache_bytes) reports it.
#[derive(Debug)]
pub struct IncrementalSampler {
    trunk: Trunk,
    layers: Vec<LayerWeights>,
    hidden: ByGroup,
    head: HeadWeights,
    config: ModelConfig,
    device: Device,
}

#[derive(Debug)]
enum HeadWeights {
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
        let config = crate::PixelModel::config(model);
        let embedding = model.tau_embedding.clone();
        let head = match &model.out {
            OutputLayer::Masked(out) => HeadWeights::Gates {
                embedding,
                out: ByGroup::masked(out, config.channels),
            },
            OutputLayer::Grouped(out) => HeadWeights::Head {
                embedding,
                blocks: model.head_blocks.iter().map(BlockWeights::from).collect(),
                out: ByGroup::grouped(&[out]),
            },
        };
        Self::new(&model.trunk, head, config)
    }
}

impl From<&GatedPixelCnn> for IncrementalSampler {
    fn from(model: &GatedPixelCnn) -> Self {
        let config = crate::PixelModel::config(model);
        let out = ByGroup::masked(&model.out, config.channels);
        Self::new(&model.trunk, HeadWeights::Categorical { out }, config)
    }
}

impl IncrementalSampler {
    fn new(trunk: &Trunk, head: HeadWeights, config: &ModelConfig) -> Self {
        let layers = trunk.layers.iter();
        Self {
            trunk: trunk.clone(),
            layers: layers
                .map(|layer| LayerWeights::new(layer, config))
                .collect(),
            hidden: ByGroup::masked(&trunk.hidden, config.channels),
            head,
            config: config.clone(),
            device: trunk.hidden.weight.val().device(),
        }
    }

    /// Bytes of the caches for a batch of images of a width, whatever their height: the formula
    /// of the type's documentation, in 32-bit numbers.
    pub fn cache_bytes(&self, batch: usize, width: usize) -> usize {
        let gates = 2 * width * self.config.features;
        let blocks = match &self.head {
            HeadWeights::Head { blocks, .. } => blocks.len(),
            HeadWeights::Gates { .. } | HeadWeights::Categorical { .. } => 0,
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
        on_row: OnRow<'_>,
    ) -> Result<(Vec<f32>, Vec<f32>), SampleError> {
        batch.validate(&self.config)?;
        Run::new(self, batch).sample(on_row)
    }
}

impl Sampler for IncrementalSampler {
    fn config(&self) -> &ModelConfig {
        &self.config
    }

    fn sample(&self, batch: &SampleBatch, on_row: OnRow<'_>) -> Result<Vec<f32>, SampleError> {
        Ok(self.predict(batch, on_row)?.1)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cache_bytes_are_those_of_the_caches() {
        let config = ModelConfig::tiny().with_tau_injection(crate::TauInjection::Head);
        let sampler = IncrementalSampler::from(&config.init_pixel_iqn(&Device::flex()));
        for height in [1, 4] {
            let count = 2 * config.channels * height * 5;
            let batch = SampleBatch {
                dims: [2, config.channels, height, 5],
                tau: vec![0.5; count],
                labels: None,
                known: None,
                levels: None,
            };
            let mut run = Run::new(&sampler, &batch);
            run.begin_row(0, None);
            let expected = sampler.cache_bytes(2, 5);
            assert_eq!(run.cached_numbers() * size_of::<f32>(), expected);
        }
    }
}

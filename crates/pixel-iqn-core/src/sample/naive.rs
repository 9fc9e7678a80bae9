use burn::tensor::{Device, Tensor, TensorData};

use crate::config::ModelConfig;
use crate::gated_layer::Conditions;
use crate::model::PixelModel;
use crate::progress::{Progress, RowProgress};
use crate::sample::{SampleBatch, SampleError, Sampler};

/// A sampler that runs a whole forward pass for each value. It is slow and simple, and the
/// reference that every faster sampler is verified against.
#[derive(Debug)]
pub struct NaiveSampler<M> {
    model: M,
    device: Device,
}

impl<M: PixelModel> NaiveSampler<M> {
    /// Creates the sampler of a model whose weights are on `device`, without autodiff.
    pub fn new(model: M, device: &Device) -> Self {
        Self {
            model,
            device: device.clone(),
        }
    }
}

impl<M: PixelModel + Sync> Sampler for NaiveSampler<M> {
    fn config(&self) -> &ModelConfig {
        self.model.config()
    }

    fn sample(
        &self,
        batch: &SampleBatch,
        progress: &dyn Progress,
    ) -> Result<Vec<f32>, SampleError> {
        batch.validate(self.config())?;
        batch.check_without_guidance()?;
        let dims @ [images, channels, height, width] = batch.dims;
        let tensor = |values: &[f32]| -> Tensor<4> {
            Tensor::from_data(TensorData::new(values.to_vec(), dims), &self.device)
        };
        let tau = tensor(&batch.tau);
        let labels = batch.label_tensor(self.config().classes, &self.device);
        let progress = RowProgress::new(batch, progress);
        let mut x = vec![0.0f32; batch.tau.len()];
        let conditions = Conditions::new(labels.as_ref()).with_order(batch.order);
        let size = [height, width];
        let [rows, columns] = batch.order.size(size);
        // Nothing reads a given value before its turn, so that all values can start as zeros.
        for turn_row in 0..rows {
            for turn_column in 0..columns {
                let [row, column] = batch.order.position([turn_row, turn_column], size);
                for channel in 0..channels {
                    let values = self.model.values(tensor(&x), tau.clone(), conditions);
                    let values = values.into_data().convert::<f32>();
                    let values = values.as_slice::<f32>().expect("converted to f32");
                    for image in 0..images {
                        let at = ((image * channels + channel) * height + row) * width + column;
                        x[at] = batch.final_value(at, values[at]);
                    }
                }
            }
            progress.finish(turn_row, 0, &batch.order.reorder_values(&x, size))?;
        }
        Ok(x)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Cancelled, FinishedRow, KnownValues, ModelConfig, NoProgress, Noise, Output};
    use core::ops::ControlFlow;

    fn batch(dims: [usize; 4]) -> SampleBatch {
        SampleBatch::new(dims, Noise::new(1).uniform(0, dims.iter().product()))
            .with_levels(Some(256))
    }

    #[test]
    fn categorical_samples_follow_the_distribution() {
        // With one pixel, the distribution is that of the bias alone, and tau decides the level.
        let device = Device::flex();
        let config = ModelConfig::tiny()
            .with_channels(1)
            .with_output(Output::categorical(4));
        let model = config.init_gated_pixel_cnn(&device);
        let logits = model.forward(Tensor::zeros([1, 1, 1, 1], &device), None);
        let logits: Vec<f32> = logits.to_data().try_to_vec().unwrap();
        let total: f32 = logits.iter().map(|l| l.exp()).sum();
        let n = 1000;
        let taus = (0..n).map(|i| (i as f32 + 0.5) / n as f32).collect();
        let batch = SampleBatch {
            tau: taus,
            levels: None,
            ..batch([n, 1, 1, 1])
        };
        let sampler = NaiveSampler::new(model, &device);
        let sample = sampler.sample(&batch, &NoProgress).unwrap();
        for (level, logit) in logits.iter().enumerate() {
            let hits = sample.iter().filter(|&&x| x == level as f32 / 3.0).count();
            let expected = logit.exp() / total * n as f32;
            assert!((hits as f32 - expected).abs() <= 1.5, "{hits} {expected}");
        }
        assert!(
            sample.is_sorted(),
            "the inverse distribution grows with tau"
        );
    }

    #[test]
    fn known_values_are_kept_and_condition_the_later_ones_alone() {
        let device = Device::flex();
        let model = ModelConfig::quick().init_pixel_iqn(&device);
        let sampler = NaiveSampler::new(model, &device);
        // Rounding could hide what a random model makes of the known values.
        let free = SampleBatch {
            levels: None,
            ..batch([1, 3, 4, 4])
        };
        // Row 2 is known, at values that are no levels.
        let known = SampleBatch {
            known: Some(KnownValues {
                values: vec![0.1234; 48],
                mask: (0..48).map(|i| i / 4 % 4 == 2).collect(),
            }),
            ..free.clone()
        };
        let free = sampler.sample(&free, &NoProgress).unwrap();
        let sample = sampler.sample(&known, &NoProgress).unwrap();
        for (i, (&kept, &free)) in sample.iter().zip(&free).enumerate() {
            match i / 4 % 4 {
                2 => assert_eq!(kept, 0.1234),
                // Not yet conditioned.
                0 | 1 => assert_eq!(kept, free),
                _ => {}
            }
        }
        assert_ne!(sample[12..16], free[12..16]);
    }

    /// A progress that keeps the rows, and cancels after the second.
    #[derive(Default)]
    struct TwoRows(std::sync::Mutex<Vec<Vec<f32>>>);

    impl Progress for TwoRows {
        fn advance(&self, done: usize, total: usize) -> ControlFlow<()> {
            // A unit is one row of one image, and the batch has two images.
            let rows = self.0.lock().unwrap().len();
            assert_eq!((done, total), (2 * rows, 6));
            match rows {
                2 => ControlFlow::Break(()),
                _ => ControlFlow::Continue(()),
            }
        }

        fn row(&self, row: &FinishedRow<'_>) {
            let mut rows = self.0.lock().unwrap();
            assert_eq!((row.row, row.images, row.height), (rows.len(), 2, 3));
            rows.push(row.values.to_vec());
        }
    }

    #[test]
    fn progress_sees_rows_and_cancels() {
        let device = Device::flex();
        let sampler = NaiveSampler::new(ModelConfig::tiny().init_pixel_iqn(&device), &device);
        let batch = batch([2, 3, 3, 2]);
        let whole = sampler.sample(&batch, &NoProgress).unwrap();
        let progress = TwoRows::default();
        let cancelled = sampler.sample(&batch, &progress);
        assert!(matches!(cancelled, Err(SampleError::Cancelled(Cancelled))));
        let rows = progress.0.into_inner().unwrap();
        for (row, values) in rows.iter().enumerate() {
            let expected: Vec<f32> = (0..6)
                .flat_map(|plane| &whole[(plane * 3 + row) * 2..][..2])
                .copied()
                .collect();
            assert_eq!(values, &expected);
        }
        assert_eq!(rows.len(), 2);
    }
}

use core::ops::Range;

use burn::tensor::{Device, Tensor, TensorData};
use pixel_iqn_core::{ModelConfig, Noise, Order, TauPlacement};
use pixel_iqn_data::ImageBatch;

use crate::config::TrainConfig;
use crate::train_batch::TrainBatch;

/// Makes the [`TrainBatch`]es of a step from its images: draws tau, dequantisation, label dropout
/// and the generation order.
///
/// Each random number comes from a generator on the host and depends on the seed and the number of the
/// image in the run alone: not on the device, and not on how a step is cut into parts.
#[derive(Debug, Clone, Copy)]
pub(crate) struct StepBatches {
    seed: u64,
    taus: usize,
    dequantize: bool,
    label_dropout: f64,
    classes: usize,
    orders: usize,
}

/// Sets the noise of one purpose apart from that of others under the same seed.
const TRAINING: u64 = u64::from_be_bytes(*b"training");
const HELD_OUT: u64 = u64::from_be_bytes(*b"held out");
const LEVEL: u64 = u64::from_be_bytes(*b"in level");
const DROPOUT: u64 = u64::from_be_bytes(*b"drop out");
const STRATA: u64 = u64::from_be_bytes(*b"strata  ");
const ORDER: u64 = u64::from_be_bytes(*b"order   ");

impl StepBatches {
    /// Makes batches to train on.
    pub fn new(config: &TrainConfig, model: &ModelConfig) -> Self {
        Self {
            seed: config.seed ^ TRAINING,
            taus: config.taus,
            dequantize: config.dequantize,
            label_dropout: config.label_dropout,
            classes: model.classes,
            orders: model.orders,
        }
    }

    /// Makes batches of a held-out loss: one tau per value, raster order, and nothing is dropped or
    /// spread.
    pub fn held_out(config: &TrainConfig, model: &ModelConfig) -> Self {
        Self {
            seed: config.seed ^ HELD_OUT,
            taus: 1,
            dequantize: false,
            label_dropout: 0.0,
            classes: model.classes,
            orders: 1,
        }
    }

    /// Takes a whole batch, whose first image is number `first` of the run.
    ///
    /// # Panics
    ///
    /// Panics if the model has classes and the batch has no labels.
    pub fn whole(&self, batch: &ImageBatch, first: u64, device: &Device) -> TrainBatch {
        let [images, ..] = batch.images.dims();
        self.part(batch, first, 0..images, 0, device)
    }

    /// Takes the images of `range` of a batch whose first image is number `first` of the run.
    ///
    /// # Panics
    ///
    /// Panics if the range leaves the batch, or if the model has classes and the batch has no
    /// labels.
    pub fn part(
        &self,
        batch: &ImageBatch,
        first: u64,
        range: Range<usize>,
        part: usize,
        device: &Device,
    ) -> TrainBatch {
        let [total, channels, height, width] = batch.images.dims();
        let values = channels * height * width;
        let images = if range.len() == total {
            batch.images.clone()
        } else {
            batch.images.clone().slice([range.clone()])
        };
        let numbers = first + range.start as u64..first + range.end as u64;
        let shape = [range.len() * self.taus, channels, height, width];
        let tensor = |data: Vec<f32>| Tensor::from_data(TensorData::new(data, shape), device);

        let order = self.order(first);
        let noise = Noise::new(self.seed);
        let of_image: Vec<Vec<f32>> = numbers
            .clone()
            .map(|image| noise.uniform(image, values * self.taus))
            .collect();
        // With one tau there is one bin.
        let strata = (self.taus > 1).then(|| {
            let numbers: Vec<usize> = numbers.clone().map(|number| number as usize).collect();
            TauPlacement::new(&Noise::new(self.seed ^ STRATA), &numbers, values, self.taus)
        });
        let tau = (0..self.taus).flat_map(|pass| {
            let bins: Vec<usize> = match &strata {
                Some(strata) => strata.bins(pass).collect(),
                None => vec![0; range.len() * values],
            };
            let draws = of_image.iter();
            let draws = draws.flat_map(move |draws| &draws[pass * values..(pass + 1) * values]);
            draws
                .zip(bins)
                .map(|(u, bin)| stratified(*u, bin, self.taus))
        });
        let tau = order.reorder(tensor(tau.collect()));

        let repeated = match self.taus {
            1 => images.clone(),
            taus => images.clone().repeat_dim(0, taus),
        };
        // Everything random is drawn for the values of the image, then turned as the image is.
        let targets = if self.dequantize {
            let noise = Noise::new(self.seed ^ LEVEL);
            let spread = numbers
                .clone()
                .flat_map(|image| noise.uniform(image, values))
                .map(|u| (u - 0.5) / 255.0)
                .collect::<Vec<f32>>()
                .repeat(self.taus);
            repeated + tensor(spread)
        } else {
            repeated
        };
        let labels = (self.classes > 0).then(|| {
            let labels = batch.labels.clone();
            let labels = labels.expect("a class-conditional model is trained on labels");
            let labels = labels.slice([range.clone()]);
            if self.label_dropout == 0.0 {
                return labels;
            }
            let noise = Noise::new(self.seed ^ DROPOUT);
            let dropped: Vec<bool> = numbers
                .map(|image| f64::from(noise.uniform(image, 1)[0]) < self.label_dropout)
                .collect();
            let dropped = Tensor::from_data(dropped.as_slice(), &labels.device());
            labels.mask_fill(dropped, self.classes as i64)
        });
        TrainBatch {
            images: order.reorder(images),
            targets: order.reorder(targets),
            tau,
            labels,
            order,
            weight: range.len() as f64 / total as f64,
            part,
        }
    }
}

impl StepBatches {
    /// The generation order of the step whose first image is number `first` of the run.
    fn order(&self, first: u64) -> Order {
        if self.orders == 1 {
            return Order::RASTER;
        }
        let u = Noise::new(self.seed ^ ORDER).uniform(first, 1)[0];
        // The product may round up to the number of orders.
        let index = (u * self.orders as f32) as usize;
        Order::new(index.min(self.orders - 1)).expect("a model has at most 8 orders")
    }
}

/// Moves a uniform number into bin `bin` of `bins` equal ones of [0, 1].
fn stratified(u: f32, bin: usize, bins: usize) -> f32 {
    let tau = (bin as f32 + u) / bins as f32;
    // The sum may round up to the next bin, and so to 1, which is not a valid tau.
    tau.min(1.0 - f32::EPSILON / 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pixel_iqn_data::builtin;

    fn batch() -> ImageBatch {
        let set = builtin::generate(0, 0..5, 4, 3).unwrap();
        set.batch(&[0, 1, 2, 3, 4], None, &Device::flex())
    }

    fn numbers<const D: usize>(tensor: Tensor<D>) -> Vec<f32> {
        tensor.into_data().iter().collect()
    }

    fn batches(config: TrainConfig) -> StepBatches {
        StepBatches::new(&config, &ModelConfig::tiny().with_classes(10))
    }

    #[test]
    fn parts_together_are_the_whole() {
        let config = TrainConfig::new(1, 5)
            .with_dequantize(true)
            .with_label_dropout(0.5);
        let batches = batches(config);
        let device = Device::flex();
        let whole = batches.whole(&batch(), 7, &device);
        let parts = [
            batches.part(&batch(), 7, 0..2, 0, &device),
            batches.part(&batch(), 7, 2..5, 1, &device),
        ];
        type Field = fn(&TrainBatch) -> Tensor<4>;
        let fields: [Field; 3] = [
            |b| b.images.clone(),
            |b| b.targets.clone(),
            |b| b.tau.clone(),
        ];
        for field in fields {
            let joined = Tensor::cat(parts.iter().map(field).collect(), 0);
            assert_eq!(numbers(joined), numbers(field(&whole)));
        }
        let labels =
            |b: &TrainBatch| -> Vec<i64> { b.labels.clone().unwrap().into_data().iter().collect() };
        assert_eq!(
            [labels(&parts[0]), labels(&parts[1])].concat(),
            labels(&whole)
        );
        assert_eq!(parts[0].weight + parts[1].weight, whole.weight);
        // The next step draws anew.
        assert_ne!(
            numbers(batches.whole(&batch(), 12, &device).tau),
            numbers(whole.tau)
        );
    }

    #[test]
    fn dequantisation_stays_inside_the_level() {
        let batches = batches(TrainConfig::new(1, 5).with_dequantize(true));
        let batch = batches.whole(&batch(), 0, &Device::flex());
        let (images, targets) = (numbers(batch.images), numbers(batch.targets));
        let mut shifts: Vec<f32> = images
            .iter()
            .zip(&targets)
            .map(|(image, target)| (target - image) * 255.0)
            .collect();
        assert!(shifts.iter().all(|shift| shift.abs() <= 0.501));
        shifts.sort_by(f32::total_cmp);
        assert!(shifts[0] < -0.45 && shifts[shifts.len() - 1] > 0.45);
    }

    #[test]
    fn every_tau_of_an_image_has_its_own_noise_and_the_same_target() {
        let batches = batches(TrainConfig::new(1, 5).with_taus(3));
        let batch = batches.whole(&batch(), 0, &Device::flex());
        let images = numbers(batch.images);
        assert_eq!(numbers(batch.targets), images.repeat(3));
        let tau = numbers(batch.tau);
        assert_eq!(tau.len(), 3 * images.len());
        let (first, rest) = tau.split_at(images.len());
        assert_ne!(first, &rest[..images.len()]);
        // Each value meets each third of [0, 1] once.
        for value in 0..images.len() {
            let mut thirds: Vec<usize> = (0..3)
                .map(|pass| (3.0 * tau[pass * images.len() + value]) as usize)
                .collect();
            thirds.sort_unstable();
            assert_eq!(thirds, [0, 1, 2]);
        }
    }

    #[test]
    fn a_step_has_one_order_and_all_of_it_is_turned() {
        let model = ModelConfig::tiny().with_orders(8);
        let config = TrainConfig::new(1, 5);
        let batches = StepBatches::new(&config, &model);
        let plain = StepBatches::new(&config, &ModelConfig::tiny());
        let device = Device::flex();
        let mut seen = std::collections::HashSet::new();
        for step in 0..60 {
            let whole = batches.whole(&batch(), 5 * step, &device);
            let part = batches.part(&batch(), 5 * step, 2..4, 1, &device);
            assert_eq!(part.order, whole.order);
            let raster = plain.whole(&batch(), 5 * step, &device);
            assert_eq!(raster.order, Order::RASTER);
            let turned = |tensor: Tensor<4>| numbers(whole.order.reorder(tensor));
            assert_eq!(numbers(whole.images), turned(raster.images));
            assert_eq!(numbers(whole.targets), turned(raster.targets));
            assert_eq!(numbers(whole.tau), turned(raster.tau));
            seen.insert(whole.order.index());
        }
        assert_eq!(seen.len(), 8);
    }

    #[test]
    fn dropped_labels_are_about_as_many_as_asked_for() {
        let batches = batches(TrainConfig::new(1, 5).with_label_dropout(0.25));
        let (mut dropped, mut kept) = (0, 0);
        for step in 0..200 {
            let batch = batches.whole(&batch(), 5 * step, &Device::flex());
            for label in batch.labels.unwrap().into_data().iter::<i64>() {
                if label == 10 {
                    dropped += 1;
                } else {
                    kept += 1;
                }
            }
        }
        // Of 1,000 with a standard deviation of 14.
        assert_eq!(dropped + kept, 1000);
        assert!((200..300).contains(&dropped), "{dropped}");
    }
}

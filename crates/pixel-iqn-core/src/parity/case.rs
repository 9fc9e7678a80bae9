use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use pixel_iqn_loss::QuantileHuberLossConfig;

use crate::model::PixelModel;
use crate::weights::{load_safetensors, to_safetensors};
use crate::{
    Conditions, GatedPixelCnn, IncrementalSampler, Lowering, ModelConfig, NaiveSampler, NoProgress,
    Order, PixelIqn, SampleBatch, Sampler,
};

use super::differences::Differences;
use super::error::ParityError;
use super::vectors::Vectors;

/// The number of intensity levels of the sampled images.
const INTENSITY_LEVELS: usize = 256;

/// A case: the vectors of another implementation, with the inputs that all models have.
pub(super) struct Case<'data> {
    dims: [usize; 4],
    x: Vec<f32>,
    labels: Option<Vec<i64>>,
    order: Order,
    vectors: Vectors<'data>,
    /// The device with autodiff.
    device: Device,
    lowering: Lowering,
}

impl<'data> Case<'data> {
    /// Reads the inputs of a case. `device` is without autodiff.
    pub(super) fn new(
        config: &ModelConfig,
        vectors: &'data [u8],
        device: &Device,
        lowering: Lowering,
    ) -> Result<Self, ParityError> {
        let vectors = Vectors::new(vectors)?;
        let x = vectors.float("x")?;
        let [batch, channels, height, width] = vectors.dims("x")?;
        if channels != config.channels {
            return Err(ParityError::Tensor(format!(
                "`x` has {channels} channels, the config {}",
                config.channels
            )));
        }
        if x.is_empty() {
            return Err(ParityError::Tensor("`x` is empty".into()));
        }
        Ok(Self {
            dims: [batch, channels, height, width],
            x,
            labels: match config.classes {
                0 => None,
                classes => Some(below(classes, "labels", vectors.int("labels", &[batch])?)?),
            },
            order: match config.orders {
                1 => Order::RASTER,
                orders => {
                    let order = below(orders, "order", vectors.int("order", &[1])?)?;
                    Order::new(order[0] as usize).expect("it is below the number of orders")
                }
            },
            vectors,
            device: device.clone().autodiff(),
            lowering,
        })
    }

    /// Compares a model that predicts quantiles.
    pub(super) fn quantile(&self, config: &ModelConfig) -> Result<Differences, ParityError> {
        let model: PixelIqn = self.model(config)?;
        let (x, labels) = (self.x(), self.labels());
        let tau = self.vectors.float_of("tau", &self.dims)?;
        let tau = Tensor::from_data(TensorData::new(tau, self.dims), &self.device);
        let conditions = Conditions::new(labels.as_ref()).with_order(self.order);
        let output = model.forward(x.clone(), tau.clone(), conditions);
        let loss = QuantileHuberLossConfig::new().init().forward(
            output.clone(),
            x,
            tau.clone(),
            Reduction::Mean,
        );
        let grad = self.gradients(&model, loss.backward())?;
        Ok(Differences {
            output: self.compare("output", output)?,
            loss: self.compare("loss", loss)?,
            grad,
            unequal: Some(self.unequal(model.valid())?),
        })
    }

    /// Samples with the naive and the incremental sampler, and returns the larger fraction of
    /// values with another intensity level.
    fn unequal(&self, model: PixelIqn) -> Result<f64, ParityError> {
        let labels = self.labels.as_ref();
        let labels = labels.map(|labels| labels.iter().map(|&l| Some(l as usize)).collect());
        let batch = SampleBatch {
            labels,
            levels: Some(INTENSITY_LEVELS),
            order: self.order,
            ..SampleBatch::new(self.dims, self.vectors.float("tau")?)
        };
        let expected = self.vectors.float("sample")?;
        let incremental = IncrementalSampler::from(&model);
        let naive = NaiveSampler::new(model, &self.device.clone().inner());
        let samplers: [&dyn Sampler; 2] = [&incremental, &naive];
        let mut worst = 0.0f64;
        for sampler in samplers {
            let sample = sampler.sample(&batch, &NoProgress)?;
            same_length("sample", &sample, &expected)?;
            // NaN is not equal.
            let equal = sample.iter().zip(&expected).filter(|(a, b)| {
                let difference = (f64::from(**a) - f64::from(**b)).abs();
                difference < 0.5 / (INTENSITY_LEVELS - 1) as f64
            });
            let unequal = expected.len() - equal.count();
            worst = worst.max(unequal as f64 / expected.len().max(1) as f64);
        }
        Ok(worst)
    }

    /// Compares a model that predicts the probabilities of intensity levels.
    pub(super) fn categorical(&self, config: &ModelConfig) -> Result<Differences, ParityError> {
        let model: GatedPixelCnn = self.model(config)?;
        let labels = self.labels();
        let conditions = Conditions::new(labels.as_ref()).with_order(self.order);
        let output = model.forward(self.x(), conditions);
        let target = self.vectors.int("levels", &self.dims)?;
        let target = below(model.levels(), "levels", target)?;
        let target = TensorData::new(target, [self.dims.iter().product::<usize>()]);
        let target = Tensor::<1, Int>::from_data(target, &self.device);
        let [batch, channels, height, width] = self.dims;
        let logits = output
            .clone()
            .permute([0, 1, 3, 4, 2])
            .reshape([batch * channels * height * width, model.levels()]);
        let loss = CrossEntropyLossConfig::new()
            .init(&self.device)
            .forward(logits, target)
            .div_scalar(core::f64::consts::LN_2);
        Ok(Differences {
            output: self.compare("output", output)?,
            grad: self.gradients(&model, loss.backward())?,
            loss: self.compare("loss", loss)?,
            unequal: None,
        })
    }

    /// Creates the model of the case with its weights.
    fn model<M: PixelModel>(&self, config: &ModelConfig) -> Result<M, ParityError> {
        let mut model = M::init(config, &self.device).with_lowering(self.lowering);
        load_safetensors(&mut model, &self.vectors.under("weight/")?)?;
        Ok(model)
    }

    /// The images as a tensor.
    fn x(&self) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.x.clone(), self.dims), &self.device)
    }

    /// The labels as a tensor, for a class-conditional model.
    fn labels(&self) -> Option<Tensor<1, Int>> {
        let labels = self.labels.clone()?;
        let labels = TensorData::new(labels, [self.dims[0]]);
        Some(Tensor::from_data(labels, &self.device))
    }

    /// Computes the largest relative difference of a gradient.
    fn gradients<M: Module>(&self, model: &M, grads: Gradients) -> Result<f64, ParityError> {
        // A model whose weights are replaced by the gradients saves them under the right names.
        let bytes = to_safetensors(&model.clone().map(&mut ToGradients(grads)))?;
        let ours = Vectors::new(&bytes)?;
        let mut largest = 0.0f64;
        for name in ours.names() {
            let ours = ours.float(name)?;
            let theirs = self.vectors.float(&format!("grad/{name}"))?;
            let scale = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs().into()));
            let difference = max_difference(name, &ours, &theirs)?;
            if difference > 0.0 {
                largest = largest.max(difference / scale);
            }
        }
        Ok(largest)
    }

    /// Computes the largest absolute difference of a tensor from that of the vectors.
    fn compare<const D: usize>(&self, name: &str, ours: Tensor<D>) -> Result<f64, ParityError> {
        let ours = ours.into_data().convert::<f32>();
        let ours: Vec<f32> = ours.try_to_vec().expect("the data was converted to f32");
        max_difference(name, &ours, &self.vectors.float(name)?)
    }
}

/// Checks that all numbers, which are classes or levels, are from 0 to below `end`.
fn below(end: usize, name: &str, numbers: Vec<i64>) -> Result<Vec<i64>, ParityError> {
    match numbers.iter().find(|&&n| !(0..end as i64).contains(&n)) {
        Some(n) => Err(ParityError::Tensor(format!(
            "`{name}` has {n}, which is not below {end}"
        ))),
        None => Ok(numbers),
    }
}

/// Checks that two slices have the same length.
fn same_length(name: &str, ours: &[f32], theirs: &[f32]) -> Result<(), ParityError> {
    if ours.len() != theirs.len() {
        return Err(ParityError::Tensor(format!(
            "`{name}` has {} values, {} are expected",
            theirs.len(),
            ours.len()
        )));
    }
    Ok(())
}

/// Computes the largest absolute difference of two slices.
fn max_difference(name: &str, ours: &[f32], theirs: &[f32]) -> Result<f64, ParityError> {
    same_length(name, ours, theirs)?;
    let differences = ours
        .iter()
        .zip(theirs)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    // A maximum would ignore NaN, which must not count as a small difference.
    Ok(differences.fold(0.0, |max, d| {
        if d.is_nan() {
            f64::INFINITY
        } else {
            max.max(d)
        }
    }))
}

/// Replaces weights by their gradients, and those without one by zeros.
struct ToGradients(Gradients);

impl ModuleMapper for ToGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let grad = tensor.grad(&self.0);
        let grad = grad.unwrap_or_else(|| tensor.inner().zeros_like());
        Param::from_mapped_value(id, grad, mapper)
    }
}

//! Holds a model against test vectors of another implementation.
//!
//! A case is a config and a safetensors file with the weights under `weight/<name>`, the inputs
//! `x`, `tau`, `labels` and `levels`, and what the other implementation made of them: `output`,
//! `loss`, the gradients of the loss under `grad/<name>`, and for the quantile head `sample`, the
//! image sampled at `tau`. The reference implementation writes such files.

use std::borrow::Cow;
use std::collections::BTreeMap;

use burn::module::{Module, ModuleMapper, Param};
use burn::nn::loss::CrossEntropyLossConfig;
use burn::nn::loss::Reduction;
use burn::tensor::{Device, Gradients, Int, Tensor, TensorData};
use pixel_iqn_loss::QuantileHuberLossConfig;
use safetensors::tensor::{Dtype, SafeTensors, TensorView};

use crate::model::PixelModel;
use crate::weights::{WeightsError, load_safetensors, to_safetensors};
use crate::{
    ConfigError, GatedPixelCnn, IncrementalSampler, Lowering, ModelConfig, NaiveSampler,
    NoProgress, PixelIqn, SampleBatch, SampleError, Sampler,
};

/// Allowed largest absolute difference of outputs and losses.
pub const MAX_ABS: f64 = 1e-4;
/// Allowed largest relative difference of gradients.
pub const MAX_REL_GRAD: f64 = 1e-3;
/// Allowed part of the values of sampled images that have another level. A value that rounding
/// puts on the other side of a border between two levels changes those after it, so that backends
/// which round otherwise cannot be held to equal images. Our choice.
pub const MAX_UNEQUAL: f64 = 0.01;

/// The largest differences from the vectors of one case.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Differences {
    /// Of the model's output, absolute.
    pub output: f64,
    /// Of the loss, absolute.
    pub loss: f64,
    /// Of a weight's gradient: the largest difference over the largest value of that gradient.
    pub grad: f64,
    /// The part of the values that have another level in the images of the naive or the incremental
    /// sampler, the larger one; none for a case without images.
    pub unequal: Option<f64>,
}

impl From<safetensors::SafeTensorError> for ParityError {
    fn from(error: safetensors::SafeTensorError) -> Self {
        Self::Format(error.to_string())
    }
}

impl Differences {
    /// Whether all differences are within [`MAX_ABS`], [`MAX_REL_GRAD`] and [`MAX_UNEQUAL`].
    pub fn ok(&self) -> bool {
        self.output <= MAX_ABS
            && self.loss <= MAX_ABS
            && self.grad <= MAX_REL_GRAD
            && self.unequal.is_none_or(|part| part <= MAX_UNEQUAL)
    }
}

/// Why a case cannot be checked.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum ParityError {
    /// The config cannot be used.
    #[error(transparent)]
    Config(#[from] ConfigError),
    /// The vectors are not a safetensors file; the text says what is wrong.
    #[error("not a safetensors file: {0}")]
    Format(String),
    /// The weights are not those of the config.
    #[error(transparent)]
    Weights(#[from] WeightsError),
    /// The inputs cannot be sampled at.
    #[error(transparent)]
    Sample(#[from] SampleError),
    /// A tensor is missing, or has another shape or type than the config asks for.
    #[error("{0}")]
    Tensor(String),
}

/// Runs one case on `device`, without autodiff, which is added here, by a lowering of the
/// convolutions.
///
/// # Errors
///
/// [`ParityError`] where the case cannot be run. A difference is no error: see
/// [`Differences::ok`].
pub fn check(
    config: &str,
    vectors: &[u8],
    device: &Device,
    lowering: Lowering,
) -> Result<Differences, ParityError> {
    let config = ModelConfig::from_json(config)?;
    let vectors = Vectors(SafeTensors::deserialize(vectors)?);
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
    let case = Case {
        dims: [batch, channels, height, width],
        x,
        labels: match config.classes {
            0 => None,
            classes => Some(below(classes, "labels", vectors.int("labels", &[batch])?)?),
        },
        vectors,
        device: device.clone().autodiff(),
        lowering,
    };
    if config.output.is_quantile() {
        case.quantile(&config)
    } else {
        case.categorical(&config)
    }
}

/// Intensity levels of the sampled images.
const INTENSITY_LEVELS: usize = 256;

struct Case<'data> {
    dims: [usize; 4],
    x: Vec<f32>,
    labels: Option<Vec<i64>>,
    vectors: Vectors<'data>,
    device: Device,
    lowering: Lowering,
}

impl Case<'_> {
    fn quantile(&self, config: &ModelConfig) -> Result<Differences, ParityError> {
        let model: PixelIqn = self.model(config)?;
        let (x, labels) = (self.x(), self.labels());
        let tau = self.vectors.float_of("tau", &self.dims)?;
        let tau = Tensor::from_data(TensorData::new(tau, self.dims), &self.device);
        let output = model.forward(x.clone(), tau.clone(), labels.as_ref());
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

    /// The larger part of other levels of the naive and the incremental sampler.
    fn unequal(&self, model: PixelIqn) -> Result<f64, ParityError> {
        let labels = self.labels.as_ref();
        let labels = labels.map(|labels| labels.iter().map(|&l| Some(l as usize)).collect());
        let batch = SampleBatch {
            labels,
            levels: Some(INTENSITY_LEVELS),
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
            // Not a number is not equal.
            let equal = sample.iter().zip(&expected).filter(|(a, b)| {
                let difference = (f64::from(**a) - f64::from(**b)).abs();
                difference < 0.5 / (INTENSITY_LEVELS - 1) as f64
            });
            let unequal = expected.len() - equal.count();
            worst = worst.max(unequal as f64 / expected.len().max(1) as f64);
        }
        Ok(worst)
    }

    fn categorical(&self, config: &ModelConfig) -> Result<Differences, ParityError> {
        let model: GatedPixelCnn = self.model(config)?;
        let output = model.forward(self.x(), self.labels().as_ref());
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

    fn model<M: PixelModel>(&self, config: &ModelConfig) -> Result<M, ParityError> {
        let mut model = M::init(config, &self.device).with_lowering(self.lowering);
        load_safetensors(&mut model, self.vectors.under("weight/")?)?;
        Ok(model)
    }

    fn x(&self) -> Tensor<4> {
        Tensor::from_data(TensorData::new(self.x.clone(), self.dims), &self.device)
    }

    fn labels(&self) -> Option<Tensor<1, Int>> {
        let labels = self.labels.clone()?;
        let labels = TensorData::new(labels, [self.dims[0]]);
        Some(Tensor::from_data(labels, &self.device))
    }

    /// The largest relative difference of a gradient.
    fn gradients<M: Module>(&self, model: &M, grads: Gradients) -> Result<f64, ParityError> {
        // A model with the gradients for weights has them under the right names when saved.
        let bytes = to_safetensors(&model.clone().map(&mut ToGradients(grads)))?;
        let ours = Vectors(SafeTensors::deserialize(&bytes)?);
        let mut largest = 0.0f64;
        for (name, ours) in ours.0.iter() {
            let ours = to_f32(name, &ours)?;
            let theirs = self.vectors.float(&format!("grad/{name}"))?;
            let scale = theirs.iter().fold(0.0f64, |m, v| m.max(v.abs().into()));
            let difference = max_difference(name, &ours, &theirs)?;
            if difference > 0.0 {
                largest = largest.max(difference / scale);
            }
        }
        Ok(largest)
    }

    fn compare<const D: usize>(&self, name: &str, ours: Tensor<D>) -> Result<f64, ParityError> {
        let ours = ours.into_data().convert::<f32>();
        let ours: Vec<f32> = ours.try_to_vec().expect("the data was converted to f32");
        max_difference(name, &ours, &self.vectors.float(name)?)
    }
}

/// The numbers, if all are classes or levels below `end`.
fn below(end: usize, name: &str, numbers: Vec<i64>) -> Result<Vec<i64>, ParityError> {
    match numbers.iter().find(|&&n| !(0..end as i64).contains(&n)) {
        Some(n) => Err(ParityError::Tensor(format!(
            "`{name}` has {n}, which is not below {end}"
        ))),
        None => Ok(numbers),
    }
}

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

fn max_difference(name: &str, ours: &[f32], theirs: &[f32]) -> Result<f64, ParityError> {
    same_length(name, ours, theirs)?;
    let differences = ours
        .iter()
        .zip(theirs)
        .map(|(&a, &b)| (f64::from(a) - f64::from(b)).abs());
    // NaN must not pass for small.
    Ok(differences.fold(0.0, |max, d| {
        if d.is_nan() {
            f64::INFINITY
        } else {
            max.max(d)
        }
    }))
}

struct ToGradients(Gradients);

impl ModuleMapper for ToGradients {
    fn map_float<const D: usize>(&mut self, param: Param<Tensor<D>>) -> Param<Tensor<D>> {
        let (id, tensor, mapper) = param.consume();
        let grad = tensor.grad(&self.0);
        let grad = grad.unwrap_or_else(|| tensor.inner().zeros_like());
        Param::from_mapped_value(id, grad, mapper)
    }
}

struct Vectors<'data>(SafeTensors<'data>);

impl Vectors<'_> {
    fn view(&self, name: &str) -> Result<TensorView<'_>, ParityError> {
        let view = self.0.tensor(name);
        view.map_err(|_| ParityError::Tensor(format!("the vectors have no `{name}`")))
    }

    fn dims(&self, name: &str) -> Result<[usize; 4], ParityError> {
        let shape = self.view(name)?.shape().to_vec();
        shape.try_into().map_err(|shape| {
            ParityError::Tensor(format!("`{name}` must have 4 axes, not {shape:?}"))
        })
    }

    fn float(&self, name: &str) -> Result<Vec<f32>, ParityError> {
        to_f32(name, &self.view(name)?)
    }

    fn float_of(&self, name: &str, shape: &[usize]) -> Result<Vec<f32>, ParityError> {
        self.expect_shape(name, shape)?;
        self.float(name)
    }

    fn int(&self, name: &str, shape: &[usize]) -> Result<Vec<i64>, ParityError> {
        self.expect_shape(name, shape)?;
        let view = self.view(name)?;
        if view.dtype() != Dtype::I64 {
            return Err(ParityError::Tensor(format!(
                "`{name}` must be I64, not {:?}",
                view.dtype()
            )));
        }
        let values = view.data().chunks_exact(8);
        Ok(values
            .map(|b| i64::from_le_bytes(b.try_into().expect("chunks of 8 bytes")))
            .collect())
    }

    fn expect_shape(&self, name: &str, expected: &[usize]) -> Result<(), ParityError> {
        let view = self.view(name)?;
        if view.shape() == expected {
            return Ok(());
        }
        Err(ParityError::Tensor(format!(
            "`{name}` must be {expected:?}, not {:?}",
            view.shape()
        )))
    }

    /// The tensors whose name starts with `prefix`, without it, as a file of their own.
    fn under(&self, prefix: &str) -> Result<Vec<u8>, ParityError> {
        let tensors: BTreeMap<Cow<'_, str>, TensorView<'_>> = self
            .0
            .iter()
            .filter_map(|(name, view)| Some((name.strip_prefix(prefix)?.into(), view)))
            .collect();
        Ok(safetensors::serialize(tensors, None)?)
    }
}

fn to_f32(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, ParityError> {
    if view.dtype() != Dtype::F32 {
        return Err(ParityError::Tensor(format!(
            "`{name}` must be F32, not {:?}",
            view.dtype()
        )));
    }
    let values = view.data().chunks_exact(4);
    Ok(values
        .map(|b| f32::from_le_bytes(b.try_into().expect("chunks of 4 bytes")))
        .collect())
}

//! The tensors of a safetensors file that somebody brings, as the models name and store them.

use std::collections::{BTreeMap, BTreeSet};

use half::{bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

use super::{WeightsError, content};

/// What the wrappers of PyTorch put in front of the names of a model: `DataParallel` and its like, and
/// `torch.compile`, which can also stand inside of a name.
const WRAPPERS: [&str; 2] = ["module.", "_orig_mod."];

/// A tensor of 32-bit floats.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Weight {
    pub shape: Vec<usize>,
    pub values: Vec<f32>,
}

impl Weight {
    #[cfg(feature = "burn")]
    pub(super) fn zeros(shape: &[usize]) -> Self {
        let values = vec![0.0; shape.iter().product()];
        let shape = shape.to_vec();
        Self { shape, values }
    }
}

/// The tensors of a file by their names, and what was changed in reading them.
#[derive(Debug)]
pub(super) struct WeightsFile {
    pub tensors: BTreeMap<String, Weight>,
    #[cfg_attr(not(feature = "burn"), expect(dead_code, reason = "read by modules"))]
    pub notices: Vec<String>,
}

impl WeightsFile {
    /// Reads the bytes of a file, whose values are to be finite: see [`parse`](Self::parse).
    pub(super) fn read(bytes: &[u8]) -> Result<Self, WeightsError> {
        let file = Self::parse(bytes)?;
        let finite = |weight: &Weight| weight.values.iter().all(|value| value.is_finite());
        match file.tensors.iter().find(|(_, weight)| !finite(weight)) {
            Some((name, _)) => Err(WeightsError::NotFinite(name.clone())),
            None => Ok(file),
        }
    }

    /// Reads the bytes of a file: floats of 16 and 64 bits become those of 32, and the names lose what
    /// wrappers put in front of them.
    pub(super) fn parse(bytes: &[u8]) -> Result<Self, WeightsError> {
        let file = SafeTensors::deserialize(bytes)
            .map_err(|error| WeightsError::Content(content::describe(bytes, &error)))?;
        let mut tensors = BTreeMap::new();
        let mut notices = BTreeSet::new();
        // The order in a file is its writer's; errors name the same tensor whatever it is.
        for (full_name, view) in file.iter().collect::<BTreeMap<_, _>>() {
            let name = unwrapped(full_name);
            if name != full_name {
                notices.insert(
                    "the names in the file have `module.` or `_orig_mod.`, as PyTorch's wrappers \
                     write them: it is left out"
                        .to_owned(),
                );
            }
            if view.dtype() != Dtype::F32 {
                let kind = view.dtype();
                notices.insert(format!("weights of type {kind} are converted to F32"));
            }
            let values = floats(&name, &view)?;
            let shape = view.shape().to_vec();
            if tensors
                .insert(name.clone(), Weight { shape, values })
                .is_some()
            {
                let problem = format!("`{name}` is there twice, under names of wrappers");
                return Err(WeightsError::Mismatch(vec![problem]));
            }
        }
        Ok(Self {
            tensors,
            notices: notices.into_iter().collect(),
        })
    }

    /// Fails unless the tensors are those of `model`, by name and shape.
    #[cfg(feature = "burn")]
    pub(super) fn expect_those_of(
        &self,
        model: &BTreeMap<String, Vec<usize>>,
    ) -> Result<(), WeightsError> {
        let of_model = model
            .iter()
            .filter_map(|(name, shape)| match self.tensors.get(name) {
                None => Some(format!("`{name}` is missing")),
                Some(weight) if weight.shape != *shape => Some(format!(
                    "`{name}` is {:?} in the file and {shape:?} in the model",
                    weight.shape
                )),
                Some(_) => None,
            });
        let of_file = (self.tensors.keys())
            .filter(|name| !model.contains_key(*name))
            .map(|name| format!("the model has no `{name}`"));
        // In turn, so that the first ones show the names of both.
        let (mut of_model, mut of_file) = (of_model, of_file);
        let mut problems = Vec::new();
        loop {
            let pair = [of_model.next(), of_file.next()];
            if pair.iter().all(Option::is_none) {
                break;
            }
            problems.extend(pair.into_iter().flatten());
        }
        match problems.is_empty() {
            true => Ok(()),
            false => Err(WeightsError::Mismatch(problems)),
        }
    }

    /// Writes the tensors as a safetensors file.
    #[cfg(feature = "burn")]
    pub(super) fn to_bytes(&self) -> Result<Vec<u8>, WeightsError> {
        let data: Vec<(&String, &Weight, Vec<u8>)> = (self.tensors.iter())
            .map(|(name, weight)| {
                let bytes = weight.values.iter().flat_map(|value| value.to_le_bytes());
                (name, weight, bytes.collect())
            })
            .collect();
        let mut views = Vec::with_capacity(data.len());
        for (name, weight, bytes) in &data {
            let view = TensorView::new(Dtype::F32, weight.shape.clone(), bytes).map_err(format)?;
            views.push((name.as_str(), view));
        }
        safetensors::serialize(views, None).map_err(format)
    }
}

/// The shapes of the tensors in the bytes of a file, by their names.
#[cfg(feature = "burn")]
pub(super) fn shapes(bytes: &[u8]) -> Result<BTreeMap<String, Vec<usize>>, WeightsError> {
    let file = SafeTensors::deserialize(bytes).map_err(format)?;
    let shapes = file.iter();
    let shapes = shapes.map(|(name, view)| (name.to_owned(), view.shape().to_vec()));
    Ok(shapes.collect())
}

fn unwrapped(name: &str) -> String {
    let mut name = name;
    while let Some(rest) = WRAPPERS
        .iter()
        .find_map(|wrapper| name.strip_prefix(wrapper))
    {
        name = rest;
    }
    name.replace("._orig_mod.", ".")
}

/// The values of a tensor in single precision.
fn floats(name: &str, view: &TensorView<'_>) -> Result<Vec<f32>, WeightsError> {
    let bytes = view.data();
    Ok(match view.dtype() {
        Dtype::F32 => values(bytes, f32::from_le_bytes),
        Dtype::F16 => values(bytes, |bytes| f16::from_le_bytes(bytes).to_f32()),
        Dtype::BF16 => values(bytes, |bytes| bf16::from_le_bytes(bytes).to_f32()),
        Dtype::F64 => values(bytes, |bytes| f64::from_le_bytes(bytes) as f32),
        other => {
            let problem = format!(
                "`{name}` is of type {other}, and weights are floats: leave it out if it is none of them"
            );
            return Err(WeightsError::Mismatch(vec![problem]));
        }
    })
}

/// Reads numbers of `N` bytes each.
fn values<const N: usize>(bytes: &[u8], read: impl Fn([u8; N]) -> f32) -> Vec<f32> {
    let (numbers, _) = bytes.as_chunks::<N>();
    numbers.iter().map(|bytes| read(*bytes)).collect()
}

#[cfg(feature = "burn")]
pub(super) fn format(error: safetensors::SafeTensorError) -> WeightsError {
    WeightsError::Format(burn::store::SafetensorsStoreError::Safetensors(error))
}

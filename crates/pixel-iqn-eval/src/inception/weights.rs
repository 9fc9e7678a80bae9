use core::cell::RefCell;
use std::collections::{BTreeMap, HashMap};
use std::fs;
use std::io::Read;
use std::path::Path;

use pixel_iqn_data::{cut_off_archive, known_content, md5};
use pixel_iqn_kernels::Window;
use pytorch_reader::PytorchReader;
use safetensors::SafeTensors;

use super::architecture::{Conv, Engine, inception_v3};
use super::{CLASSES, DIMS};
use crate::error::EvalError;

#[cfg(feature = "download")]
const URL: &str = "https://github.com/toshas/torch-fidelity/releases/download/v0.2.0/weights-inception-2015-12-05-6726825d.pth";
#[cfg(feature = "download")]
const SHA256: &str = "6726825d0af5f729cebd5821db510b11b1cfad8faad88a03f1befd49fb9129b2";

/// The first bytes of a file by which a web page and the like are told.
const START: usize = 512;

/// The epsilon of the batch normalisation.
const EPSILON: f64 = 1e-3;

/// The weights of an [`InceptionV3`](crate::InceptionV3), with the batch normalisation folded into
/// the convolutions.
#[derive(Debug, Clone)]
pub struct InceptionWeights {
    pub(super) convs: HashMap<String, FoldedConv>,
    /// `[CLASSES, DIMS]`.
    pub(super) classifier: Vec<f32>,
}

/// A convolution with a bias.
#[derive(Debug, Clone)]
pub(super) struct FoldedConv {
    /// `[outputs, inputs, height, width]`.
    pub weight: Vec<f32>,
    pub shape: [usize; 4],
    pub bias: Vec<f32>,
}

/// A tensor of a file.
struct Raw {
    shape: Vec<usize>,
    values: Vec<f32>,
}

impl InceptionWeights {
    /// Reads `pt_inception-2015-12-05-6726825d.pth` of pytorch-fid,
    /// `weights-inception-2015-12-05-6726825d.pth` of torch-fidelity (the same file), or a
    /// safetensors file with the same tensors.
    ///
    /// # Errors
    ///
    /// [`EvalError::Io`] where the file cannot be read, [`EvalError::WeightsFormat`] where it is
    /// none of these, and [`EvalError::Weights`] where a tensor is missing, of another shape, or
    /// not one of the network.
    pub fn open(path: impl AsRef<Path>) -> Result<Self, EvalError> {
        let path = path.as_ref();
        let is_safetensors = path.extension().is_some_and(|e| e == "safetensors");
        let tensors = if is_safetensors {
            read_safetensors(path)?
        } else {
            read_pytorch(path)?
        };
        Self::from_tensors(tensors).map_err(|problems| EvalError::Weights {
            path: path.to_owned(),
            problems,
        })
    }

    /// Downloads the weights as torch-fidelity publishes them (96 MB) to a file, unless it is there
    /// and whole, as [`download`](pixel_iqn_data::download()) does with data sets.
    ///
    /// # Errors
    ///
    /// [`EvalError::Data`] where the server cannot be reached or sends other bytes.
    #[cfg(feature = "download")]
    pub fn download(file: impl AsRef<Path>) -> Result<(), EvalError> {
        let checksum = pixel_iqn_data::Checksum::Sha256(SHA256);
        Ok(pixel_iqn_data::fetch(URL, checksum, file.as_ref())?)
    }

    /// A checksum of all weights, in whichever form their file has them.
    pub(super) fn digest(&self) -> String {
        let of = |values: &[f32]| {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            md5(&bytes)
        };
        let mut names: Vec<&String> = self.convs.keys().collect();
        names.sort();
        let mut sums = of(&self.classifier);
        for name in names {
            let FoldedConv { weight, bias, .. } = &self.convs[name];
            sums += &format!("{name} {} {}\n", of(weight), of(bias));
        }
        md5(sums.as_bytes())
    }

    fn from_tensors(mut tensors: BTreeMap<String, Raw>) -> Result<Self, Vec<String>> {
        // A count of training batches, which nothing computes with.
        tensors.retain(|name, _| !name.ends_with(".bn.num_batches_tracked"));
        let mut problems = Vec::new();
        let mut take = |name: String, shape: &[usize]| match tensors.remove(&name) {
            Some(raw) if raw.shape == shape => raw.values,
            Some(raw) => {
                problems.push(format!("`{name}` is {:?}, not {shape:?}", raw.shape));
                Vec::new()
            }
            None => {
                problems.push(format!("`{name}` is missing"));
                Vec::new()
            }
        };
        let mut parts = Vec::new();
        for (name, shape) in convolutions() {
            let outputs = [shape[0]];
            let weight = take(format!("{name}.conv.weight"), &shape);
            let norm = ["weight", "bias", "running_mean", "running_var"]
                .map(|part| take(format!("{name}.bn.{part}"), &outputs));
            parts.push((name, shape, weight, norm));
        }
        let classifier = take("fc.weight".to_owned(), &[CLASSES, DIMS]);
        take("fc.bias".to_owned(), &[CLASSES]);
        problems.extend(
            tensors
                .keys()
                .map(|name| format!("the network has no `{name}`")),
        );
        if !problems.is_empty() {
            return Err(problems);
        }
        let convs = parts
            .into_iter()
            .map(|(name, shape, weight, norm)| (name, FoldedConv::new(weight, shape, &norm)))
            .collect();
        Ok(Self { convs, classifier })
    }
}

impl FoldedConv {
    /// `norm` is gain, shift, mean and variance of the batch normalisation.
    fn new(mut weight: Vec<f32>, shape: [usize; 4], norm: &[Vec<f32>; 4]) -> Self {
        let [gain, shift, mean, variance] = norm;
        let mut bias = Vec::with_capacity(shape[0]);
        for (output, weight) in weight
            .chunks_exact_mut(shape[1..].iter().product())
            .enumerate()
        {
            let scale = f64::from(gain[output]) / (f64::from(variance[output]) + EPSILON).sqrt();
            bias.push((f64::from(shift[output]) - f64::from(mean[output]) * scale) as f32);
            for w in weight {
                *w = (f64::from(*w) * scale) as f32;
            }
        }
        Self {
            weight,
            shape,
            bias,
        }
    }
}

/// Every convolution of the network with the shape of its weight.
fn convolutions() -> Vec<(String, [usize; 4])> {
    /// Its features are their number.
    struct Outline(RefCell<Vec<(String, [usize; 4])>>);

    impl Engine for Outline {
        type Map = usize;

        fn conv(&self, name: &str, inputs: &usize, conv: Conv) -> usize {
            let [height, width] = conv.kernel;
            let shape = [conv.outputs, *inputs, height, width];
            self.0.borrow_mut().push((name.to_owned(), shape));
            conv.outputs
        }

        fn max_pool(&self, channels: &usize, _: Window) -> usize {
            *channels
        }

        fn avg_pool(&self, channels: &usize) -> usize {
            *channels
        }

        fn concat(&self, maps: Vec<usize>) -> usize {
            maps.into_iter().sum()
        }
    }

    let outline = Outline(RefCell::default());
    let dims = inception_v3(&outline, &3);
    debug_assert_eq!(dims, DIMS);
    outline.0.into_inner()
}

fn read_pytorch(path: &Path) -> Result<BTreeMap<String, Raw>, EvalError> {
    let bad = |problem: String| EvalError::WeightsFormat {
        path: path.to_owned(),
        problem,
    };
    // For its message: the reader's own says less of a file that is not there.
    let mut file = fs::File::open(path).map_err(EvalError::io(path))?;
    let reader = PytorchReader::new(path).map_err(|error| {
        let mut start = Vec::new();
        let read = Read::by_ref(&mut file)
            .take(START as u64)
            .read_to_end(&mut start);
        // An archive is what it should be.
        let known = match read {
            Ok(_) if !start.starts_with(b"PK") => known_content(&start),
            _ => cut_off_archive(path),
        };
        bad(known.unwrap_or_else(|| error.to_string()))
    })?;
    reader
        .into_tensors()
        .into_iter()
        .map(|(name, tensor)| {
            let bytes = tensor.read().map_err(|error| bad(error.to_string()))?;
            let values = match tensor.dtype() {
                pytorch_reader::DType::F32 => floats(&bytes, f32::from_ne_bytes),
                _ if name.ends_with(".num_batches_tracked") => Vec::new(),
                other => return Err(bad(format!("`{name}` is of type {other:?}, not F32"))),
            };
            let shape = tensor.shape().to_vec();
            Ok((name, Raw { shape, values }))
        })
        .collect()
}

fn read_safetensors(path: &Path) -> Result<BTreeMap<String, Raw>, EvalError> {
    let bad = |problem: String| EvalError::WeightsFormat {
        path: path.to_owned(),
        problem,
    };
    let bytes = fs::read(path).map_err(EvalError::io(path))?;
    let file = SafeTensors::deserialize(&bytes).map_err(|error| {
        let known = known_content(&bytes[..bytes.len().min(START)]);
        bad(known.unwrap_or_else(|| error.to_string()))
    })?;
    file.iter()
        .map(|(name, tensor)| {
            let values = match tensor.dtype() {
                safetensors::Dtype::F32 => floats(tensor.data(), f32::from_le_bytes),
                _ if name.ends_with(".num_batches_tracked") => Vec::new(),
                other => return Err(bad(format!("`{name}` is of type {other:?}, not F32"))),
            };
            let shape = tensor.shape().to_vec();
            Ok((name.to_owned(), Raw { shape, values }))
        })
        .collect()
}

fn floats(bytes: &[u8], from: fn([u8; 4]) -> f32) -> Vec<f32> {
    let (words, _) = bytes.as_chunks::<4>();
    words.iter().map(|word| from(*word)).collect()
}

#[cfg(test)]
pub(super) mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_network_is_called_what_it_is() {
        let folder = tempfile::tempdir().unwrap();
        for name in ["w.pth", "w.safetensors"] {
            let path = folder.path().join(name);
            for (bytes, expected) in [
                (&b"<!DOCTYPE html>"[..], "a web page"),
                (
                    b"version https://git-lfs.github.com/spec/v1\n",
                    "git lfs pull",
                ),
                (b"", "an empty file"),
            ] {
                fs::write(&path, bytes).unwrap();
                let error = InceptionWeights::open(&path).unwrap_err().to_string();
                assert!(error.contains(expected), "{error}");
            }
        }
    }

    /// Weights by the formula of `xtask/src/eval_reference.py`, so that other implementations can
    /// have the same ones without a file.
    pub fn formula() -> InceptionWeights {
        let mut tensors = tensors();
        tensors.retain(|name, _| !name.ends_with("num_batches_tracked"));
        for (tensor, (name, raw)) in (0u32..).zip(&mut tensors) {
            let fan_in: usize = raw.shape[1..].iter().product();
            let bound = (6.0 / fan_in as f64).sqrt();
            for (i, x) in (0u32..).zip(&mut raw.values) {
                let u = uniform(tensor, i);
                *x = if raw.shape.len() > 1 {
                    (2.0 * u - 1.0) * bound
                } else if name.ends_with("running_var") || name.ends_with("bn.weight") {
                    0.75 + 0.5 * u
                } else {
                    0.2 * (u - 0.5)
                } as f32;
            }
        }
        InceptionWeights::from_tensors(tensors).unwrap()
    }

    /// In [0, 1), by the finaliser of MurmurHash3.
    fn uniform(tensor: u32, index: u32) -> f64 {
        let mut h = tensor.wrapping_mul(0x9e37_79b9).wrapping_add(index);
        h ^= h >> 16;
        h = h.wrapping_mul(0x85eb_ca6b);
        h ^= h >> 13;
        h = h.wrapping_mul(0xc2b2_ae35);
        h ^= h >> 16;
        f64::from(h >> 8) / f64::from(1u32 << 24)
    }

    /// What a file of the right form holds, all numbers 1.
    fn tensors() -> BTreeMap<String, Raw> {
        let ones = |shape: &[usize]| Raw {
            shape: shape.to_vec(),
            values: vec![1.0; shape.iter().product()],
        };
        let mut tensors = BTreeMap::new();
        for (name, shape) in convolutions() {
            tensors.insert(format!("{name}.conv.weight"), ones(&shape));
            for part in ["weight", "bias", "running_mean", "running_var"] {
                tensors.insert(format!("{name}.bn.{part}"), ones(&shape[..1]));
            }
            let count = Raw {
                shape: vec![],
                values: vec![],
            };
            tensors.insert(format!("{name}.bn.num_batches_tracked"), count);
        }
        tensors.insert("fc.weight".into(), ones(&[CLASSES, DIMS]));
        tensors.insert("fc.bias".into(), ones(&[CLASSES]));
        tensors
    }

    #[test]
    fn the_network_has_the_tensors_of_the_published_file() {
        // Its 566 entries: https://github.com/mseitzer/pytorch-fid
        assert_eq!(tensors().len(), 566);
        let numbers: usize = tensors().values().map(|raw| raw.values.len()).sum();
        // 95,628,359 bytes of four each, but for what the container adds.
        assert!(
            (95_000_000..95_628_359).contains(&(4 * numbers)),
            "{numbers}"
        );
    }

    #[test]
    fn normalisation_folds_into_the_convolution() {
        let weights = InceptionWeights::from_tensors(tensors()).unwrap();
        let conv = &weights.convs["Conv2d_1a_3x3"];
        // (w x - 1) / sqrt(1 + epsilon) + 1 with w = 1.
        let scale = 1.0 / 1.001f64.sqrt();
        assert!(
            conv.weight
                .iter()
                .all(|w| (f64::from(*w) - scale).abs() < 1e-7)
        );
        assert!(
            conv.bias
                .iter()
                .all(|b| (f64::from(*b) - (1.0 - scale)).abs() < 1e-7)
        );
    }

    #[test]
    fn every_tensor_that_does_not_fit_is_named() {
        let mut file = tensors();
        file.remove("fc.bias");
        file.insert(
            "AuxLogits.fc.bias".into(),
            file["fc.weight"].clone_shape(&[2]),
        );
        file.insert(
            "Mixed_7c.branch1x1.bn.bias".into(),
            file["fc.weight"].clone_shape(&[3]),
        );
        let problems = InceptionWeights::from_tensors(file).unwrap_err();
        assert_eq!(
            problems,
            [
                "`Mixed_7c.branch1x1.bn.bias` is [3], not [320]",
                "`fc.bias` is missing",
                "the network has no `AuxLogits.fc.bias`",
            ]
        );
    }

    impl Raw {
        fn clone_shape(&self, shape: &[usize]) -> Self {
            Self {
                shape: shape.to_vec(),
                values: self.values[..shape.iter().product()].to_vec(),
            }
        }
    }
}

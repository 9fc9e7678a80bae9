use anyhow::{bail, ensure};
use clap::ValueEnum;
use pixel_iqn::burn::tensor::{Bytes, DType, TensorData, bf16, f16};
use safetensors::SafeTensors;
use safetensors::tensor::{Dtype, TensorView};

/// The floats of a file of weights.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
pub enum Floats {
    /// float16: 11 significant bits
    F16,
    /// bfloat16: 8 significant bits, and the range of float32
    Bf16,
    /// float32
    F32,
}

impl Floats {
    pub fn name(self) -> &'static str {
        match self {
            Self::F16 => "float16",
            Self::Bf16 => "bfloat16",
            Self::F32 => "float32",
        }
    }

    fn kind(self) -> Dtype {
        match self {
            Self::F16 => Dtype::F16,
            Self::Bf16 => Dtype::BF16,
            Self::F32 => Dtype::F32,
        }
    }
}

/// Rounds the float32 tensors of a safetensors file to other floats.
pub fn narrow(bytes: &[u8], floats: Floats) -> anyhow::Result<Vec<u8>> {
    let file = SafeTensors::deserialize(bytes)?;
    let mut tensors = Vec::new();
    for (name, view) in file.iter() {
        if view.dtype() != Dtype::F32 {
            bail!("`{name}` is of type {}, not F32", view.dtype());
        }
        let shape = view.shape().to_vec();
        let bytes = Bytes::from_bytes_vec(view.data().to_vec());
        let data = TensorData::from_bytes(bytes, shape.clone(), DType::F32);
        let data = match floats {
            Floats::F16 => data.convert::<f16>(),
            Floats::Bf16 => data.convert::<bf16>(),
            Floats::F32 => data,
        };
        let finite = data.iter::<f32>().all(f32::is_finite);
        ensure!(
            finite,
            "`{name}` has a value beyond the range of {}",
            floats.name()
        );
        tensors.push((name, shape, data.as_bytes().to_vec()));
    }
    // By name, so that the same weights make the same file.
    tensors.sort_by_key(|(name, ..)| *name);
    let mut views = Vec::new();
    for (name, shape, bytes) in &tensors {
        views.push((*name, TensorView::new(floats.kind(), shape.clone(), bytes)?));
    }
    let metadata = [("format".to_owned(), "pt".to_owned())];
    Ok(safetensors::serialize(views, Some(metadata.into()))?)
}

/// Counts the numbers of a safetensors file.
pub fn count(bytes: &[u8]) -> anyhow::Result<usize> {
    let file = SafeTensors::deserialize(bytes)?;
    Ok(file
        .iter()
        .map(|(_, view)| view.shape().iter().product::<usize>())
        .sum())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_rounded_to_the_nearest_and_overflow_is_told() {
        let file = |values: &[f32]| {
            let bytes: Vec<u8> = values
                .iter()
                .flat_map(|value| value.to_le_bytes())
                .collect();
            let view = TensorView::new(Dtype::F32, vec![values.len()], &bytes).unwrap();
            safetensors::serialize([("a", view)], None).unwrap()
        };
        let bytes_of = |file: &[u8]| {
            let file = SafeTensors::deserialize(file).unwrap();
            file.tensor("a").unwrap().data().to_vec()
        };
        // 1 + 2^-8 is the middle of two bfloat16s, of which 1 is even.
        let saved = file(&[1.0 + 1.0 / 256.0, -2.0]);
        assert_eq!(count(&saved).unwrap(), 2);
        let bf16 = bytes_of(&narrow(&saved, Floats::Bf16).unwrap());
        assert_eq!(bf16, [0x80, 0x3f, 0x00, 0xc0]);
        let f16 = bytes_of(&narrow(&saved, Floats::F16).unwrap());
        assert_eq!(f16, [0x04, 0x3c, 0x00, 0xc0]);
        assert_eq!(
            bytes_of(&narrow(&saved, Floats::F32).unwrap()),
            bytes_of(&saved)
        );
        let error = narrow(&file(&[1e6]), Floats::F16).unwrap_err();
        assert!(error.to_string().contains("float16"), "{error}");
        assert!(narrow(&file(&[1e6]), Floats::Bf16).is_ok());
    }
}

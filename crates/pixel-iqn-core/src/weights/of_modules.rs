//! The weights of Burn's modules.

use std::collections::BTreeSet;

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};

use super::WeightsError;
use super::file::{self, Weight, WeightsFile};

/// Creates a store that keeps the names of the tensors, and leaves it to the caller to check which
/// of them are missing.
fn store(bytes: Option<Vec<u8>>) -> SafetensorsStore {
    SafetensorsStore::from_bytes(bytes)
        .skip_enum_variants(true)
        .map_indices_contiguous(false)
        .allow_partial(true)
        .validate(false)
}

/// Writes the weights of a model as the bytes of a safetensors file.
///
/// # Errors
///
/// [`WeightsError::Format`] where the weights cannot be read from the device.
pub fn to_safetensors<M: Module>(model: &M) -> Result<Vec<u8>, WeightsError> {
    // PyTorch writes this one metadata entry; Burn's own entries would be in random order.
    let mut store = store(None)
        .with_key_remapping(r"^(trunk|output)\.", "")
        .clear_metadata()
        .metadata("format", "pt");
    model.save_into(&mut store)?;
    Ok(store.get_bytes()?)
}

/// Replaces the weights of a model by those in the bytes of a safetensors file, and returns a sentence
/// for each difference that it bridged: floats of 16 or 64 bits are converted to those of 32, and the
/// prefixes `module.` and `_orig_mod.` of PyTorch's wrappers are left out of the names.
///
/// # Errors
///
/// [`WeightsError::Content`] where the bytes are not a safetensors file, [`WeightsError::Mismatch`] where a
/// tensor of the model is missing in the file or has another shape, or where the file has a tensor that
/// the model does not have, and [`WeightsError::NotFinite`]. The model is then as it was.
pub fn load_safetensors<M: Module>(
    model: &mut M,
    bytes: &[u8],
) -> Result<Vec<String>, WeightsError> {
    let file = WeightsFile::read(bytes)?;
    file.expect_those_of(&file::shapes(&to_safetensors(model)?)?)?;
    replace(model, &file)?;
    Ok(file.notices)
}

/// Replaces the weights of a model by those of a file that has the same.
fn replace<M: Module>(model: &mut M, file: &WeightsFile) -> Result<(), WeightsError> {
    let mut store = store(Some(file.to_bytes()?))
        .with_key_remapping(r"^(layers|hidden)\.", "trunk.$1.")
        .with_key_remapping(r"^(tau_embedding|head_blocks|out)\.", "output.$1.");
    let result = model.load_from(&mut store)?;
    let problems: Vec<String> = (result.missing.iter().map(|(path, _)| path.clone()))
        .chain(result.unused)
        .chain(result.errors.iter().map(ToString::to_string))
        .collect();
    match problems.is_empty() {
        true => Ok(()),
        false => Err(WeightsError::Mismatch(problems)),
    }
}

/// Replaces the weights of a model by those in the bytes of a safetensors file, to train it further,
/// and returns a sentence for each difference that it bridged.
///
/// Besides those of [`load_safetensors`], the biases of classes and generation orders may differ: those
/// that the file does not have, or has in another number, become 0, and those that the model does not
/// have are left out. All other tensors must be those of the model.
///
/// # Errors
///
/// The errors of [`load_safetensors`].
pub fn begin_from_safetensors<M: Module>(
    model: &mut M,
    bytes: &[u8],
) -> Result<Vec<String>, WeightsError> {
    let mut file = WeightsFile::read(bytes)?;
    let own = file::shapes(&to_safetensors(model)?)?;
    let mut bridged = BTreeSet::new();
    file.tensors.retain(|name, _| match biases_of(name) {
        Some(kind) if !own.contains_key(name) => {
            bridged.insert(format!(
                "the biases of the {kind} are left out: the model has none"
            ));
            false
        }
        _ => true,
    });
    for (name, shape) in &own {
        let Some(kind) = biases_of(name) else {
            continue;
        };
        if (file.tensors.get(name)).is_none_or(|weight| weight.shape != *shape) {
            file.tensors.insert(name.clone(), Weight::zeros(shape));
            bridged.insert(format!(
                "the biases of the {kind} begin at 0: the file has none of this number"
            ));
        }
    }
    file.expect_those_of(&own)?;
    replace(model, &file)?;
    let notices = file.notices.into_iter();
    Ok(notices.chain(bridged).collect())
}

/// What a tensor conditions a model on: the plural of its name, where it is a bias of classes or orders.
fn biases_of(name: &str) -> Option<&'static str> {
    let (_, name) = name.strip_prefix("layers.")?.split_once('.')?;
    match name {
        name if name.starts_with("label_") => Some("classes"),
        name if name.starts_with("order_") => Some("generation orders"),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnyModel, ModelConfig, Output, PixelModel};
    use burn::tensor::Device;
    use safetensors::SafeTensors;
    use safetensors::tensor::{Dtype, TensorView};

    #[test]
    fn round_trip_keeps_every_bit() {
        let device = Device::flex();
        for kind in Output::KINDS {
            let output = Output::of_kind(kind).unwrap();
            let config = ModelConfig::tiny().with_classes(2).with_output(output);
            let saved = to_safetensors(&AnyModel::init(&config, &device)).unwrap();
            let mut other = AnyModel::init(&config, &device);
            assert_ne!(to_safetensors(&other).unwrap(), saved);
            load_safetensors(&mut other, &saved).unwrap();
            assert_eq!(to_safetensors(&other).unwrap(), saved);
            // The typed model has the same names.
            if config.output.is_quantile() {
                let mut typed = config.init_pixel_iqn(&device);
                load_safetensors(&mut typed, &saved).unwrap();
                assert_eq!(to_safetensors(&typed).unwrap(), saved);
            }
        }
    }

    #[test]
    fn names_are_the_references() {
        let config = ModelConfig::tiny()
            .with_layers(1)
            .with_classes(2)
            .with_output(Output::head(1, 16, 8));
        let bytes = to_safetensors(&config.init_pixel_iqn(&Device::flex())).unwrap();
        let mut names: Vec<String> = SafeTensors::deserialize(&bytes)
            .unwrap()
            .names()
            .into_iter()
            .map(ToString::to_string)
            .collect();
        names.sort();
        let expected = "head_blocks.0.input.0.bias head_blocks.0.input.0.weight \
             head_blocks.0.input.1.bias head_blocks.0.input.1.weight \
             head_blocks.0.output.bias head_blocks.0.output.weight head_blocks.0.tau.weight \
             hidden.bias hidden.weight layers.0.horizontal.bias layers.0.horizontal.weight \
             layers.0.label_horizontal.weight layers.0.label_vertical.weight \
             layers.0.output.bias layers.0.output.weight layers.0.vertical.bias \
             layers.0.vertical.weight layers.0.vertical_to_horizontal.bias \
             layers.0.vertical_to_horizontal.weight out.bias out.weight \
             tau_embedding.linear.bias tau_embedding.linear.weight";
        assert_eq!(names, expected.split_whitespace().collect::<Vec<_>>());
    }

    #[test]
    fn a_training_begins_from_weights_without_its_classes_and_orders() {
        let device = Device::flex();
        let config = ModelConfig::tiny().with_classes(2);
        let trained = config.init_pixel_iqn(&device);
        let saved = to_safetensors(&trained).unwrap();

        let new = config.clone().with_classes(3).with_orders(8);
        let mut model = new.init_pixel_iqn(&device);
        let notices = begin_from_safetensors(&mut model, &saved).unwrap();
        assert_eq!(notices.len(), 2, "{notices:?}");
        assert!(notices[0].contains("classes begin at 0"), "{notices:?}");
        assert!(notices[1].contains("orders begin at 0"), "{notices:?}");
        let layer = &model.trunk.layers[0];
        for embedding in [&layer.label_vertical, &layer.order_horizontal] {
            let weight = embedding.as_ref().unwrap().weight.val();
            assert_eq!(weight.abs().sum().into_scalar::<f32>(), 0.0);
        }
        let vertical = |model: &crate::PixelIqn| model.trunk.layers[1].vertical.weight.to_data();
        assert_eq!(vertical(&model), vertical(&trained));

        let mut model = config.clone().with_classes(0).init_pixel_iqn(&device);
        let notices = begin_from_safetensors(&mut model, &saved).unwrap();
        assert_eq!(notices.len(), 1, "{notices:?}");
        assert!(notices[0].contains("left out"), "{notices:?}");
        let mut model = config.init_pixel_iqn(&device);
        assert!(
            begin_from_safetensors(&mut model, &saved)
                .unwrap()
                .is_empty()
        );
        assert_eq!(to_safetensors(&model).unwrap(), saved);

        let mut model = ModelConfig::tiny().with_layers(4).init_pixel_iqn(&device);
        let error = begin_from_safetensors(&mut model, &saved).unwrap_err();
        assert!(matches!(error, WeightsError::Mismatch(_)), "{error}");
    }

    #[test]
    fn another_models_weights_are_refused() {
        let device = Device::flex();
        let config = ModelConfig::tiny().with_output(Output::categorical(16));
        let saved = to_safetensors(&config.init_gated_pixel_cnn(&device)).unwrap();

        let mut deeper = config.clone().with_layers(4).init_gated_pixel_cnn(&device);
        let error = load_safetensors(&mut deeper, &saved).unwrap_err();
        assert!(error.to_string().ends_with("; and 6 more"), "{error}");
        let WeightsError::Mismatch(problems) = error else {
            panic!("{error}");
        };
        let missing = "`layers.3.vertical.weight` is missing".to_owned();
        assert!(problems.contains(&missing), "{problems:?}");

        let mut shallower = config.clone().with_layers(2).init_gated_pixel_cnn(&device);
        let error = load_safetensors(&mut shallower, &saved).unwrap_err();
        let WeightsError::Mismatch(problems) = error else {
            panic!("{error}");
        };
        let unknown = "the model has no `layers.2.vertical.weight`".to_owned();
        assert!(problems.contains(&unknown), "{problems:?}");

        let mut wider = config.with_features(24).init_gated_pixel_cnn(&device);
        let error = load_safetensors(&mut wider, &saved).unwrap_err();
        assert!(matches!(error, WeightsError::Mismatch(_)), "{error}");

        let error = load_safetensors(&mut wider, &saved[..100]).unwrap_err();
        assert!(matches!(error, WeightsError::Content(_)), "{error}");
    }

    #[test]
    fn what_is_no_safetensors_file_is_called_what_it_is() {
        let device = Device::flex();
        let mut model = ModelConfig::tiny().init_pixel_iqn(&device);
        let saved = to_safetensors(&model).unwrap();
        let cut = saved.len() - 1;
        let (length, longer) = (cut.to_string(), [&saved[..], &[0]].concat());
        for (bytes, expected) in [
            (&b""[..], "an empty file"),
            (
                b"version https://git-lfs.github.com/spec/v1\noid",
                "git lfs pull",
            ),
            (b"\n<!DOCTYPE html><title>404</title>", "a web page"),
            (b"PK\x03\x04archive/data.pkl", "save_file"),
            (b"\x80\x02}q\x00", "save_file"),
            (&[0; 40], "zeros"),
            (&saved[..5], "no safetensors file"),
            (&saved[..100], "cut off after 100 bytes"),
            (&saved[..cut], &length),
            (&longer, "put behind it"),
            (b"some notes on weights", "no safetensors file"),
        ] {
            let error = load_safetensors(&mut model, bytes).unwrap_err().to_string();
            assert!(
                error.starts_with("they are ") && error.contains(expected),
                "{error}"
            );
        }
    }

    /// The file `saved` with its tensors changed, under names that `rename` gives them.
    fn rewritten(
        saved: &[u8],
        kind: Dtype,
        value: impl Fn(f32) -> Vec<u8>,
        rename: impl Fn(&str) -> String,
    ) -> Vec<u8> {
        let file = SafeTensors::deserialize(saved).unwrap();
        let tensors: Vec<(String, Vec<usize>, Vec<u8>)> = (file.iter())
            .map(|(name, view)| {
                let values = view.data().chunks_exact(4);
                let values = values.map(|word| f32::from_le_bytes(word.try_into().unwrap()));
                (
                    rename(name),
                    view.shape().to_vec(),
                    values.flat_map(&value).collect(),
                )
            })
            .collect();
        let views = tensors.iter().map(|(name, shape, bytes)| {
            let view = TensorView::new(kind, shape.clone(), bytes).unwrap();
            (name.as_str(), view)
        });
        safetensors::serialize(views.collect::<Vec<_>>(), None).unwrap()
    }

    #[test]
    fn floats_of_every_size_and_names_of_wrappers_are_read() {
        let device = Device::flex();
        let config = ModelConfig::tiny().with_classes(2);
        // Numbers that 16 bits hold exactly.
        let mut model = config.init_pixel_iqn(&device);
        let saved = to_safetensors(&model).unwrap();
        let rounded = |x: f32| f32::from_bits(x.to_bits() & 0xffff_0000);
        let same = str::to_owned;
        let f32s = rewritten(
            &saved,
            Dtype::F32,
            |x| rounded(x).to_le_bytes().to_vec(),
            same,
        );
        let bf16s = |x: f32| ((x.to_bits() >> 16) as u16).to_le_bytes().to_vec();
        let f64s = |x: f32| f64::from(rounded(x)).to_le_bytes().to_vec();
        let wrapped = |name: &str| format!("module._orig_mod.{name}");
        let inner = |name: &str| name.replace("layers.0.", "layers.0._orig_mod.");
        for (file, notices) in [
            (f32s.clone(), 0),
            (rewritten(&saved, Dtype::BF16, bf16s, same), 1),
            (rewritten(&saved, Dtype::F64, f64s, same), 1),
            (rewritten(&saved, Dtype::F64, f64s, wrapped), 2),
            (rewritten(&saved, Dtype::BF16, bf16s, inner), 2),
        ] {
            let found = load_safetensors(&mut model, &file).unwrap();
            assert_eq!(found.len(), notices, "{found:?}");
            let loaded = to_safetensors(&model).unwrap();
            let [loaded, expected] =
                [&loaded, &f32s].map(|bytes| SafeTensors::deserialize(bytes).unwrap());
            for (name, view) in expected.iter() {
                assert_eq!(loaded.tensor(name).unwrap().data(), view.data(), "{name}");
            }
        }
        let prefixed = |name: &str| format!("model.{name}");
        let file = rewritten(&saved, Dtype::BF16, bf16s, prefixed);
        let error = load_safetensors(&mut model, &file).unwrap_err().to_string();
        assert!(error.contains("`hidden.bias` is missing; the model has no `model.hidden.bias`"));
        let halves = |_| vec![0x00, 0x38];
        let file = rewritten(&saved, Dtype::F16, halves, same);
        load_safetensors(&mut model, &file).unwrap();
        let bias = model.trunk.hidden.bias.val().into_data();
        assert!(bias.iter::<f32>().all(|value| value == 0.5));
    }

    #[test]
    fn weights_that_are_no_numbers_and_no_floats_are_named() {
        let device = Device::flex();
        let mut model = ModelConfig::tiny().init_pixel_iqn(&device);
        let saved = to_safetensors(&model).unwrap();
        let same = str::to_owned;
        for value in [f32::NAN, f32::INFINITY] {
            let file = rewritten(&saved, Dtype::F32, |_| value.to_le_bytes().to_vec(), same);
            let error = load_safetensors(&mut model, &file).unwrap_err();
            assert!(matches!(&error, WeightsError::NotFinite(name) if name == "hidden.bias"));
        }
        // Too large for 32 bits.
        let file = rewritten(
            &saved,
            Dtype::F64,
            |_| 1e300f64.to_le_bytes().to_vec(),
            same,
        );
        let error = load_safetensors(&mut model, &file).unwrap_err();
        assert!(matches!(error, WeightsError::NotFinite(_)), "{error}");
        let file = rewritten(&saved, Dtype::I32, |_| vec![0; 4], same);
        let error = load_safetensors(&mut model, &file).unwrap_err().to_string();
        assert!(error.contains("`hidden.bias` is of type I32"), "{error}");
        // What failed has changed nothing.
        assert_eq!(to_safetensors(&model).unwrap(), saved);
    }
}

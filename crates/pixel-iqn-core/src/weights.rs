//! Saves and loads weights as safetensors, in the layouts of PyTorch.
//!
//! The names are those of the reference implementation, for example `layers.0.vertical.weight`,
//! `hidden.bias`, `tau_embedding.linear.weight` and `out.weight`, so that its `state_dict` loads
//! without a conversion.

use std::collections::{BTreeMap, BTreeSet};

use burn::module::Module;
use burn::store::{ModuleSnapshot, SafetensorsStore};
use safetensors::SafeTensors;
use safetensors::tensor::TensorView;

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

/// Replaces the weights of a model by those in the bytes of a safetensors file.
///
/// # Errors
///
/// [`WeightsError::Format`] where the bytes are not a safetensors file, and
/// [`WeightsError::Mismatch`] where a tensor of the model is missing in the file or has another
/// shape or type, or where the file has a tensor that the model does not have. The model is then
/// only partly loaded.
pub fn load_safetensors<M: Module>(model: &mut M, bytes: Vec<u8>) -> Result<(), WeightsError> {
    let mut store = store(Some(bytes))
        .with_key_remapping(r"^(layers|hidden)\.", "trunk.$1.")
        .with_key_remapping(r"^(tau_embedding|head_blocks|out)\.", "output.$1.");
    let result = model.load_from(&mut store)?;
    let without_trunk = |path: &str| {
        let outer = ["trunk.", "output."];
        let inner = outer.iter().find_map(|outer| path.strip_prefix(outer));
        inner.unwrap_or(path).to_owned()
    };
    let problems: Vec<String> = result
        .missing
        .iter()
        .map(|(path, _)| format!("`{}` is missing", without_trunk(path)))
        .chain(
            result
                .unused
                .iter()
                .map(|path| format!("the model has no `{}`", without_trunk(path))),
        )
        .chain(result.errors.iter().map(ToString::to_string))
        .collect();
    if problems.is_empty() {
        Ok(())
    } else {
        Err(WeightsError::Mismatch(problems))
    }
}

/// Replaces the weights of a model by those in the bytes of a safetensors file, to train it further,
/// and returns a sentence for each difference that it bridged.
///
/// The biases of classes and generation orders may differ: those that the file does not have, or has
/// in another number, become 0, and those that the model does not have are left out. All other
/// tensors must be those of the model.
///
/// # Errors
///
/// The errors of [`load_safetensors`].
pub fn begin_from_safetensors<M: Module>(
    model: &mut M,
    bytes: &[u8],
) -> Result<Vec<String>, WeightsError> {
    let is_condition = |name: &str| {
        let layer = name.strip_prefix("layers.").unwrap_or_default();
        let name = layer.split_once('.').map_or("", |(_, name)| name);
        ["label_", "order_"]
            .iter()
            .any(|kind| name.starts_with(kind))
    };
    let format = |error: safetensors::SafeTensorError| {
        WeightsError::Format(burn::store::SafetensorsStoreError::Safetensors(error))
    };
    let own = to_safetensors(model)?;
    let own = SafeTensors::deserialize(&own).map_err(format)?;
    let file = SafeTensors::deserialize(bytes).map_err(format)?;
    let mut tensors: BTreeMap<String, TensorView<'_>> = file.tensors().into_iter().collect();
    let mut bridged = BTreeSet::new();
    let kind = |name: &str| match name.contains("label_") {
        true => "classes",
        false => "generation orders",
    };
    tensors.retain(|name, _| {
        let keep = !is_condition(name) || own.tensor(name).is_ok();
        if !keep {
            bridged.insert(format!(
                "the biases of the {} are left out: the model has none",
                kind(name)
            ));
        }
        keep
    });
    let zeros: Vec<u8> = vec![
        0;
        own.iter()
            .map(|(_, view)| view.data().len())
            .max()
            .unwrap_or(0)
    ];
    for (name, view) in own.iter().filter(|(name, _)| is_condition(name)) {
        let fits = |theirs: &TensorView<'_>| theirs.shape() == view.shape();
        if !tensors.get(name).is_some_and(fits) {
            let zero = TensorView::new(
                view.dtype(),
                view.shape().to_vec(),
                &zeros[..view.data().len()],
            );
            tensors.insert(name.to_owned(), zero.map_err(format)?);
            bridged.insert(format!(
                "the biases of the {} begin at 0: the file has none of this number",
                kind(name)
            ));
        }
    }
    let bytes = safetensors::serialize(tensors, None).map_err(format)?;
    load_safetensors(model, bytes)?;
    Ok(bridged.into_iter().collect())
}

/// The error of weights that cannot be saved or loaded.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum WeightsError {
    /// The bytes are not a safetensors file, or tensors cannot be read or written; the source says
    /// why.
    #[error("they are no safetensors file, or a damaged one, or cannot be read from their device")]
    Format(#[from] burn::store::SafetensorsStoreError),
    /// The tensors of the file are not those of the model, with a message for each that differs.
    #[error("the weights are of another model: {}", first_of(.0))]
    Mismatch(Vec<String>),
}

/// The first problems, and the number of the others.
fn first_of(problems: &[String]) -> String {
    const SHOWN: usize = 2;
    let shown = problems[..problems.len().min(SHOWN)].join("; ");
    match problems.len().saturating_sub(SHOWN) {
        0 => shown,
        more => format!("{shown}; and {more} more"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{AnyModel, ModelConfig, Output, PixelModel};
    use burn::tensor::Device;

    #[test]
    fn round_trip_keeps_every_bit() {
        let device = Device::flex();
        for kind in Output::KINDS {
            let output = Output::of_kind(kind).unwrap();
            let config = ModelConfig::tiny().with_classes(2).with_output(output);
            let saved = to_safetensors(&AnyModel::init(&config, &device)).unwrap();
            let mut other = AnyModel::init(&config, &device);
            assert_ne!(to_safetensors(&other).unwrap(), saved);
            load_safetensors(&mut other, saved.clone()).unwrap();
            assert_eq!(to_safetensors(&other).unwrap(), saved);
            // The typed model has the same names.
            if config.output.is_quantile() {
                let mut typed = config.init_pixel_iqn(&device);
                load_safetensors(&mut typed, saved.clone()).unwrap();
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
        let error = load_safetensors(&mut deeper, saved.clone()).unwrap_err();
        assert!(error.to_string().ends_with("; and 6 more"), "{error}");
        let WeightsError::Mismatch(problems) = error else {
            panic!("{error}");
        };
        let missing = "`layers.3.vertical.weight` is missing".to_owned();
        assert!(problems.contains(&missing), "{problems:?}");

        let mut shallower = config.clone().with_layers(2).init_gated_pixel_cnn(&device);
        let error = load_safetensors(&mut shallower, saved.clone()).unwrap_err();
        let WeightsError::Mismatch(problems) = error else {
            panic!("{error}");
        };
        let unknown = "the model has no `layers.2.vertical.weight`".to_owned();
        assert!(problems.contains(&unknown), "{problems:?}");

        let mut wider = config.with_features(24).init_gated_pixel_cnn(&device);
        let error = load_safetensors(&mut wider, saved.clone()).unwrap_err();
        assert!(matches!(error, WeightsError::Mismatch(_)), "{error}");

        let error = load_safetensors(&mut wider, saved[..100].to_vec()).unwrap_err();
        assert!(matches!(error, WeightsError::Format(_)), "{error}");
    }
}

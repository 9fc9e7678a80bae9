use core::time::Duration;

use burn::tensor::Device;

use crate::remote;

/// A device and what suits it: the backend-specific part of a program.
#[derive(Debug, Clone)]
#[non_exhaustive]
pub struct DeviceDefaults {
    /// The name of the device.
    pub name: String,
    /// The device that holds the tensors.
    pub device: Device,
    /// Name of the model preset: see [`ModelConfig::preset`](crate::ModelConfig::preset).
    pub preset: &'static str,
    /// Images in a training step.
    pub batch: usize,
    /// Training steps of a first look.
    pub steps: usize,
    /// Held-out images to score after it.
    pub eval_images: usize,
    /// Samples to draw after it.
    pub samples: usize,
}

/// The name of the device that a program takes without being asked: the first of `cuda`, `vulkan`, `wgpu`
/// and `cpu` that it was compiled for, by crate features.
pub const DEFAULT_DEVICE: &str = if cfg!(feature = "cuda") {
    "cuda"
} else if cfg!(feature = "vulkan") {
    "vulkan"
} else if cfg!(feature = "wgpu") {
    "wgpu"
} else {
    "cpu"
};

/// The device called `name`: `cpu`, `ndarray`, `wgpu`, `vulkan` or `cuda`.
///
/// The latter three also take the index of a GPU, as `cuda:1`, and `wgpu` and `vulkan` a kind of
/// adapter: `wgpu:discrete`, `wgpu:integrated`, `wgpu:virtual` (these with an index among their
/// kind, too, as `wgpu:discrete:1`) and `wgpu:software`, a rasteriser on the CPU such as Mesa's
/// lavapipe.
///
/// # Errors
///
/// [`DeviceError::Unknown`] for another name, [`DeviceError::NotCompiledIn`] where a crate feature is
/// off, and [`DeviceError::Unavailable`] where the machine has no such device.
pub fn device(name: &str) -> Result<Device, DeviceError> {
    Ok(device_defaults(name)?.device)
}

/// The device called `name`, and what suits it.
///
/// # Errors
///
/// As [`device`].
pub fn device_defaults(name: &str) -> Result<DeviceDefaults, DeviceError> {
    let unknown = || DeviceError::Unknown(name.to_owned());
    if remote::address_of(name).is_some() {
        return Err(DeviceError::RemoteFirst(name.to_owned()));
    }
    let (backend, which) = match name.split_once(':') {
        Some((_, "")) => return Err(unknown()),
        Some((backend, which)) => (backend, Some(which)),
        None => (name, None),
    };
    match (backend, which) {
        ("cpu", None) => cpu(name),
        ("ndarray", None) => ndarray(name),
        ("wgpu", which) => wgpu(name, which.unwrap_or_default()),
        ("vulkan", which) => vulkan(name, which.unwrap_or_default()),
        ("cuda", which) => cuda(name, which.unwrap_or("0").parse().map_err(|_| unknown())?),
        _ => Err(unknown()),
    }
}

/// The devices of a training, and what suits them: `names` are separated by commas. All but the first may
/// be of other machines, as `remote:HOST:PORT`, where `pixel-iqn serve-device` runs; they are connected
/// to, and get the token in the environment variable `PIXEL_IQN_TOKEN`.
///
/// # Errors
///
/// As [`device`]; also [`DeviceError::RemoteFirst`] where the first is of another machine.
pub fn devices(names: &str) -> Result<Vec<DeviceDefaults>, DeviceError> {
    let mut devices: Vec<DeviceDefaults> = Vec::new();
    for name in names.split(',').map(str::trim) {
        let device = match (remote::address_of(name), devices.first()) {
            (Some(address), Some(first)) => DeviceDefaults {
                name: name.to_owned(),
                device: remote::connect(address, CONNECT_LIMIT)?,
                ..first.clone()
            },
            _ => device_defaults(name)?,
        };
        devices.push(device);
    }
    Ok(devices)
}

/// How long connecting to a server may take: Burn tries for 16 seconds.
const CONNECT_LIMIT: Duration = Duration::from_secs(30);

impl DeviceDefaults {
    /// Whether it is of another machine.
    pub(crate) fn is_remote(&self) -> bool {
        remote::address_of(&self.name).is_some()
    }
}

/// Returns whether a device is one of the CPU's backends.
pub(crate) fn is_cpu(device: &Device) -> bool {
    let is = |name| self::device(name).is_ok_and(|cpu| cpu == *device);
    is("cpu") || is("ndarray")
}

/// Defines a function that builds [`DeviceDefaults`] where its feature is on, and names the feature of
/// the device where it is off.
macro_rules! backend {
    ($name:ident($called:ident $(, $argument:ident: $type:ty)*), $feature:literal, $backend:ident, $device:expr) => {
        #[cfg(feature = $feature)]
        fn $name($called: &str $(, $argument: $type)*) -> Result<DeviceDefaults, DeviceError> {
            Ok(DeviceDefaults {
                name: $called.to_owned(),
                device: $device,
                preset: $backend::PRESET,
                batch: $backend::BATCH,
                steps: $backend::STEPS,
                eval_images: $backend::EVAL_IMAGES,
                samples: $backend::SAMPLES,
            })
        }

        #[cfg(not(feature = $feature))]
        fn $name(_: &str $(, _: $type)*) -> Result<DeviceDefaults, DeviceError> {
            Err(DeviceError::NotCompiledIn(stringify!($name), stringify!($name)))
        }
    };
}

backend!(cpu(name), "cpu", pixel_iqn_cpu, pixel_iqn_cpu::flex());
backend!(
    ndarray(name),
    "ndarray",
    pixel_iqn_cpu,
    pixel_iqn_cpu::ndarray()
);
backend!(
    wgpu(name, adapter: &str),
    "wgpu",
    pixel_iqn_wgpu,
    pixel_iqn_wgpu::wgpu(adapter_of(name, adapter)?).map_err(unavailable)?
);
backend!(
    vulkan(name, adapter: &str),
    "vulkan",
    pixel_iqn_wgpu,
    pixel_iqn_wgpu::vulkan(adapter_of(name, adapter)?).map_err(unavailable)?
);
backend!(
    cuda(name, index: usize),
    "cuda",
    pixel_iqn_cuda,
    pixel_iqn_cuda::cuda(index).map_err(unavailable)?
);

#[cfg(feature = "wgpu")]
fn adapter_of(name: &str, adapter: &str) -> Result<pixel_iqn_wgpu::Adapter, DeviceError> {
    let unknown = |_| DeviceError::Unknown(name.to_owned());
    adapter.parse().map_err(unknown)
}

#[cfg(any(feature = "wgpu", feature = "cuda"))]
fn unavailable(error: impl std::error::Error) -> DeviceError {
    DeviceError::Unavailable(error.to_string())
}

/// Why there is no such device.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum DeviceError {
    /// No device has this name.
    #[error(
        "unknown device `{0}`: the devices are `cpu`, `ndarray`, `wgpu`, `vulkan` and `cuda`, the \
         last three also with the index of a GPU, as `cuda:1`, and wgpu and vulkan with a kind: \
         `wgpu:discrete`, `wgpu:integrated`, `wgpu:virtual` or `wgpu:software`; a training also takes \
         devices of other machines after the first, as `remote:HOST:PORT`"
    )]
    Unknown(String),
    /// The crate feature of the device, the second field, is off.
    #[error(
        "the device `{0}` is not compiled in: it needs the feature `{1}` of `pixel-iqn`, as in \
         `cargo run --release --features {1} ...`"
    )]
    NotCompiledIn(&'static str, &'static str),
    /// A device of another machine, which can only be a further one of a training.
    #[error(
        "the device `{0}` is of another machine, and can only be a further one of a training, as in \
         `--device cpu,{0}`: the first has the weights, the optimizer and the sum of the gradients, \
         which would be lost with the connection, and moved between servers at every step"
    )]
    RemoteFirst(String),
    /// The device of this machine cannot be served; the text says why.
    #[error("{0}")]
    NotServed(String),
    /// The machine has no such device; the text says what was found.
    #[error("{0}")]
    Unavailable(String),
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn unknown_names_list_the_choices() {
        for name in [
            "", "gpu", "cpu:0", "cuda:", "cuda:x", "cuda:-1", "CPU", "wgpu:",
        ] {
            let error = device(name).unwrap_err();
            assert_eq!(error, DeviceError::Unknown(name.to_owned()));
            assert!(error.to_string().contains("`cuda:1`"));
        }
    }

    #[test]
    #[cfg(feature = "cpu")]
    fn a_device_of_another_machine_comes_after_the_first() {
        for names in ["remote:gpu:1", "remote:gpu:1,cpu", "remote:"] {
            let error = devices(names).unwrap_err();
            assert!(matches!(error, DeviceError::RemoteFirst(_)));
            let text = error.to_string();
            assert!(
                text.contains("--device cpu,remote:") && text.contains("optimizer"),
                "{text}"
            );
        }
        assert!(device("remote:gpu:1").is_err());
        let names = devices("cpu, cpu")
            .unwrap()
            .into_iter()
            .map(|device| device.name);
        assert_eq!(names.collect::<Vec<_>>(), ["cpu", "cpu"]);
        assert!(devices("cpu,").is_err());
        #[cfg(not(feature = "remote"))]
        assert!(
            devices("cpu,remote:gpu:1")
                .unwrap_err()
                .to_string()
                .contains("--features remote")
        );
    }

    #[test]
    #[cfg(not(feature = "cuda"))]
    fn a_feature_that_is_off_is_named() {
        for name in ["cuda", "cuda:1"] {
            let error = device(name).unwrap_err().to_string();
            assert!(error.contains("--features cuda"), "{error}");
        }
    }

    #[test]
    #[cfg(feature = "cpu")]
    fn the_preset_of_a_device_exists() {
        let defaults = device_defaults("cpu").unwrap();
        assert!(crate::ModelConfig::preset(defaults.preset).is_ok());
    }
}

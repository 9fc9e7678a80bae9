use core::fmt;
use core::str::FromStr;

use burn::tensor::{Device, DeviceKind, DeviceType};

/// The model preset for a GPU.
pub const PRESET: &str = "paper_small";

/// The number of images in a training step that fits into a few GiB of memory.
pub const BATCH: usize = 32;

/// The number of training steps of a first run.
pub const STEPS: usize = 20_000;

/// The number of held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 1000;

/// The number of images that are sampled after training.
pub const SAMPLES: usize = 64;

/// The choice of an adapter, which is a GPU or a software rasteriser of a machine.
///
/// Its text is empty for the default, an index such as `1`, or a kind: `discrete`, `integrated`,
/// `virtual` or `software`. The first three kinds also take an index among the adapters of the
/// kind, such as `discrete:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[non_exhaustive]
pub enum Adapter {
    /// The adapter that the environment variable `CUBECL_WGPU_DEFAULT_DEVICE` names (for example
    /// `DiscreteGpu(1)` or `Cpu`), else the one that WGPU calls high-performance.
    #[default]
    Default,
    /// The adapter with this index in the list of all adapters, which [`NoAdapter`] shows.
    Index(usize),
    /// The graphics card with this index among the graphics cards.
    Discrete(usize),
    /// The GPU with this index among those that share their memory with the processor.
    Integrated(usize),
    /// The GPU with this index among those of a virtual machine.
    Virtual(usize),
    /// A rasteriser that runs on the CPU, such as Mesa's lavapipe.
    Software,
}

/// The error of a text that names no adapter, with that text.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is not an adapter: give an index such as `1`, or a kind: `discrete`, `integrated`, \
     `virtual` or `software`, the first three also with an index, such as `discrete:1`"
)]
pub struct ParseAdapterError(pub String);

impl FromStr for Adapter {
    type Err = ParseAdapterError;

    fn from_str(text: &str) -> Result<Self, ParseAdapterError> {
        let error = || ParseAdapterError(text.to_owned());
        let number = |text: &str| text.parse::<usize>().map_err(|_| error());
        let (kind, index) = match text.split_once(':') {
            Some((kind, index)) => (kind, number(index)?),
            None => (text, 0),
        };
        match kind {
            "" if text.is_empty() => Ok(Self::Default),
            "discrete" => Ok(Self::Discrete(index)),
            "integrated" => Ok(Self::Integrated(index)),
            "virtual" => Ok(Self::Virtual(index)),
            "software" if !text.contains(':') => Ok(Self::Software),
            _ => Ok(Self::Index(number(text)?)),
        }
    }
}

impl fmt::Display for Adapter {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => write!(f, "default"),
            Self::Index(index) => write!(f, "{index}"),
            Self::Discrete(index) => write!(f, "discrete:{index}"),
            Self::Integrated(index) => write!(f, "integrated:{index}"),
            Self::Virtual(index) => write!(f, "virtual:{index}"),
            Self::Software => write!(f, "software"),
        }
    }
}

/// The error of an adapter that the machine does not have.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no WGPU adapter `{adapter}`: {}", listed(found))]
#[non_exhaustive]
pub struct NoAdapter {
    /// The adapter that was asked for.
    pub adapter: Adapter,
    /// The adapters of the machine in the order of their indices.
    pub found: Vec<String>,
}

/// Describes the adapters of a machine.
fn listed(found: &[String]) -> String {
    if found.is_empty() {
        return "none was found. A GPU needs its driver; without a GPU, Mesa's lavapipe runs on the \
                CPU (Debian: apt install mesa-vulkan-drivers libvulkan1)"
            .to_owned();
    }
    let list = found.iter().enumerate();
    let list: Vec<String> = list.map(|(i, name)| format!("{i} is {name}")).collect();
    format!("found were: {}", list.join(", "))
}

/// Finds the device of an adapter, on the graphics API that fits the machine: Vulkan, Metal,
/// DirectX 12 or OpenGL. The device is opened when the first tensor is created on it.
///
/// # Errors
///
/// [`NoAdapter`] where the machine has no such adapter.
pub fn wgpu(adapter: Adapter) -> Result<Device, NoAdapter> {
    find(adapter, DeviceType::Wgpu, Device::wgpu)
}

/// Finds the device of an adapter on Vulkan. The device is opened when the first tensor is created
/// on it.
///
/// # Errors
///
/// [`NoAdapter`] where the machine has no such adapter.
#[cfg(feature = "vulkan")]
pub fn vulkan(adapter: Adapter) -> Result<Device, NoAdapter> {
    find(adapter, DeviceType::Vulkan, Device::vulkan)
}

/// Finds the device of an adapter on a graphics API.
fn find(
    adapter: Adapter,
    api: DeviceType,
    device: fn(DeviceKind) -> Device,
) -> Result<Device, NoAdapter> {
    let found = Device::enumerate(api).into_vec();
    // An adapter is described in the words of `Adapter`, where those have a kind for it.
    let named = |candidate: &Device| {
        let kinds = (0..found.len()).flat_map(|i| {
            [
                Adapter::Discrete(i),
                Adapter::Integrated(i),
                Adapter::Virtual(i),
                Adapter::Software,
            ]
        });
        let mut same = kinds.filter(|adapter| device(kind(*adapter)) == *candidate);
        same.next().map_or_else(
            || "of another kind".to_owned(),
            |adapter| adapter.to_string(),
        )
    };
    let chosen = match adapter {
        Adapter::Default => (!found.is_empty()).then(|| device(DeviceKind::DefaultDevice)),
        Adapter::Index(index) => found.get(index).cloned(),
        adapter => {
            let wanted = device(kind(adapter));
            found.iter().find(|device| **device == wanted).cloned()
        }
    };
    chosen.ok_or_else(|| NoAdapter {
        adapter,
        found: found.iter().map(named).collect(),
    })
}

/// The kind of device that Burn calls an adapter.
fn kind(adapter: Adapter) -> DeviceKind {
    match adapter {
        Adapter::Default | Adapter::Index(_) => DeviceKind::DefaultDevice,
        Adapter::Discrete(index) => DeviceKind::DiscreteGpu(index),
        Adapter::Integrated(index) => DeviceKind::IntegratedGpu(index),
        Adapter::Virtual(index) => DeviceKind::VirtualGpu(index),
        Adapter::Software => DeviceKind::Cpu,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn adapters_are_read_as_they_are_written() {
        for adapter in [
            Adapter::Index(3),
            Adapter::Discrete(0),
            Adapter::Integrated(1),
            Adapter::Virtual(2),
            Adapter::Software,
        ] {
            assert_eq!(adapter.to_string().parse(), Ok(adapter));
        }
        assert_eq!("".parse(), Ok(Adapter::Default));
        assert_eq!("discrete".parse(), Ok(Adapter::Discrete(0)));
        for text in ["x", "-1", "discrete:", "software:1", "1:2", ":1", "default"] {
            let error = text.parse::<Adapter>().unwrap_err();
            assert_eq!(error, ParseAdapterError(text.to_owned()));
        }
    }

    #[test]
    fn an_adapter_that_is_not_there_is_told_with_those_that_are() {
        let error = wgpu(Adapter::Index(usize::MAX)).unwrap_err();
        assert_eq!(
            error.found.len(),
            Device::enumerate(DeviceType::Wgpu).into_vec().len()
        );
        let text = error.to_string();
        assert!(text.contains("lavapipe") || text.contains("0 is"), "{text}");
    }
}

use core::fmt;
use core::str::FromStr;

use burn::tensor::{Device, DeviceKind, DeviceType};

/// The model preset for a GPU.
pub const PRESET: &str = "paper_small";

/// Images in a training step that fit into a few GiB of memory.
pub const BATCH: usize = 32;

/// Training steps of a first look.
pub const STEPS: usize = 20_000;

/// Held-out images that are scored after training.
pub const EVAL_IMAGES: usize = 1000;

/// Samples that are drawn after training.
pub const SAMPLES: usize = 64;

/// Which of the adapters of a machine.
///
/// As text: nothing for the default; an index, as `1`; or a kind, `discrete`, `integrated`,
/// `virtual` or `software`, the first three also with an index among their kind, as `discrete:1`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Adapter {
    /// The one that the environment variable `CUBECL_WGPU_DEFAULT_DEVICE` names (as
    /// `DiscreteGpu(1)` or `Cpu`), else the one that WGPU calls high-performance.
    #[default]
    Default,
    /// By index in the list of all adapters, as the error for one that is not there shows it.
    Index(usize),
    /// A graphics card, by index among these.
    Discrete(usize),
    /// A GPU that shares its memory with the processor, by index among these.
    Integrated(usize),
    /// A GPU of a virtual machine, by index among these.
    Virtual(usize),
    /// A rasteriser that runs on the CPU, such as Mesa's lavapipe.
    Software,
}

/// The text names no adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error(
    "`{0}` is no adapter: give an index, as `1`, or a kind: `discrete`, `integrated`, `virtual` \
     or `software`, the first three also with an index, as `discrete:1`"
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

/// There is no such adapter.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("there is no WGPU adapter `{adapter}`: {}", listed(found))]
pub struct NoAdapter {
    /// What was asked for.
    pub adapter: Adapter,
    /// What there is, by index.
    pub found: Vec<String>,
}

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

/// A GPU, by the graphics API that fits the machine: Vulkan, Metal, DirectX 12 or OpenGL. It is
/// opened when a first tensor is made on it.
///
/// # Errors
///
/// [`NoAdapter`] where the machine has no such adapter.
pub fn wgpu(adapter: Adapter) -> Result<Device, NoAdapter> {
    find(adapter, DeviceType::Wgpu, Device::wgpu)
}

/// As [`wgpu`], but on Vulkan or not at all.
///
/// # Errors
///
/// As [`wgpu`].
#[cfg(feature = "vulkan")]
pub fn vulkan(adapter: Adapter) -> Result<Device, NoAdapter> {
    find(adapter, DeviceType::Vulkan, Device::vulkan)
}

fn find(
    adapter: Adapter,
    api: DeviceType,
    device: fn(DeviceKind) -> Device,
) -> Result<Device, NoAdapter> {
    let found = Device::enumerate(api).into_vec();
    // Named in the words of `Adapter`, where those have one.
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

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use burn::tensor::Device;
use pixel_iqn_core::weights::{load_safetensors, to_safetensors};
use pixel_iqn_core::{AnyModel, Lowering, ModelConfig, PixelModel, Sampler};

use crate::{Classes, Error, Run, sampler};

/// A trained model on a device, with what it knows of its images: it samples and completes.
///
/// ```no_run
/// use pixel_iqn::Model;
/// use pixel_iqn::data::{ImageDataset, Mask};
///
/// let model = Model::open("runs/photos", "cpu")?;
/// model.sample(64).seed(1).run()?.save_grid("samples.png")?;
///
/// let broken = ImageDataset::from_files(["broken.png"], 32)?;
/// let mask = Mask::from_png("mask.png")?;
/// model.inpaint(&broken, &mask).completions(4).run()?.save_grid("filled.png")?;
/// # Ok::<(), pixel_iqn::Error>(())
/// ```
pub struct Model {
    network: AnyModel,
    device: Device,
    size: Option<[usize; 2]>,
    classes: Classes,
    notices: Vec<String>,
    /// Made at the first sample.
    sampler: OnceLock<Box<dyn Sampler>>,
}

impl Model {
    /// Opens a folder on the [device](crate::device()) of this name: a run folder, whose averaged
    /// weights are taken, or a folder of trained weights, `config.json` and `weights.safetensors`.
    ///
    /// # Errors
    ///
    /// [`Error::Device`] where there is no such device, [`Error::NoModel`] where the folder is of
    /// neither kind, and [`Error::Run`], [`Error::ModelConfig`], [`Error::Weights`] and
    /// [`Error::Io`] where its files cannot be read.
    pub fn open(folder: impl AsRef<Path>, device: &str) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), None, device)
    }

    /// Opens a folder as [`open`](Self::open) does, with the weights of another safetensors file.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`open`](Self::open).
    pub fn open_weights(
        folder: impl AsRef<Path>,
        weights: impl AsRef<Path>,
        device: &str,
    ) -> Result<Self, Error> {
        Self::open_with(folder.as_ref(), Some(weights.as_ref()), device)
    }

    fn open_with(folder: &Path, weights: Option<&Path>, device: &str) -> Result<Self, Error> {
        let device = crate::device(device)?;
        if folder.join("config.toml").exists() {
            let run = Run::open(folder)?;
            return match weights {
                Some(weights) => {
                    let (network, notices) = load(&run.config().model, weights, &device)?;
                    let model = run.model_of(network, device);
                    Ok(Self { notices, ..model })
                }
                None => run.averaged(device),
            };
        }
        let (config, own) = config_json(folder)?;
        if weights.is_none() && !own.exists() {
            return Err(Error::NoModel(folder.to_owned()));
        }
        let (network, notices) = load(&config, weights.unwrap_or(&own), &device)?;
        let model = Self::new(network, device);
        Ok(Self { notices, ..model })
    }

    /// A model from the layer below, whose weights are on `device`, without autodiff. Its classes
    /// have no names and its images no size until they are given.
    pub fn new(network: impl Into<AnyModel>, device: Device) -> Self {
        let network = network.into();
        Self {
            classes: Classes::new(network.config().classes, Vec::new()),
            network,
            device,
            size: None,
            notices: Vec::new(),
            sampler: OnceLock::new(),
        }
    }

    /// Sets the height and width of the images that it draws.
    pub fn with_size(self, size: [usize; 2]) -> Self {
        let size = Some(size);
        Self { size, ..self }
    }

    /// Names the classes; no names leave them numbers.
    ///
    /// # Panics
    ///
    /// Panics if there are names and their number is not that of the classes.
    pub fn with_class_names(self, names: Vec<String>) -> Self {
        let classes = Classes::new(self.network.config().classes, names);
        Self { classes, ..self }
    }

    /// Sets how convolutions become operations of the backend: with [`Lowering::Bfloat16`] samples take less
    /// time on some CPUs, and are others.
    pub fn with_lowering(self, lowering: Lowering) -> Self {
        Self {
            network: self.network.with_lowering(lowering),
            sampler: OnceLock::new(),
            ..self
        }
    }

    /// Returns the architecture of the model.
    pub fn config(&self) -> &ModelConfig {
        self.network.config()
    }

    /// The network, for the layer below.
    pub fn network(&self) -> &AnyModel {
        &self.network
    }

    /// Returns the device that holds the weights.
    pub fn device(&self) -> &Device {
        &self.device
    }

    /// Height and width of the images, where they are known.
    pub fn size(&self) -> Option<[usize; 2]> {
        self.size
    }

    /// The classes, none for an unconditional model.
    pub fn classes(&self) -> &Classes {
        &self.classes
    }

    /// What a user should know of the weights: a sentence for each difference that was bridged in
    /// reading them, as another type of floats.
    pub fn notices(&self) -> &[String] {
        &self.notices
    }

    /// Tells this model from all that draw other images: an MD5 checksum of its config, its weights and its
    /// precision.
    ///
    /// # Errors
    ///
    /// [`Error::Read`] where the weights cannot be read back from the device.
    pub fn fingerprint(&self) -> Result<String, Error> {
        let mut bytes = self.config().to_json().into_bytes();
        bytes.extend(to_safetensors(&self.network).map_err(Error::Read)?);
        if self.network.lowering() == Lowering::Bfloat16 && Lowering::has_bfloat16(&self.device) {
            bytes.extend(b"bfloat16");
        }
        Ok(pixel_iqn_data::md5(&bytes))
    }

    /// The fastest sampler for this model and device, which is made once.
    pub fn sampler(&self) -> &dyn Sampler {
        let make = || sampler(self.network.clone(), &self.device);
        self.sampler.get_or_init(make).as_ref()
    }
}

impl std::fmt::Debug for Model {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Model")
            .field("config", self.config())
            .field("size", &self.size)
            .field("classes", &self.classes)
            .finish_non_exhaustive()
    }
}

/// Fails unless a training can begin from what is at a path: a folder or a file, or a shipped model of
/// that name. What is in a folder or a file is not looked at.
///
/// # Errors
///
/// [`Error::Request`], with what may be given.
pub fn expect_weights(path: &Path) -> Result<(), Error> {
    match path.exists() || shipped_name(path).is_some() {
        true => Ok(()),
        false => Err(Error::Request(format!(
            "{} is missing: give the folder of a run or of trained weights, a safetensors file, or the \
             name of a shipped model ({})",
            path.display(),
            Run::shipped().join(", ")
        ))),
    }
}

/// The shipped model that a path is the name of.
fn shipped_name(path: &Path) -> Option<&str> {
    path.to_str().filter(|name| Run::shipped().contains(name))
}

/// Trained weights, and their architecture where it stands beside them.
pub(crate) struct TrainedWeights {
    pub weights: PathBuf,
    pub config: Option<ModelConfig>,
}

impl TrainedWeights {
    /// Finds the weights of a run folder, of a folder of trained weights, or a file.
    pub(crate) fn find(path: &Path) -> Result<Self, Error> {
        if path.join("config.toml").exists() {
            let run = Run::open(path)?;
            // Refuses a file that was changed, before a run folder is made.
            run.dir().read_weights(run.dir().best_weights())?;
            return Ok(Self {
                weights: run.averaged_file(),
                config: Some(run.config().model.clone()),
            });
        }
        if path.is_dir() {
            let (config, weights) = config_json(path)?;
            let config = Some(config);
            return Ok(Self { weights, config });
        }
        if !path.exists() {
            expect_weights(path)?;
            if let Some(name) = shipped_name(path) {
                return Self::find(Run::pretrained(name)?.path());
            }
        }
        Ok(Self {
            weights: path.to_owned(),
            config: None,
        })
    }
}

/// The architecture in a folder of trained weights, and the path of the weights.
fn config_json(folder: &Path) -> Result<(ModelConfig, PathBuf), Error> {
    let config = folder.join("config.json");
    if !config.exists() {
        return Err(Error::NoModel(folder.to_owned()));
    }
    let text = fs::read_to_string(&config).map_err(at(&config))?;
    match ModelConfig::from_json(&text) {
        Ok(config) => Ok((config, folder.join("weights.safetensors"))),
        Err(source) => Err(Error::ModelConfig {
            path: config,
            source,
        }),
    }
}

/// Creates the model of a config with the weights of a safetensors file, and says what was bridged.
fn load(
    config: &ModelConfig,
    weights: &Path,
    device: &Device,
) -> Result<(AnyModel, Vec<String>), Error> {
    let bytes = fs::read(weights).map_err(at(weights))?;
    let mut network = AnyModel::init(config, device);
    let loaded = load_safetensors(&mut network, &bytes);
    let notices = loaded.map_err(|source| Error::Weights {
        path: weights.to_owned(),
        source,
    })?;
    Ok((network, notices))
}

fn at(path: &Path) -> impl FnOnce(std::io::Error) -> Error {
    let path: PathBuf = path.to_owned();
    |source| Error::Io { path, source }
}

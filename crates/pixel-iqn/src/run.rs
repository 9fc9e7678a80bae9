use std::path::{Path, PathBuf};

use burn::tensor::Device;
use pixel_iqn_core::AnyModel;
use pixel_iqn_score::ConditionalScores;
use pixel_iqn_train::{End, History, RunConfig, RunDir};

use crate::{Classes, Error, Model, TrainingImages};

/// A training run: its folder, its config, and what came of it.
///
/// [`train`](crate::train()) makes one, [`open`](Self::open) finds one again.
#[derive(Debug, Clone)]
pub struct Run {
    pub(crate) dir: RunDir,
    pub(crate) config: RunConfig,
    pub(crate) trained: Option<Trained>,
    pub(crate) scores: Option<ConditionalScores>,
}

/// What became of the steps.
#[derive(Debug, Clone)]
pub(crate) struct Trained {
    pub end: End,
    pub steps: usize,
    pub seconds: f64,
    pub history: History,
}

impl Run {
    pub(crate) fn new(dir: RunDir, config: RunConfig) -> Self {
        Self {
            dir,
            config,
            trained: None,
            scores: None,
        }
    }

    /// Opens a run folder.
    ///
    /// # Errors
    ///
    /// [`Error::Run`] where it is none, or its config cannot be used.
    pub fn open(folder: impl AsRef<Path>) -> Result<Self, Error> {
        let (dir, config) = RunDir::open(folder.as_ref())?;
        Ok(Self::new(dir, config))
    }

    /// Returns the path of the run folder.
    pub fn path(&self) -> &Path {
        self.dir.path()
    }

    /// Returns the run folder, for the layer below.
    pub fn dir(&self) -> &RunDir {
        &self.dir
    }

    /// Returns the config of the run.
    pub fn config(&self) -> &RunConfig {
        &self.config
    }

    /// Returns the classes of the model.
    pub fn classes(&self) -> Classes {
        match self.config.model.classes {
            // A run may be unconditional though its images have classes.
            0 => Classes::default(),
            count => Classes::new(
                count,
                self.config.data.class_names.clone().unwrap_or_default(),
            ),
        }
    }

    /// How the training ended; none for a run that was only opened.
    pub fn end(&self) -> Option<End> {
        self.trained.as_ref().map(|trained| trained.end)
    }

    /// How many steps were done when the training ended; none for a run that was only opened.
    pub fn steps_done(&self) -> Option<usize> {
        self.trained.as_ref().map(|trained| trained.steps)
    }

    /// The seconds of wall-clock time that all processes together took for the steps; none for a run
    /// that was only opened.
    pub fn seconds(&self) -> Option<f64> {
        self.trained.as_ref().map(|trained| trained.seconds)
    }

    /// The losses of all steps and the scores measured on the way; none for a run that was only
    /// opened.
    pub fn history(&self) -> Option<&History> {
        self.trained.as_ref().map(|trained| &trained.history)
    }

    /// The scores of the averaged weights on held-out images, which are computed after the last step;
    /// none for a run that was only opened (its `scores.json` has them).
    pub fn scores(&self) -> Option<&ConditionalScores> {
        self.scores.as_ref()
    }

    /// Loads the model with its averaged weights, on the [device](crate::device()) of this name.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`Model::open`].
    pub fn model(&self, device: &str) -> Result<Model, Error> {
        self.averaged(crate::device(device)?)
    }

    /// The file of its averaged weights.
    pub(crate) fn averaged_file(&self) -> PathBuf {
        self.dir.weights(self.dir.best_weights())
    }

    /// The model with its averaged weights on a device.
    pub(crate) fn averaged(&self, device: Device) -> Result<Model, Error> {
        let weights = self.dir.best_weights();
        let network = self.dir.load_weights(weights, &self.config, &device)?;
        Ok(self.model_of(network, device))
    }

    /// The model with a network of this run, and what the run knows of its images.
    pub(crate) fn model_of(&self, network: AnyModel, device: Device) -> Model {
        Model::new(network, device)
            .with_size(self.config.data.size)
            .with_class_names(self.classes().names().to_vec())
    }

    /// Opens the images again that the run was trained and is evaluated on; `folder` says where they
    /// are, if they are no longer where the run found them.
    ///
    /// # Errors
    ///
    /// Returns the errors of [`TrainingImages::of_run`].
    pub fn images(&self, folder: Option<&Path>) -> Result<TrainingImages, Error> {
        TrainingImages::of_run(&self.config.data, folder)
    }
}

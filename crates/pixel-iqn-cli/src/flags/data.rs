use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pixel_iqn::data::{DataError, OpenOptions};
use pixel_iqn::{DatasetKind, Error, Run, TrainingImages};

use super::number;

/// Flags that say where images come from.
#[derive(clap::Args, Debug)]
pub struct DataFlags {
    /// Folder of the data set, or the folder that contains it [default: data]
    #[arg(long, value_name = "DIR", help_heading = "Images")]
    pub data: Option<PathBuf>,
    /// Data set: cifar10, mnist, imagenet32, folder (image files, with a subfolder for each class) or
    /// builtin (pictures that the program draws itself)
    #[arg(long, value_name = "NAME", help_heading = "Images")]
    pub dataset: Option<DatasetKind>,
    /// Height and width of the images [default: those of the set; 32 for folder and builtin];
    /// images of a set of one size are reduced to it by the means of boxes
    #[arg(long, value_name = "PIXELS", help_heading = "Images", value_parser = number::count)]
    pub size: Option<usize>,
}

impl DataFlags {
    /// The folder of `--data`.
    pub fn folder(&self) -> &Path {
        self.data.as_deref().unwrap_or(Path::new("data"))
    }

    /// How to open a data set.
    pub fn options(&self) -> OpenOptions {
        OpenOptions::new().with_size(self.size)
    }
}

/// Opens a data set in a folder.
pub fn open(
    kind: DatasetKind,
    folder: &Path,
    options: &OpenOptions,
) -> anyhow::Result<TrainingImages> {
    TrainingImages::open(kind, Some(folder), options).with_context(|| match kind {
        DatasetKind::Builtin => format!("cannot draw the data set `{kind}`"),
        _ => format!(
            "cannot open the data set `{kind}` in {}: --data gives its folder",
            folder.display()
        ),
    })
}

/// Opens the images of a run, in another folder where one is given.
pub fn images_of(run: &Run, folder: Option<&Path>) -> anyhow::Result<TrainingImages> {
    let dataset = &run.config().data.dataset;
    let path = run.path().display();
    let images = run.images(folder);
    if let Err(Error::Data(DataError::PathNeeded(_))) = &images {
        // A shipped model, whose folder of images was on the machine of its trainer.
        bail!(
            "{path} does not say where the images of the data set `{dataset}` are: give their folder with \
             --data DIR"
        );
    }
    images.with_context(|| match folder {
        Some(folder) => format!(
            "--data {} does not have the data set `{dataset}` of the run {path}",
            folder.display()
        ),
        None => format!(
            "cannot open the data set `{dataset}` of the run {path}: give its folder with --data"
        ),
    })
}

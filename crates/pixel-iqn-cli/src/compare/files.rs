use std::fs;
use std::path::{Path, PathBuf};

use anyhow::Context;
use pixel_iqn::data::{Claim, DataError, tell};

use crate::flags;
use crate::output_kind::OutputKind;

/// The files of a report, which one process at a time may write.
///
/// Several processes may train in one folder, each its own models. The first of them has the names
/// `comparison.md` and the others; the reports of those that come while it works have the names of their
/// models in them, so that none is lost.
pub struct ReportFiles {
    folder: PathBuf,
    suffix: String,
    _claims: Vec<Claim>,
}

impl ReportFiles {
    /// Claims the files in a folder, which is made where it is missing.
    pub fn claim(folder: &Path, models: &[&OutputKind]) -> anyhow::Result<Self> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot make the folder {}", folder.display()))?;
        match Self::with_suffix(folder, String::new()) {
            Err(error) if is_in_use(&error) => {
                let names: Vec<&str> = models.iter().map(|model| model.name).collect();
                let files = Self::with_suffix(folder, format!("-{}", names.join("-")))?;
                tell!(
                    "NOTE: another process compares models in {}: the report of this one is {}",
                    folder.display(),
                    files.name("comparison.md")
                );
                Ok(files)
            }
            claimed => claimed,
        }
    }

    fn with_suffix(folder: &Path, suffix: String) -> anyhow::Result<Self> {
        let mut files = Self {
            folder: folder.to_owned(),
            suffix,
            _claims: Vec::new(),
        };
        let [curves, samples] = ["curves.png", "samples.png"].map(|name| files.path(name));
        let [table, scores] = ["comparison.md", "comparison.json"].map(|name| files.path(name));
        files._claims = flags::claim(
            [Some(&curves), Some(&samples)],
            [Some(&table), Some(&scores)],
        )?;
        Ok(files)
    }

    /// The name of a file of the report, of its usual name.
    pub fn name(&self, usual: &str) -> String {
        match usual.rsplit_once('.') {
            Some((stem, ending)) => format!("{stem}{}.{ending}", self.suffix),
            None => format!("{usual}{}", self.suffix),
        }
    }

    /// The path of a file of the report, of its usual name.
    pub fn path(&self, usual: &str) -> PathBuf {
        self.folder.join(self.name(usual))
    }
}

fn is_in_use(error: &anyhow::Error) -> bool {
    matches!(error.downcast_ref(), Some(DataError::InUse(_)))
}

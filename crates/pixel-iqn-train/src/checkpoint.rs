use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::time::{SystemTime, UNIX_EPOCH};

use pixel_iqn_data::md5;
use serde::{Deserialize, Serialize};

use crate::atomic;
use crate::best::Best;
use crate::counters::Counters;
use crate::error::{RunError, at};
use crate::metrics::HeldOutScores;
use crate::run_config::RunConfig;

const MANIFEST: &str = "manifest.json";
const TENSORS: &str = "state.safetensors";
const CHECKSUMS: &str = "checksums.md5";
/// The extension of a folder that is not finished.
const PART: &str = "part";
/// The extension of a folder that cannot be read.
const BAD: &str = "bad";

/// The description of a checkpoint, in `manifest.json`.
#[derive(Serialize, Deserialize, Debug, Clone, PartialEq)]
#[serde(deny_unknown_fields)]
#[non_exhaustive]
pub struct Manifest {
    /// The name of the format, always [`Self::FORMAT`].
    pub format: String,
    /// The version of this format.
    pub version: u32,
    /// The version of the crate that wrote it.
    pub crate_version: String,
    /// The commit of the sources of that crate, or `unknown`.
    pub git_revision: String,
    /// When it was written, in seconds since 1970.
    pub written: u64,
    /// The numbers of steps and updates done.
    pub counters: Counters,
    /// The held-out scores at this step, where they were measured then.
    pub held_out: Option<HeldOutScores>,
    /// The lowest held-out loss so far.
    pub best: Option<Best>,
    /// Seconds of training so far.
    pub seconds: f64,
    /// The config of the run.
    pub config: RunConfig,
}

/// A checkpoint that was read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The description of the checkpoint.
    pub manifest: Manifest,
    /// The tensors of [`Trainer::state`](crate::Trainer::state), as a safetensors file.
    pub tensors: Vec<u8>,
}

impl Manifest {
    /// The name of the format, which every manifest has.
    pub const FORMAT: &str = "pixel-iqn checkpoint";
    /// The version that this crate writes, and the only one it reads.
    pub const VERSION: u32 = 2;

    pub(crate) fn new(config: &RunConfig, counters: Counters) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH);
        Self {
            format: Self::FORMAT.to_owned(),
            version: Self::VERSION,
            crate_version: env!("CARGO_PKG_VERSION").to_owned(),
            git_revision: env!("PIXEL_IQN_GIT_REVISION").to_owned(),
            written: now.map_or(0, |now| now.as_secs()),
            counters,
            held_out: None,
            best: None,
            seconds: 0.0,
            config: config.clone(),
        }
    }
}

/// The checkpoints of a run: the folder `checkpoints`, with one folder per checkpoint, named after
/// the number of steps done.
///
/// | file | content |
/// |---|---|
/// | `manifest.json` | the [`Manifest`] |
/// | `state.safetensors` | the tensors of [`Trainer::state`](crate::Trainer::state) |
/// | `checksums.md5` | for `md5sum --check` |
///
/// A checkpoint is written into a folder of another name, synced to the disk and renamed, so that
/// a kill leaves the checkpoints before it and no half one under its name. What a disk does to it
/// later is found by the checksums.
#[derive(Debug, Clone)]
pub struct Checkpoints {
    folder: PathBuf,
    keep: usize,
}

impl Checkpoints {
    /// Manages the checkpoints in `folder`, which need not be there yet. The last `keep` and the
    /// best one are kept.
    pub fn new(folder: impl Into<PathBuf>, keep: usize) -> Self {
        Self {
            folder: folder.into(),
            keep: keep.max(1),
        }
    }

    /// Lists the steps of the finished checkpoints, in ascending order.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub fn steps(&self) -> Result<Vec<usize>, RunError> {
        let entries = match fs::read_dir(&self.folder) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.folder)(error)),
        };
        let mut steps = Vec::new();
        for entry in entries {
            let path = entry.map_err(at(&self.folder))?.path();
            let name = path.file_name().and_then(OsStr::to_str);
            let step = name.and_then(|name| name.parse::<usize>().ok());
            // Not all that looks like a number is a checkpoint.
            steps.extend(step.filter(|step| self.path(*step) == path && path.is_dir()));
        }
        steps.sort_unstable();
        Ok(steps)
    }

    /// The folder of the checkpoint after `step` steps.
    pub fn path(&self, step: usize) -> PathBuf {
        self.folder.join(format!("{step:08}"))
    }

    /// Writes a checkpoint, then removes those that are no longer kept.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] and [`RunError::Json`]. Where the new checkpoint could not be written, nothing
    /// of it is left and the old ones are as they were.
    pub fn save(&self, manifest: &Manifest, tensors: &[u8]) -> Result<(), RunError> {
        let step = manifest.counters.step;
        let path = self.path(step);
        let part = path.with_added_extension(PART);
        if !self.folder.exists() {
            fs::create_dir_all(&self.folder)
                .and_then(|()| atomic::sync_folder_of(&self.folder))
                .map_err(at(&self.folder))?;
        }
        let written = write_folder(&part, manifest, tensors).and_then(|()| {
            // The same step again, after a resume from an earlier one.
            remove_folder(&path)?;
            fs::rename(&part, &path).map_err(at(&path))?;
            atomic::sync_folder_of(&path).map_err(at(&path))
        });
        if let Err(error) = written {
            fs::remove_dir_all(&part).ok();
            return Err(error);
        }
        self.prune(manifest.best.map(|best| best.step))
    }

    /// Removes all but the last ones and the best one.
    fn prune(&self, best: Option<usize>) -> Result<(), RunError> {
        let steps = self.steps()?;
        let old = steps.len().saturating_sub(self.keep);
        for &step in steps[..old].iter().filter(|step| Some(**step) != best) {
            remove_folder(&self.path(step))?;
        }
        Ok(())
    }

    /// Removes what an interrupted [`save`](Self::save) left, and the checkpoints after `step`,
    /// which training is about to write again. Those that cannot be read are set aside, as
    /// `NAME.bad`: perhaps another version of the program reads them.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`].
    pub(crate) fn rewind(&self, step: usize) -> Result<(), RunError> {
        let later = self.steps()?.into_iter().filter(|&later| later > step);
        for step in later {
            let path = self.path(step);
            if self.load(step).is_ok() {
                remove_folder(&path)?;
            } else {
                let aside = path.with_added_extension(BAD);
                remove_folder(&aside)?;
                fs::rename(&path, aside).map_err(at(&path))?;
            }
        }
        let Ok(entries) = fs::read_dir(&self.folder) else {
            return Ok(());
        };
        for entry in entries {
            let path = entry.map_err(at(&self.folder))?.path();
            let is_part = path.extension().is_some_and(|extension| extension == PART);
            if is_part && path.is_dir() {
                remove_folder(&path)?;
            }
        }
        Ok(())
    }

    /// Reads the checkpoint after `step` steps.
    ///
    /// # Errors
    ///
    /// [`RunError::Checkpoint`] where it is damaged, of another version or of another program,
    /// [`RunError::NoCheckpoint`] where there is none, and [`RunError::Io`].
    pub fn load(&self, step: usize) -> Result<Checkpoint, RunError> {
        let path = self.path(step);
        if !path.is_dir() {
            let steps = self.steps()?;
            return Err(RunError::NoCheckpoint { path, steps });
        }
        read_folder(&path).map_err(|reason| RunError::Checkpoint { path, reason })
    }

    /// Reads the last checkpoint that is whole. Those after it that are not are returned with what
    /// is wrong with them.
    ///
    /// # Errors
    ///
    /// [`RunError::Io`] where the folder cannot be read.
    pub fn load_last(&self) -> Result<(Option<Checkpoint>, Vec<RunError>), RunError> {
        let mut bad = Vec::new();
        for step in self.steps()?.into_iter().rev() {
            match self.load(step) {
                Ok(checkpoint) => return Ok((Some(checkpoint), bad)),
                Err(error) => bad.push(error),
            }
        }
        Ok((None, bad))
    }
}

fn write_folder(path: &Path, manifest: &Manifest, tensors: &[u8]) -> Result<(), RunError> {
    remove_folder(path)?;
    fs::create_dir(path).map_err(at(path))?;
    let file = path.join(MANIFEST);
    let json = serde_json::to_string_pretty(manifest);
    let json = json.map_err(|error| RunError::Json {
        path: file,
        source: error.into(),
    })?;
    let checksums = format!(
        "{}  {MANIFEST}\n{}  {TENSORS}\n",
        md5(json.as_bytes()),
        md5(tensors)
    );
    for (name, bytes) in [
        (TENSORS, tensors),
        (MANIFEST, json.as_bytes()),
        (CHECKSUMS, checksums.as_bytes()),
    ] {
        let file = path.join(name);
        atomic::write_synced(&file, bytes).map_err(at(&file))?;
    }
    // The names of the files, which are in the folder.
    atomic::sync_folder_of(&path.join(MANIFEST)).map_err(at(path))
}

/// Reads a checkpoint; the error says in words what is wrong.
fn read_folder(path: &Path) -> Result<Checkpoint, String> {
    let read = |name: &str| {
        let bytes = fs::read(path.join(name));
        bytes.map_err(|error| format!("`{name}` cannot be read: {error}"))
    };
    let checksums = read(CHECKSUMS)?;
    let checksums = String::from_utf8_lossy(&checksums);
    let check = |name: &str| {
        let bytes = read(name)?;
        let line = format!("{}  {name}", md5(&bytes));
        if checksums.lines().any(|expected| expected == line) {
            Ok(bytes)
        } else {
            Err(format!("`{name}` does not have its checksum"))
        }
    };
    let json = check(MANIFEST)?;
    #[derive(Deserialize)]
    struct Kind {
        format: String,
        version: u32,
    }
    // The kind first: a manifest of another version may be no manifest of this one.
    let kind: Kind = serde_json::from_slice(&json)
        .map_err(|error| format!("`{MANIFEST}` is not that of a checkpoint: {error}"))?;
    if kind.format != Manifest::FORMAT {
        return Err(format!("it is a `{}`, not ours", kind.format));
    }
    if kind.version != Manifest::VERSION {
        return Err(format!(
            "it has version {}, but this program reads version {}",
            kind.version,
            Manifest::VERSION
        ));
    }
    let manifest = serde_json::from_slice(&json)
        .map_err(|error| format!("`{MANIFEST}` cannot be understood: {error}"))?;
    let tensors = check(TENSORS)?;
    Ok(Checkpoint { manifest, tensors })
}

fn remove_folder(path: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run_config::tests::config;

    fn manifest(step: usize) -> Manifest {
        let counters = Counters {
            step,
            optimizer_steps: step,
            average_updates: step,
            bad_in_a_row: 0,
        };
        Manifest::new(&config(), counters)
    }

    fn checkpoints() -> (tempfile::TempDir, Checkpoints) {
        let folder = tempfile::tempdir().unwrap();
        let checkpoints = Checkpoints::new(folder.path().join("checkpoints"), 2);
        (folder, checkpoints)
    }

    #[test]
    fn the_last_ones_and_the_best_are_kept() {
        let (_folder, checkpoints) = checkpoints();
        assert!(checkpoints.steps().unwrap().is_empty());
        assert_eq!(checkpoints.load_last().unwrap().0, None);
        for step in 1..=6 {
            let mut manifest = manifest(step);
            manifest.best = (step >= 3).then_some(Best {
                step: 3,
                loss: 0.5,
                worse_since: 0,
            });
            checkpoints.save(&manifest, &[step as u8]).unwrap();
        }
        assert_eq!(checkpoints.steps().unwrap(), [3, 5, 6]);
        let (last, bad) = checkpoints.load_last().unwrap();
        let Checkpoint { manifest, tensors } = last.unwrap();
        assert_eq!((manifest.counters.step, tensors), (6, vec![6]));
        assert_eq!(manifest.config, config());
        assert!(bad.is_empty());

        checkpoints.rewind(3).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [3]);
    }

    #[test]
    fn a_damaged_checkpoint_is_named_and_the_one_before_it_is_read() {
        let (_folder, checkpoints) = checkpoints();
        type Damage = fn(&Path);
        let damages: [(Damage, &str); 6] = [
            (|p| fs::write(p.join(TENSORS), [1, 2]).unwrap(), "checksum"),
            (|p| fs::write(p.join(TENSORS), []).unwrap(), "checksum"),
            (
                |p| fs::remove_file(p.join(TENSORS)).unwrap(),
                "cannot be read",
            ),
            (|p| fs::write(p.join(MANIFEST), "{").unwrap(), "checksum"),
            (
                |p| fs::remove_file(p.join(CHECKSUMS)).unwrap(),
                "cannot be read",
            ),
            (|p| fs::write(p.join(CHECKSUMS), "").unwrap(), "checksum"),
        ];
        for (damage, expected) in damages {
            checkpoints.save(&manifest(1), &[1, 1, 1]).unwrap();
            checkpoints.save(&manifest(2), &[2, 2, 2]).unwrap();
            damage(&checkpoints.path(2));
            let (last, bad) = checkpoints.load_last().unwrap();
            assert_eq!(last.unwrap().tensors, [1, 1, 1]);
            let text = bad[0].to_string();
            assert!(
                text.contains("00000002") && text.contains(expected),
                "{text}"
            );
            let error = checkpoints.load(2).unwrap_err();
            assert!(matches!(error, RunError::Checkpoint { .. }), "{error}");

            checkpoints.rewind(1).unwrap();
            assert_eq!(checkpoints.steps().unwrap(), [1]);
            assert!(checkpoints.path(2).with_added_extension(BAD).is_dir());
        }
    }

    #[test]
    fn other_versions_and_programs_are_told_apart_from_damage() {
        let (_folder, checkpoints) = checkpoints();
        let mut older = manifest(1);
        older.version = 0;
        checkpoints.save(&older, &[]).unwrap();
        let error = checkpoints.load(1).unwrap_err().to_string();
        assert!(error.contains("version 0"), "{error}");
        let mut foreign = manifest(1);
        foreign.format = "burn record".into();
        checkpoints.save(&foreign, &[]).unwrap();
        let error = checkpoints.load(1).unwrap_err().to_string();
        assert!(error.contains("`burn record`"), "{error}");

        checkpoints.save(&manifest(4), &[]).unwrap();
        let error = checkpoints.load(3).unwrap_err().to_string();
        assert!(error.contains("1, 4"), "{error}");
    }

    #[test]
    fn what_an_interrupted_save_left_is_no_checkpoint_and_is_removed() {
        let (_folder, checkpoints) = checkpoints();
        checkpoints.save(&manifest(1), &[1]).unwrap();
        let part = checkpoints.path(2).with_added_extension(PART);
        fs::create_dir(&part).unwrap();
        fs::write(part.join(TENSORS), [2]).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [1]);
        checkpoints.rewind(1).unwrap();
        assert!(!part.exists());
        // What looks like a checkpoint, or like a part of one.
        fs::create_dir(checkpoints.folder.join("99")).unwrap();
        fs::write(checkpoints.folder.join("00000098"), "").unwrap();
        fs::write(checkpoints.folder.join("00000097.part"), "").unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [1]);
        checkpoints.rewind(1).unwrap();
        assert_eq!(checkpoints.steps().unwrap(), [1]);
    }

    #[test]
    fn a_checkpoint_that_cannot_be_written_leaves_the_others() {
        let (_folder, checkpoints) = checkpoints();
        checkpoints.save(&manifest(1), &[1]).unwrap();
        // A file where the folder should go.
        let part = checkpoints.path(2).with_added_extension(PART);
        fs::write(&part, "").unwrap();
        let error = checkpoints.save(&manifest(2), &[2]).unwrap_err();
        assert!(matches!(error, RunError::Io { .. }), "{error}");
        assert_eq!(checkpoints.load_last().unwrap().0.unwrap().tensors, [1]);
    }
}

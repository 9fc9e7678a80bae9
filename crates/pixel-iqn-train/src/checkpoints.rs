use std::ffi::OsStr;
use std::fs;
use std::io;
use std::path::PathBuf;

use pixel_iqn_data::sync_folder_of;

use crate::checkpoint::{Checkpoint, read_folder, remove_folder, write_folder};
use crate::error::{RunError, at};
use crate::manifest::Manifest;

/// The extension of a folder that is not finished.
const PART: &str = "part";
/// The extension of a folder that cannot be read.
const BAD: &str = "bad";

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
                .and_then(|()| sync_folder_of(&self.folder))
                .map_err(at(&self.folder))?;
        }
        let written = write_folder(&part, manifest, tensors).and_then(|()| {
            // The same step again, after a resume from an earlier one.
            remove_folder(&path)?;
            fs::rename(&part, &path).map_err(at(&path))?;
            sync_folder_of(&path).map_err(at(&path))
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::*;
    use crate::best::Best;
    use crate::checkpoint::{CHECKSUMS, MANIFEST, TENSORS};
    use crate::counters::Counters;
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

use std::fs;
use std::io::ErrorKind;
use std::path::{Path, PathBuf};

use pixel_iqn_data::{known_content, sha256, write_atomically};

use crate::error::{RunError, at};

/// The name of the file of checksums in a folder.
pub(crate) const SUMS: &str = "SHA256";

/// The SHA-256 checksums of files of a folder, in a file that `sha256sum --check` reads, too: a line for
/// each file with its checksum, two spaces and its name.
pub(crate) struct Sums {
    path: PathBuf,
}

impl Sums {
    /// Those of a folder, in its file [`SUMS`].
    pub fn of(folder: &Path) -> Self {
        Self {
            path: folder.join(SUMS),
        }
    }

    /// Writes a file of the folder, and its checksum.
    ///
    /// Both checksums, that of before and the new one, are there while the file is written, so that
    /// whatever a killed process leaves is known. A file that has these bytes and their checksum already stays
    /// as it is.
    pub fn write(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        let (of_others, of_file): (Vec<_>, Vec<_>) =
            (self.read()?.into_iter()).partition(|(_, of)| of != name);
        let mut lines = of_others;
        let new = (sha256(bytes), name.to_owned());
        let has = |there: Vec<u8>| there == bytes;
        if of_file == [new.clone()] && fs::read(self.path.with_file_name(name)).is_ok_and(has) {
            return Ok(());
        }
        lines.push(new.clone());
        let between = [lines.clone(), of_file].concat();
        self.save(&between)?;
        write_atomically(&self.path.with_file_name(name), bytes)?;
        self.save(&lines)
    }

    /// Fails for the bytes of a file that has another checksum, or none among those that are there.
    /// Without a file of checksums, as in runs of before there was one, all pass.
    pub fn check(&self, name: &str, bytes: &[u8]) -> Result<(), RunError> {
        if !self.path.exists() {
            return Ok(());
        }
        let lines = self.read()?;
        let mut known = lines.iter().filter(|(_, of)| of == name).peekable();
        if known.peek().is_none() {
            return Err(RunError::NoChecksum {
                path: self.path.with_file_name(name),
                sums: self.path.clone(),
            });
        }
        let found = sha256(bytes);
        if known.any(|(sum, _)| *sum == found) {
            return Ok(());
        }
        Err(RunError::Changed {
            path: self.path.with_file_name(name),
            sums: self.path.clone(),
            found: known_content(&bytes[..bytes.len().min(512)]),
        })
    }

    /// The names of the files that have checksums. Without a file that can be read there are none.
    pub fn names(&self) -> Vec<String> {
        let lines = self.read().unwrap_or_default();
        let mut names: Vec<String> = lines.into_iter().map(|(_, name)| name).collect();
        names.sort();
        names.dedup();
        names
    }

    fn read(&self) -> Result<Vec<(String, String)>, RunError> {
        let text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => return Err(at(&self.path)(error)),
        };
        // In its other form, `sha256sum --binary` has a star before the name.
        let lines = text
            .lines()
            .filter_map(|line| line.trim_end().split_once(' '));
        let lines = lines.map(|(sum, name)| {
            let name = name.strip_prefix([' ', '*']).unwrap_or(name);
            (sum.to_owned(), name.to_owned())
        });
        Ok(lines.collect())
    }

    fn save(&self, lines: &[(String, String)]) -> Result<(), RunError> {
        let text: String = (lines.iter())
            .map(|(sum, name)| format!("{sum}  {name}\n"))
            .collect();
        Ok(write_atomically(&self.path, text.as_bytes())?)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_flipped_bit_is_noticed_and_what_a_kill_leaves_is_known() {
        let folder = tempfile::tempdir().unwrap();
        let sums = Sums::of(folder.path());
        sums.check("a", b"of before there were sums").unwrap();
        sums.write("a", b"first").unwrap();
        sums.write("b", b"other").unwrap();
        sums.write("a", b"second").unwrap();
        assert_eq!(fs::read(folder.path().join("a")).unwrap(), b"second");
        sums.check("a", b"second").unwrap();
        sums.check("b", b"other").unwrap();
        let error = sums.check("c", b"of somebody else").unwrap_err();
        assert!(matches!(error, RunError::NoChecksum { .. }), "{error}");
        for wrong in [&b"secone"[..], b"first", b""] {
            let error = sums.check("a", wrong).unwrap_err();
            assert!(error.to_string().contains("--weights"), "{error}");
        }
        let pointer = b"version https://git-lfs.github.com/spec/v1\n";
        let error = sums.check("a", pointer).unwrap_err().to_string();
        assert!(error.contains("but a pointer of Git LFS"), "{error}");
        let text = fs::read_to_string(folder.path().join("SHA256")).unwrap();
        for other in [text.replace("  ", " *"), text.replace('\n', "\r\n")] {
            fs::write(folder.path().join("SHA256"), other).unwrap();
            sums.check("a", b"second").unwrap();
            assert!(sums.check("a", b"first").is_err());
        }
        assert_eq!(text.lines().count(), 2, "{text}");

        // Cut off, as a full disk leaves files of other programs.
        fs::write(folder.path().join("SHA256"), &text[..70]).unwrap();
        assert!(sums.check("b", b"other").is_ok() != sums.check("a", b"second").is_ok());
        fs::write(folder.path().join("SHA256"), "").unwrap();
        assert!(sums.check("a", b"second").is_err());

        // Killed between the first and the second file, or the second and the third.
        let between = format!("{}  a\n{text}", sha256(b"third"));
        fs::write(folder.path().join("SHA256"), between).unwrap();
        for there in [&b"second"[..], b"third"] {
            sums.check("a", there).unwrap();
        }
        assert!(sums.check("a", b"thirt").is_err());
    }
}

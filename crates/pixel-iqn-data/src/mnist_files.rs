//! The four files of MNIST and of the sets in its format: their names and where they lie.

use std::{
    collections::BTreeMap,
    fs,
    path::{Path, PathBuf},
};

use crate::{
    error::{DataError, Result},
    unpack::{is_packed, read_packed, unpack},
};

/// The names of the four files in the order of reading; a compressed one adds `.gz`.
pub(crate) const NAMES: [&str; 4] = [
    "train-images-idx3-ubyte",
    "train-labels-idx1-ubyte",
    "t10k-images-idx3-ubyte",
    "t10k-labels-idx1-ubyte",
];
/// The folders below the given path that are looked into: the set's own, those that torchvision
/// makes, and that in the archive of EMNIST.
const FOLDERS: [&str; 7] = [
    "mnist",
    "raw",
    "MNIST/raw",
    "FashionMNIST/raw",
    "KMNIST/raw",
    "EMNIST/raw",
    "gzip",
];

/// One of the four files.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Found {
    /// The file that is read: the one without `.gz` where both are there.
    path: PathBuf,
    /// The file with `.gz` beside it.
    beside: Option<PathBuf>,
}

/// The content of one of the four files.
#[derive(Debug)]
pub(crate) struct Content {
    /// The file, for messages.
    pub(crate) path: PathBuf,
    /// The unpacked bytes.
    pub(crate) bytes: Vec<u8>,
    /// MD5 of the unpacked bytes.
    pub(crate) md5: String,
    /// MD5 of the compressed file, where there is one with these bytes.
    pub(crate) packed_md5: Option<String>,
}

impl Found {
    /// Reads the file. A compressed one beside it serves to tell what it is, since only the
    /// compressed files of most sets have a known sum.
    pub(crate) fn read(self) -> Result<Content> {
        let Self { path, beside } = self;
        let packed = read_packed(&path)?;
        let bytes = unpack(&path, &packed)?;
        let packed_md5 = if is_packed(&packed) {
            Some(crate::md5(&packed))
        } else {
            // Damage to a file that is not needed is no reason to fail.
            beside.and_then(|gzip| {
                let packed = read_packed(&gzip).ok()?;
                (unpack(&gzip, &packed).ok()? == bytes).then(|| crate::md5(&packed))
            })
        };
        Ok(Content {
            path,
            md5: crate::md5(&bytes),
            bytes,
            packed_md5,
        })
    }
}

/// Finds the four files in `path` or in the first folder below it that has them all.
///
/// # Errors
///
/// [`DataError::Missing`] for a file that is in none of the folders, and
/// [`DataError::Inconsistent`] where a folder holds several sets under their own prefixes, or several
/// folders below `path` hold one each.
pub(crate) fn find(path: &Path) -> Result<[Found; 4]> {
    let mut missing = None;
    let mut found: Option<(PathBuf, [Found; 4])> = None;
    for folder in [path.to_owned()]
        .into_iter()
        .chain(FOLDERS.map(|name| path.join(name)))
    {
        let mut complete = Vec::new();
        for (prefix, files) in list(&folder) {
            match files {
                [Some(a), Some(b), Some(c), Some(d)] => complete.push((prefix, [a, b, c, d])),
                _ => {
                    let absent = NAMES.iter().zip(&files).find(|(_, file)| file.is_none());
                    missing = missing.or_else(|| {
                        absent.map(|(name, _)| folder.join(format!("{prefix}{name}.gz")))
                    });
                }
            }
        }
        // Files without a prefix come first, and leave no doubt.
        if let [(first, _), (second, _), ..] = &complete[..]
            && !first.is_empty()
        {
            return Err(DataError::Inconsistent(format!(
                "{} holds several sets, {first}* and {second}*: give each a folder of its own",
                folder.display()
            )));
        }
        let Some((_, files)) = complete.into_iter().next() else {
            continue;
        };
        // The files of the given folder itself leave no doubt.
        if folder == path {
            return Ok(files);
        }
        match &found {
            None => found = Some((folder, files)),
            // Another name of the same folder, where capitals make no difference or a link leads.
            Some((first, _)) if is_same(first, &folder) => {}
            Some((first, _)) => {
                return Err(DataError::Inconsistent(format!(
                    "there is a set in {} and another in {}: give one of these folders",
                    first.display(),
                    folder.display()
                )));
            }
        }
    }
    if let Some((_, files)) = found {
        return Ok(files);
    }
    let raw = path.join("QMNIST/raw");
    let qmnist = [path, &raw].map(|folder| folder.join("qmnist-train-labels-idx2-int"));
    let hint = if qmnist
        .iter()
        .any(|file| file.exists() || file.with_extension("gz").exists())
    {
        "the files of QMNIST, whose labels are of another format, are not read; MNIST is"
    } else {
        "MNIST is"
    };
    Err(DataError::Missing {
        path: missing.unwrap_or_else(|| path.join(format!("{}.gz", NAMES[0]))),
        hint: format!(
            "{hint} four files, to be had from https://storage.googleapis.com/cvdf-datasets/mnist/"
        ),
    })
}

/// Returns whether two paths are those of one folder.
fn is_same(first: &Path, second: &Path) -> bool {
    let real = [first, second].map(|folder| fs::canonicalize(folder).ok());
    real[0].is_some() && real[0] == real[1]
}

/// Lists the files of a folder by their prefix; of a folder that cannot be read, none.
fn list(folder: &Path) -> BTreeMap<String, [Option<Found>; 4]> {
    let mut sets: BTreeMap<String, [Option<Found>; 4]> = BTreeMap::new();
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    let mut paths: Vec<PathBuf> = entries.map(|entry| entry.path()).collect();
    // A plain file comes before its `.gz`. Of two names for the same file, the first in their order
    // is taken on every machine.
    paths.sort_by_key(|path| (is_gzip(path), path.clone()));
    for path in paths {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let plain = is_gzip(&path).then(|| &name[..name.len() - ".gz".len()]);
        let Some((prefix, slot)) = parse_name(plain.unwrap_or(&name)) else {
            continue;
        };
        if !path.is_file() {
            continue;
        }
        let is_gzip = plain.is_some();
        let slot = &mut sets.entry(prefix.to_owned()).or_default()[slot];
        match slot {
            Some(found) if is_gzip => found.beside = Some(path),
            Some(_) => {}
            None => *slot = Some(Found { path, beside: None }),
        }
    }
    sets
}

fn is_gzip(path: &Path) -> bool {
    let ending = path.extension();
    ending.is_some_and(|ending| ending.eq_ignore_ascii_case("gz"))
}

/// Splits a name without `.gz` in its prefix (`emnist-NAME-` or nothing) and the position in
/// [`NAMES`], of whose forms it may have that with a dot and that with `test`.
fn parse_name(name: &str) -> Option<(&str, usize)> {
    let slot_of = |known: &str| {
        let dotted = known.replace("-idx", ".idx");
        [known.to_owned(), dotted]
            .into_iter()
            .flat_map(|form| [form.replace("t10k", "test"), form])
            .find_map(|form| name.strip_suffix(&form))
    };
    let (prefix, slot) = NAMES
        .iter()
        .enumerate()
        .find_map(|(slot, known)| slot_of(known).map(|prefix| (prefix, slot)))?;
    let is_emnist = || {
        let set = prefix.strip_prefix("emnist-")?.strip_suffix('-')?;
        (!set.is_empty()).then_some(())
    };
    (prefix.is_empty() || is_emnist().is_some()).then_some((prefix, slot))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_relatives_are_known() {
        for (name, expected) in [
            ("train-images-idx3-ubyte", Some(("", 0))),
            ("train-labels.idx1-ubyte", Some(("", 1))),
            ("t10k-images.idx3-ubyte", Some(("", 2))),
            ("test-labels-idx1-ubyte", Some(("", 3))),
            (
                "emnist-letters-train-images-idx3-ubyte",
                Some(("emnist-letters-", 0)),
            ),
            (
                "emnist-digits-test-labels-idx1-ubyte",
                Some(("emnist-digits-", 3)),
            ),
            ("emnist-train-images-idx3-ubyte", None),
            ("my-train-images-idx3-ubyte", None),
            ("train-images-idx1-ubyte", None),
        ] {
            assert_eq!(parse_name(name), expected, "{name}");
        }
    }

    fn touch(folder: &Path, names: &[String]) {
        fs::create_dir_all(folder).unwrap();
        for name in names {
            fs::write(folder.join(name), "").unwrap();
        }
    }

    #[test]
    fn the_folders_of_torchvision_are_looked_into() {
        for below in FOLDERS.into_iter().chain([""]) {
            let root = tempfile::tempdir().unwrap();
            let ending = if below.is_empty() { "GZ" } else { "gz" };
            let names = NAMES.map(|name| format!("{name}.{ending}"));
            touch(&root.path().join(below), &names);
            let [first, ..] = find(root.path()).unwrap();
            assert_eq!(first.path, root.path().join(below).join(&names[0]));
        }
    }

    #[test]
    fn two_sets_below_a_folder_and_qmnist_are_told() {
        let root = tempfile::tempdir().unwrap();
        let names = NAMES.map(str::to_owned);
        touch(
            &root.path().join("QMNIST/raw"),
            &["qmnist-train-labels-idx2-int".to_owned()],
        );
        let error = find(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("QMNIST") && error.contains("not read"),
            "{error}"
        );
        touch(&root.path().join("FashionMNIST/raw"), &names);
        assert!(find(root.path()).is_ok());
        touch(&root.path().join("KMNIST/raw"), &names);
        let error = find(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("FashionMNIST/raw and another in "),
            "{error}"
        );
        assert!(error.contains("KMNIST/raw: give one"), "{error}");
        // The files of the folder itself leave no doubt.
        touch(root.path(), &names);
        let [first, ..] = find(root.path()).unwrap();
        assert_eq!(first.path, root.path().join(&names[0]));
    }

    #[test]
    fn incomplete_and_ambiguous_folders_are_told() {
        let root = tempfile::tempdir().unwrap();
        let letters = NAMES.map(|name| format!("emnist-letters-{}", name.replace("t10k", "test")));
        touch(root.path(), &letters[..3]);
        let error = find(root.path()).unwrap_err();
        let expected = "emnist-letters-t10k-labels-idx1-ubyte.gz";
        assert!(
            matches!(&error, DataError::Missing { path, .. } if path.ends_with(expected)),
            "{error}"
        );
        touch(root.path(), &letters);
        assert!(find(root.path()).is_ok());
        touch(
            root.path(),
            &letters.map(|name| name.replace("letters", "digits")),
        );
        let error = find(root.path()).unwrap_err().to_string();
        assert!(
            error.contains("emnist-digits-* and emnist-letters-*"),
            "{error}"
        );
        // Without a prefix there is no doubt.
        touch(root.path(), &NAMES.map(str::to_owned));
        let [first, ..] = find(root.path()).unwrap();
        assert_eq!(first.path, root.path().join(NAMES[0]));
    }
}

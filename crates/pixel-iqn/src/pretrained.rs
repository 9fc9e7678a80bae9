//! The trained models that this version ships, by name.
//!
//! Each is a run folder without checkpoints: `config.toml`, `weights.safetensors` (the averaged
//! weights) and `SHA256`. The checksums of all of them are compiled in, so that a name always stands
//! for the same weights.

use std::fs;
use std::path::{Path, PathBuf};

#[cfg(feature = "download")]
use pixel_iqn_data::{Checksum, fetch};
use pixel_iqn_data::{DataError, sha256, write_atomically};

use crate::{DEFAULT_DEVICE, Error, Model, Run};

/// The checksums of the files of all models, as `sha256sum` writes them; a name is MODEL/FILE.
/// `cargo xtask model` keeps it.
const SUMS: &str = include_str!("../models/SHA256");

/// The files of a model.
const FILES: [&str; 2] = ["config.toml", "weights.safetensors"];

/// Where the files of models can be had, as MODEL-FILE.
#[cfg(feature = "download")]
const ADDRESS: &str = concat!(env!("CARGO_PKG_REPOSITORY"), "/releases/download/models");

/// The models that are small enough to be part of the program, with their [`FILES`].
const COMPILED_IN: [(&str, [&[u8]; 2]); 1] = [(
    "shapes",
    [
        include_bytes!("../models/shapes/config.toml"),
        include_bytes!("../models/shapes/weights.safetensors"),
    ],
)];

impl Model {
    /// Opens a shipped model on the [default device](DEFAULT_DEVICE): see
    /// [`pretrained_on`](Self::pretrained_on).
    ///
    /// ```
    /// use pixel_iqn::Model;
    ///
    /// let model = Model::pretrained("shapes")?;
    /// assert_eq!(model.sample(2).labels("star").seed(1).run()?.len(), 2);
    /// # Ok::<(), pixel_iqn::Error>(())
    /// ```
    ///
    /// # Errors
    ///
    /// Returns the errors of [`pretrained_on`](Self::pretrained_on).
    pub fn pretrained(name: &str) -> Result<Self, Error> {
        Self::pretrained_on(name, DEFAULT_DEVICE)
    }

    /// Opens the [shipped model](Run::shipped) of this name on the [device](crate::device()) of
    /// another name.
    ///
    /// # Errors
    ///
    /// The errors of [`Run::pretrained`] and of [`open`](Self::open).
    pub fn pretrained_on(name: &str, device: &str) -> Result<Self, Error> {
        Run::pretrained(name)?.model(device)
    }
}

impl Run {
    /// The names of the shipped models, in alphabetical order.
    pub fn shipped() -> Vec<&'static str> {
        let mut names: Vec<&str> = sums().map(|(_, name)| name.0).collect();
        names.sort_unstable();
        names.dedup();
        names
    }

    /// Opens the folder of a shipped model: a run without its checkpoints.
    ///
    /// It is `models/NAME` of the working folder or of the repository, where that is there. Else it is
    /// in the cache folder of the system, into which the files are copied from the program, or
    /// downloaded from the release of the repository. All files are compared with the checksums that
    /// this version was made with.
    ///
    /// # Errors
    ///
    /// [`Error::Pretrained`] for a name that is none of [`shipped`](Self::shipped), [`Error::Request`] where
    /// `models/NAME` is another model, and [`Error::Data`] where a file cannot be downloaded or written:
    /// the message then says which file belongs where.
    pub fn pretrained(name: &str) -> Result<Self, Error> {
        // Where this crate was compiled, which for a release is on another machine.
        let crate_folder = Path::new(env!("CARGO_MANIFEST_DIR"));
        let repository = crate_folder.ancestors().nth(2).unwrap_or(crate_folder);
        let places = Places {
            beside: vec![
                PathBuf::from("models"),
                repository.join("models"),
                crate_folder.join("models"),
            ],
            cache: cache(),
            #[cfg(feature = "download")]
            address: ADDRESS.to_owned(),
        };
        Self::open(places.find(name, &of_model(name)?)?)
    }
}

/// Lists the compiled checksums, each with the name of a model and of a file.
fn sums() -> impl Iterator<Item = (&'static str, (&'static str, &'static str))> {
    let parts = |line: &'static str| {
        let (sum, path) = line.split_once("  ")?;
        Some((sum, path.split_once('/')?))
    };
    SUMS.lines().filter_map(parts)
}

/// The checksums of the [`FILES`] of a model.
fn of_model(name: &str) -> Result<[&'static str; 2], Error> {
    let unknown = || Error::Pretrained {
        name: name.to_owned(),
        known: Run::shipped().join(", "),
    };
    let of = |file: &str| sums().find(|(_, of)| *of == (name, file));
    let [config, weights] = FILES.map(of);
    match (config, weights) {
        (Some((config, _)), Some((weights, _))) => Ok([config, weights]),
        _ => Err(unknown()),
    }
}

/// The folder of this program in the cache folder of the system, or in that of temporary files where
/// the system has none.
fn cache() -> PathBuf {
    let cache = dirs::cache_dir().unwrap_or_else(std::env::temp_dir);
    cache.join("pixel-iqn").join("models")
}

/// Where the files of models may be.
struct Places {
    /// Folders that have a folder for each model, which are left as they are.
    beside: Vec<PathBuf>,
    /// A folder into which what is missing is written.
    cache: PathBuf,
    #[cfg(feature = "download")]
    address: String,
}

impl Places {
    /// Returns the folder of a model, all of whose files have the checksums `sums`.
    fn find(&self, name: &str, sums: &[&str; 2]) -> Result<PathBuf, Error> {
        for folder in &self.beside {
            let folder = folder.join(name);
            if folder.join(FILES[1]).exists() {
                return match check(&folder, sums) {
                    Ok(()) => Ok(folder),
                    Err(error) => Err(Error::Request(format!(
                        "{} is not the shipped model {name} of this version: move it away to have that, or \
                         open it as the run that it is ({})",
                        folder.display(),
                        pixel_iqn_train::with_causes(&error)
                    ))),
                };
            }
        }
        let folder = self.cache.join(name);
        let compiled_in = COMPILED_IN.iter().find(|(other, _)| *other == name);
        if check(&folder, sums).is_err() {
            match compiled_in {
                Some((_, contents)) => {
                    create(&folder)?;
                    for (file, content) in FILES.iter().zip(contents) {
                        write_atomically(&folder.join(file), content)?;
                    }
                }
                None => self.download(name, sums, &folder)?,
            }
        }
        let lines = FILES.iter().zip(sums);
        let lines: String = lines
            .map(|(file, sum)| format!("{sum}  {file}\n"))
            .collect();
        let own = folder.join("SHA256");
        if fs::read_to_string(&own).ok().as_ref() != Some(&lines) {
            write_atomically(&own, lines.as_bytes())?;
        }
        Ok(folder)
    }

    #[cfg(feature = "download")]
    fn download(&self, name: &str, sums: &[&str; 2], folder: &Path) -> Result<(), Error> {
        for (file, sum) in FILES.iter().zip(sums) {
            let url = format!("{}/{name}-{file}", self.address);
            fetch(&url, Checksum::Sha256(sum), &folder.join(file))?;
        }
        Ok(())
    }

    #[cfg(not(feature = "download"))]
    fn download(&self, name: &str, _: &[&str; 2], folder: &Path) -> Result<(), Error> {
        Err(Error::Request(format!(
            "the model {name} is not on this machine, and this program was built without the feature \
             `download`: put {} of the repository's folder models/{name} into {}",
            FILES.join(" and "),
            folder.display()
        )))
    }
}

fn create(folder: &Path) -> Result<(), Error> {
    fs::create_dir_all(folder).map_err(|error| {
        Error::Request(format!(
            "cannot create the folder {} for the files of a shipped model: {error}",
            folder.display()
        ))
    })
}

/// Compares the files of a folder with their checksums.
fn check(folder: &Path, sums: &[&str; 2]) -> Result<(), Error> {
    for (file, sum) in FILES.iter().zip(sums) {
        let path = folder.join(file);
        let bytes = fs::read(&path).map_err(|source| Error::Io {
            path: path.clone(),
            source,
        })?;
        let found = sha256(&bytes);
        if found != *sum {
            return Err(DataError::Checksum {
                path,
                algorithm: "SHA-256",
                expected: (*sum).to_owned(),
                found,
            }
            .into());
        }
    }
    Ok(())
}

#[cfg(all(test, feature = "cpu"))]
mod tests;

use std::fs;
use std::io;
use std::path::Path;

use pixel_iqn_data::{md5, write_atomically};
use serde::Deserialize;

use crate::error::{RunError, at};
use crate::manifest::Manifest;

pub(crate) const MANIFEST: &str = "manifest.json";
pub(crate) const TENSORS: &str = "state.safetensors";
pub(crate) const CHECKSUMS: &str = "checksums.md5";

/// A checkpoint that was read.
#[derive(Debug, Clone, PartialEq)]
#[non_exhaustive]
pub struct Checkpoint {
    /// The description of the checkpoint.
    pub manifest: Manifest,
    /// The tensors of [`Trainer::state`](crate::Trainer::state), as a safetensors file.
    pub tensors: Vec<u8>,
}

/// Writes a checkpoint into a new folder, and waits for the disk.
pub(crate) fn write_folder(
    path: &Path,
    manifest: &Manifest,
    tensors: &[u8],
) -> Result<(), RunError> {
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
        write_atomically(&path.join(name), bytes)?;
    }
    Ok(())
}

/// Reads a checkpoint; the error says in words what is wrong.
pub(crate) fn read_folder(path: &Path) -> Result<Checkpoint, String> {
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

/// Removes a folder, if it is there.
pub(crate) fn remove_folder(path: &Path) -> Result<(), RunError> {
    match fs::remove_dir_all(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(at(path)(error)),
        _ => Ok(()),
    }
}

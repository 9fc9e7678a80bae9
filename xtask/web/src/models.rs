//! The models of the page, and the list of them that it reads.

use std::cmp::Reverse;
use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, ensure};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::say;

/// Folders in which a registered model may be.
const PLACES: [&str; 2] = ["models", "crates/pixel-iqn/models"];

/// The checksums of all registered models.
const SUMS: &str = "crates/pixel-iqn/models/SHA256";

/// A model of the page.
#[derive(Debug)]
struct Model {
    name: String,
    folder: PathBuf,
}

/// Copies the registered models that are here, and those of further folders, into the page, and returns the
/// list that the page reads.
pub fn copy(root: &Path, further: &[PathBuf], out: &Path) -> anyhow::Result<Value> {
    let mut models = registered(root)?;
    for folder in further {
        models.extend(of_folder(folder)?);
    }
    ensure!(!models.is_empty(), "there is no model for the page");
    let mut entries = Vec::new();
    for model in &models {
        let entry = copy_one(model, out);
        entries.push(entry.with_context(|| format!("the model in {}", model.folder.display()))?);
    }
    // The first one is what a visitor sees: one that completes any region well, and of these the smallest.
    entries.sort_by_key(|entry| {
        let number = |value: &Value| value.as_u64().unwrap_or(0);
        let orders = number(&entry["orders"]);
        let bytes = number(&entry["weights"]["bytes"]);
        (Reverse(orders), bytes, entry["name"].to_string())
    });
    Ok(json!({ "models": entries }))
}

/// Lists the registered models of the repository.
fn registered(root: &Path) -> anyhow::Result<Vec<Model>> {
    let path = root.join(SUMS);
    let sums = fs::read_to_string(&path)
        .with_context(|| format!("{}: start at the root of the repository", path.display()))?;
    let names = sums.lines().filter_map(|line| line.split_once("  "));
    let mut names: Vec<&str> = names
        .filter_map(|(_, path)| Some(path.split_once('/')?.0))
        .collect();
    names.dedup();
    let mut models = Vec::new();
    for name in names {
        let mut places = PLACES.iter().map(|place| root.join(place).join(name));
        match places.find(|folder| folder.join("weights.safetensors").exists()) {
            Some(folder) => {
                for file in ["config.toml", "weights.safetensors"] {
                    check(&sums, &folder, name, file)?;
                }
                models.push(Model {
                    name: name.to_owned(),
                    folder,
                });
            }
            None => say(&format!(
                "the model {name} is not in this checkout: the page is without it"
            )),
        }
    }
    Ok(models)
}

/// Compares a file with its registered checksum.
fn check(sums: &str, folder: &Path, name: &str, file: &str) -> anyhow::Result<()> {
    let path = folder.join(file);
    let found = sha256(&fs::read(&path).with_context(|| path.display().to_string())?);
    let line = format!("{found}  {name}/{file}");
    ensure!(
        sums.lines().any(|other| other == line),
        "{} is not the registered file: its SHA-256 is {found}",
        path.display()
    );
    Ok(())
}

/// Lists the models of a folder of them.
fn of_folder(folder: &Path) -> anyhow::Result<Vec<Model>> {
    let entries = fs::read_dir(folder).with_context(|| folder.display().to_string())?;
    let mut models = Vec::new();
    for entry in entries {
        let folder = entry?.path();
        if folder.join("weights.safetensors").exists() {
            let name = folder.file_name().unwrap_or_default();
            let name = name.to_string_lossy().into_owned();
            models.push(Model { name, folder });
        }
    }
    Ok(models)
}

/// Copies a model into the page, and describes it for the list.
fn copy_one(model: &Model, out: &Path) -> anyhow::Result<Value> {
    let text = fs::read_to_string(model.folder.join("config.toml"))?;
    let config: toml::Table = text.parse().context("config.toml")?;
    let config = serde_json::to_value(config)?;
    let weights = fs::read(model.folder.join("weights.safetensors"))?;
    let sum = sha256(&weights);
    // A name for each content, so that no cache on the way has an older one.
    let file = format!("models/{}-{}.safetensors", model.name, &sum[..12]);
    fs::create_dir_all(out.join("models"))?;
    fs::write(out.join(&file), &weights)?;
    let (data, network) = (&config["data"], &config["model"]);
    ensure!(network.is_object(), "config.toml has no table [model]");
    let classes = network["classes"].as_u64().unwrap_or(0);
    let names: Vec<String> = match data["class_names"].as_array() {
        Some(names) => (names.iter())
            .map(|name| name.as_str().unwrap_or_default().to_owned())
            .collect(),
        None => (0..classes).map(|class| class.to_string()).collect(),
    };
    // Images without a class are known where classes were left out in training.
    let dropout = config["train"]["label_dropout"].as_f64().unwrap_or(0.0);
    Ok(json!({
        "name": model.name,
        "description": data["description"],
        "size": data["size"],
        "channels": network["channels"],
        "classes": names,
        "unlabelled": classes > 0 && dropout > 0.0,
        "orders": network["orders"].as_u64().unwrap_or(1),
        "output": network["output"]["kind"],
        "config": network,
        "weights": { "file": file, "bytes": weights.len(), "sha256": sum },
    }))
}

/// The SHA-256 in hexadecimal digits.
fn sha256(bytes: &[u8]) -> String {
    let digest = Sha256::digest(bytes);
    digest.iter().map(|byte| format!("{byte:02x}")).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn root(weights: &[u8]) -> tempfile::TempDir {
        let root = tempfile::tempdir().unwrap();
        let folder = root.path().join("models/a");
        fs::create_dir_all(&folder).unwrap();
        fs::create_dir_all(root.path().join("crates/pixel-iqn/models")).unwrap();
        let config = "[data]\ndescription = \"d\"\nsize = [8, 9]\n[model]\nchannels = 1\nclasses = 2\n\
                      orders = 8\n[model.output]\nkind = \"gates\"\n[train]\nlabel_dropout = 0.1\n";
        fs::write(folder.join("config.toml"), config).unwrap();
        fs::write(folder.join("weights.safetensors"), weights).unwrap();
        let lines = format!(
            "{}  a/config.toml\n{}  a/weights.safetensors\n{0}  b/config.toml\n",
            sha256(config.as_bytes()),
            sha256(b"weights")
        );
        fs::write(root.path().join(SUMS), lines).unwrap();
        root
    }

    #[test]
    fn registered_models_are_listed_with_their_checksums() {
        let root = root(b"weights");
        let out = root.path().join("dist");
        // `b` is registered, and not in this checkout.
        let list = copy(root.path(), &[], &out).unwrap();
        let [model] = list["models"].as_array().unwrap().as_slice() else {
            panic!("{list}");
        };
        assert_eq!(model["size"], json!([8, 9]));
        assert_eq!(model["classes"], json!(["0", "1"]));
        assert_eq!(model["unlabelled"], json!(true));
        assert_eq!(model["weights"]["sha256"], json!(sha256(b"weights")));
        let file = model["weights"]["file"].as_str().unwrap();
        assert_eq!(fs::read(out.join(file)).unwrap(), b"weights");
    }

    #[test]
    fn weights_that_are_not_the_registered_ones_are_refused() {
        let root = root(b"others");
        let error = copy(root.path(), &[], &root.path().join("dist")).unwrap_err();
        assert!(
            error.to_string().contains("not the registered file"),
            "{error}"
        );
    }

    #[test]
    fn a_further_folder_brings_its_models() {
        let root = root(b"weights");
        let further = root.path().join("further");
        fs::create_dir_all(further.join("c")).unwrap();
        for file in ["config.toml", "weights.safetensors"] {
            fs::copy(
                root.path().join("models/a").join(file),
                further.join("c").join(file),
            )
            .unwrap();
        }
        let list = copy(root.path(), &[further], &root.path().join("dist")).unwrap();
        let names: Vec<&Value> = (list["models"].as_array().unwrap().iter())
            .map(|model| &model["name"])
            .collect();
        assert_eq!(names, ["a", "c"]);
    }
}

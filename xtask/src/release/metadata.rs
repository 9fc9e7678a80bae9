use std::fs;
use std::path::Path;

use serde_json::Value;

use crate::links;
use crate::workspace::{dependencies, name};

/// The registry's categories that our crates are in.
const CATEGORIES: [&str; 3] = ["science", "algorithms", "command-line-utilities"];

/// What a package lacks of what the registry or docs.rs asks for, one sentence each.
pub fn faults(package: &Value) -> Vec<String> {
    let mut faults = Vec::new();
    for field in [
        "description",
        "license",
        "repository",
        "rust_version",
        "readme",
    ] {
        if package[field].as_str().is_none_or(str::is_empty) {
            faults.push(format!("Cargo.toml has no `{field}`"));
        }
    }
    if let Some(readme) = package["readme"].as_str() {
        let manifest = package["manifest_path"].as_str().unwrap_or_default();
        let folder = Path::new(manifest).parent().unwrap_or(Path::new(""));
        match fs::read_to_string(folder.join(readme)) {
            Err(_) => faults.push(format!("the readme {readme} does not exist")),
            Ok(text) => faults.extend(relative_link(&text).map(|link| {
                format!(
                    "the readme {readme} leads to {link}, which the registry does not have: write it with \
                     https://"
                )
            })),
        }
    }
    let keywords = strings(&package["keywords"]);
    if keywords.is_empty() || keywords.len() > 5 {
        faults.push(format!(
            "it has {} keywords, and is to have 1 to 5",
            keywords.len()
        ));
    }
    let odd = |keyword: &&&str| {
        let plain = |c: char| c.is_ascii_alphanumeric() || "-_+".contains(c);
        keyword.len() > 20 || !keyword.chars().all(plain)
    };
    if let Some(keyword) = keywords.iter().find(odd) {
        faults.push(format!("the registry refuses the keyword `{keyword}`"));
    }
    let categories = strings(&package["categories"]);
    if categories.is_empty() {
        faults.push("it has no categories".to_owned());
    }
    for category in categories {
        if !CATEGORIES.contains(&category) {
            faults.push(format!(
                "`{category}` is none of the categories {CATEGORIES:?}"
            ));
        }
    }
    for dependency in dependencies(package) {
        if !dependency["path"].is_null() && dependency["req"] == "*" {
            faults.push(format!(
                "the dependency {} has no version",
                name(dependency)
            ));
        }
    }
    if has_library(package) {
        let features = docs_features(package);
        if package["metadata"]["docs"]["rs"].is_null() {
            faults.push("Cargo.toml has no [package.metadata.docs.rs]".to_owned());
        }
        let known = package["features"].as_object();
        for feature in features {
            if !known.is_some_and(|known| known.contains_key(feature)) {
                faults.push(format!(
                    "docs.rs is to show the feature `{feature}`, which does not exist"
                ));
            }
        }
    }
    faults
}

/// The first link that leads to a file beside the readme.
fn relative_link(readme: &str) -> Option<String> {
    let mut links = links::links(readme).into_iter();
    links.find(|link| !link.contains("://") && !link.starts_with('#'))
}

/// Whether docs.rs has a page for it.
pub fn has_library(package: &Value) -> bool {
    let targets = package["targets"].as_array().into_iter().flatten();
    targets
        .flat_map(|target| strings(&target["kind"]))
        .any(|kind| kind == "lib")
}

/// The features that docs.rs is to show.
pub fn docs_features(package: &Value) -> Vec<&str> {
    strings(&package["metadata"]["docs"]["rs"]["features"])
}

fn strings(value: &Value) -> Vec<&str> {
    let values = value.as_array().into_iter().flatten();
    values.filter_map(Value::as_str).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn sound() -> Value {
        json!({
            "name": "a", "description": "d", "license": "MIT", "repository": "r", "rust_version": "1.95",
            "readme": "Cargo.toml",
            "manifest_path": concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml"),
            "keywords": ["quantile"], "categories": ["science"],
            "dependencies": [{ "name": "b", "path": "/b", "req": "^0.1.0" }],
            "targets": [{ "kind": ["lib"] }],
            "features": { "cpu": [] },
            "metadata": { "docs": { "rs": { "features": ["cpu"] } } },
        })
    }

    #[test]
    fn a_sound_package_has_no_fault_and_each_fault_is_told() {
        assert_eq!(faults(&sound()), Vec::<String>::new());
        for (field, value, told) in [
            ("description", Value::Null, "no `description`"),
            ("readme", json!("missing.md"), "missing.md"),
            (
                "readme",
                json!("../CONTRIBUTING.md"),
                "leads to docs/devices.md, which",
            ),
            (
                "keywords",
                json!(["a", "b", "c", "d", "e", "f"]),
                "6 keywords",
            ),
            ("keywords", json!(["two words"]), "two words"),
            ("categories", json!([]), "no categories"),
            ("categories", json!(["fashion"]), "fashion"),
            (
                "dependencies",
                json!([{ "name": "b", "path": "/b", "req": "*" }]),
                "b has no version",
            ),
            ("metadata", Value::Null, "docs.rs"),
            ("features", json!({}), "`cpu`, which does not exist"),
        ] {
            let mut package = sound();
            package[field] = value;
            let faults = faults(&package);
            assert!(
                faults.len() == 1 && faults[0].contains(told),
                "{field}: {faults:?}"
            );
        }
    }
}

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// What `cargo metadata` says of the repository.
#[derive(Debug)]
pub struct Workspace(Value);

impl Workspace {
    /// Asks cargo, with all dependencies where `dependencies` is set and without them otherwise.
    pub fn read(dependencies: bool) -> anyhow::Result<Self> {
        let mut command = cargo();
        command.args(["metadata", "--format-version", "1", "--locked"]);
        match dependencies {
            true => command.arg("--all-features"),
            false => command.arg("--no-deps"),
        };
        let output = command.output().context("cannot start cargo")?;
        ensure!(
            output.status.success(),
            "cargo metadata failed: {}",
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(Self(serde_json::from_slice(&output.stdout)?))
    }

    /// All packages that cargo named.
    pub fn packages(&self) -> impl Iterator<Item = &Value> {
        self.0["packages"].as_array().into_iter().flatten()
    }

    pub fn root(&self) -> PathBuf {
        self.0["workspace_root"].as_str().unwrap_or(".").into()
    }

    pub fn target(&self) -> PathBuf {
        self.0["target_directory"]
            .as_str()
            .unwrap_or("target")
            .into()
    }

    /// The crates to publish, each after those of this repository that it depends on.
    pub fn published(&self) -> anyhow::Result<Vec<&Value>> {
        let of_registry = |package: &&Value| package["publish"].is_null();
        let ours = |package: &&Value| package["source"].is_null();
        let mut left: Vec<_> = self.packages().filter(ours).filter(of_registry).collect();
        left.sort_by_key(|package| name(package).to_owned());
        let mut order = Vec::new();
        while !left.is_empty() {
            let waiting: BTreeSet<_> = left
                .iter()
                .map(|package| name(package).to_owned())
                .collect();
            let ready = left.iter().position(|package| {
                let mut needs = dependencies(package).map(name);
                !needs.any(|needed| waiting.contains(needed))
            });
            let ready = ready.with_context(|| format!("a circle of dependencies: {waiting:?}"))?;
            order.push(left.remove(ready));
        }
        Ok(order)
    }
}

pub fn cargo() -> Command {
    Command::new(std::env::var("CARGO").unwrap_or_else(|_| "cargo".into()))
}

pub fn name(value: &Value) -> &str {
    value["name"].as_str().unwrap_or("?")
}

/// What a package of `cargo metadata` declares that it depends on, in all its sections.
pub fn dependencies(package: &Value) -> impl Iterator<Item = &Value> {
    package["dependencies"].as_array().into_iter().flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_crate_is_published_after_its_dependencies() {
        let workspace = Workspace::read(false).unwrap();
        let order: Vec<_> = workspace
            .published()
            .unwrap()
            .into_iter()
            .map(name)
            .collect();
        let place = |of: &str| order.iter().position(|name| *name == of).unwrap();
        assert!(!order.contains(&"xtask"), "{order:?}");
        for (first, second) in [
            ("pixel-iqn-loss", "pixel-iqn-core"),
            ("pixel-iqn-kernels", "pixel-iqn-core"),
            ("pixel-iqn-cube", "pixel-iqn-core"),
            ("pixel-iqn-cuda", "pixel-iqn"),
            ("pixel-iqn-train", "pixel-iqn"),
            ("pixel-iqn", "pixel-iqn-cli"),
        ] {
            assert!(place(first) < place(second), "{order:?}");
        }
    }

    #[test]
    fn a_circle_is_an_error() {
        let package = |name: &str, needs: &str| serde_json::json!({ "name": name, "dependencies": [{ "name": needs }] });
        let packages = [package("a", "b"), package("b", "a")];
        let workspace = Workspace(serde_json::json!({ "packages": packages }));
        let error = workspace.published().unwrap_err().to_string();
        assert!(error.contains("circle"), "{error}");
    }
}

//! The program in WebAssembly: compiled by cargo, and bound to JavaScript by wasm-bindgen.
//!
//! wasm-opt does not follow. With link-time optimisation of all crates before it, it makes what is sent
//! larger (`docs/benchmarks.md`), and old versions damage the program without a word.

use std::env;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, bail, ensure};
use wasm_bindgen_cli_support::Bindgen;

use crate::say;

const TARGET: &str = "wasm32-unknown-unknown";

/// A form of the program for some browsers.
#[derive(Debug, Clone, Copy)]
pub struct Form {
    /// The folder of its files.
    pub name: &'static str,
    /// The instructions that it needs.
    instructions: &'static str,
    /// The features of the crate.
    features: &'static [&'static str],
}

/// All forms, the best first.
pub const FORMS: [Form; 2] = [
    Form {
        name: "relaxed",
        instructions: "-C target-feature=+simd128,+relaxed-simd",
        features: &["--features", "relaxed-simd"],
    },
    Form {
        name: "simd",
        instructions: "-C target-feature=+simd128",
        features: &[],
    },
];

/// How the program is compiled.
pub struct Cargo<'a> {
    root: &'a Path,
    arguments: &'a [String],
    program: String,
}

impl<'a> Cargo<'a> {
    pub fn new(root: &'a Path, arguments: &'a [String]) -> Self {
        Self {
            root,
            arguments,
            program: env::var("CARGO_WASM").unwrap_or_else(|_| "cargo".to_owned()),
        }
    }

    /// Fails where the standard library of the target is neither there nor to be built.
    pub fn expect_target(&self) -> anyhow::Result<()> {
        if self
            .arguments
            .iter()
            .any(|argument| argument.contains("build-std"))
        {
            return Ok(());
        }
        let folder = Command::new("rustc")
            .args(["--print", "target-libdir", "--target", TARGET])
            .output()
            .context("rustc cannot be run")?;
        let folder = String::from_utf8_lossy(&folder.stdout).trim().to_owned();
        ensure!(
            !folder.is_empty() && Path::new(&folder).is_dir(),
            "the target {TARGET} is not there: `rustup target add {TARGET}` adds it"
        );
        Ok(())
    }

    /// Compiles a form, and returns the file.
    pub fn compile(&self, form: Form) -> anyhow::Result<PathBuf> {
        let target = self.target_folder()?.join("web").join(form.name);
        let mut flags = env::var("RUSTFLAGS").unwrap_or_default();
        flags.push(' ');
        flags.push_str(form.instructions);
        let mut command = self.command();
        command
            .args(["build", "--locked", "--profile", "web", "--lib"])
            .args(["--package", "pixel-iqn-web", "--target", TARGET])
            .args(form.features)
            .arg("--target-dir")
            .arg(&target)
            .args(self.arguments)
            .env("RUSTFLAGS", flags.trim());
        say(&format!("+ {command:?}"));
        let status = command
            .status()
            .with_context(|| format!("{} cannot be run", self.program))?;
        ensure!(status.success(), "the program was not compiled: {status}");
        Ok(target.join(TARGET).join("web/pixel_iqn_web.wasm"))
    }

    fn command(&self) -> Command {
        let mut command = Command::new(&self.program);
        command.current_dir(self.root);
        // Those of the cargo that runs this program, which may be of another toolchain.
        for name in ["CARGO", "RUSTC", "RUSTUP_TOOLCHAIN", "CARGO_MANIFEST_DIR"] {
            if name != "RUSTUP_TOOLCHAIN" || self.program != "cargo" {
                command.env_remove(name);
            }
        }
        command
    }

    fn target_folder(&self) -> anyhow::Result<PathBuf> {
        let output = self
            .command()
            .args(["metadata", "--format-version", "1", "--no-deps", "--locked"])
            .stderr(Stdio::inherit())
            .output()
            .with_context(|| format!("{} cannot be run", self.program))?;
        let metadata: serde_json::Value =
            serde_json::from_slice(&output.stdout).context("the workspace has no metadata")?;
        match metadata["target_directory"].as_str() {
            Some(folder) => Ok(folder.into()),
            None => bail!("the metadata of the workspace have no target folder"),
        }
    }
}

/// Writes the JavaScript and the WebAssembly of a compiled form into a folder.
pub fn bind(compiled: &Path, folder: &Path) -> anyhow::Result<()> {
    Bindgen::new()
        .input_path(compiled)
        .web(true)?
        .typescript(false)
        .remove_name_section(true)
        .remove_producers_section(true)
        .omit_default_module_path(false)
        .generate(folder)
        .context("wasm-bindgen failed")
}

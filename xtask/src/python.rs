use std::path::Path;
use std::process::Command;

use anyhow::{Context, ensure};
use serde_json::Value;

/// Runs a script, whose arguments `with_arguments` adds, and returns the JSON of the last line that
/// it prints. `name` is for messages.
pub fn run(
    python: &Path,
    script: &str,
    name: &str,
    with_arguments: impl FnOnce(&mut Command),
) -> anyhow::Result<Value> {
    let mut command = Command::new(python);
    command.args(["-c", script]);
    with_arguments(&mut command);
    let output = command
        .output()
        .with_context(|| format!("cannot start {}", python.display()))?;
    ensure!(
        output.status.success(),
        "{name} failed: {}\n{}",
        output.status,
        String::from_utf8_lossy(&output.stderr)
    );
    let text = String::from_utf8(output.stdout)?;
    let line = text.lines().last().context("the script printed nothing")?;
    Ok(serde_json::from_str(line)?)
}

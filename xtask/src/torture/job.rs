use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, ensure};
use pixel_iqn::Run;
use serde_json::Value;

use super::moment::{Changes, Course, watch};

/// A program with its arguments, and the files that it makes.
pub struct Job {
    pub name: &'static str,
    pub program: PathBuf,
    pub arguments: String,
    /// The arguments that go on where a folder is begun, with that folder; without them the command is
    /// the same again.
    pub resume: Option<(String, &'static str)>,
    /// Its result: files, or folders of them.
    pub results: &'static [&'static str],
    /// A folder of a run, whose weights are whole wherever there are some.
    pub run: Option<&'static str>,
}

impl Job {
    /// The command that begins in a folder or goes on with what is there.
    pub fn command(&self, folder: &Path) -> Command {
        let arguments = match &self.resume {
            Some((resume, begun)) if folder.join(begun).exists() => resume,
            _ => &self.arguments,
        };
        let mut command = Command::new(&self.program);
        command
            .current_dir(folder)
            .args(arguments.split_whitespace());
        command
    }

    /// Runs it to its end, undisturbed.
    pub fn complete(&self, folder: &Path) -> anyhow::Result<()> {
        self.watch(folder).map(drop)
    }

    /// Runs it to its end, undisturbed, and returns how it went.
    pub fn watch(&self, folder: &Path) -> anyhow::Result<Course> {
        let log = folder.with_extension("log");
        let changes = Changes::new(folder);
        let mut child = self
            .command(folder)
            .stdout(Stdio::null())
            .stderr(fs::File::create(&log)?)
            .spawn()?;
        let course = watch(&mut child, changes)?;
        ensure!(
            child.wait()?.success(),
            "it failed: {}",
            fs::read_to_string(&log)?
        );
        Ok(course)
    }

    /// Whether the whole result is there.
    pub fn is_complete(
        &self,
        folder: &Path,
        expected: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> anyhow::Result<bool> {
        Ok(self.results(folder)? == *expected)
    }

    /// Names in the folder of what no run of it leaves behind that ends by itself.
    pub fn leftovers(&self, folder: &Path) -> anyhow::Result<Vec<String>> {
        let mut found = Vec::new();
        let mut folders = vec![folder.to_owned()];
        while let Some(next) = folders.pop() {
            for entry in fs::read_dir(next)? {
                let path = entry?.path();
                let name = path.file_name().unwrap_or_default().to_string_lossy();
                if name.ends_with(".part") || (name.starts_with('.') && name.ends_with(".lock")) {
                    found.push(path.display().to_string());
                }
                if path.is_dir() {
                    folders.push(path);
                }
            }
        }
        Ok(found)
    }

    /// The files of the result that are there, with their content.
    pub fn results(&self, folder: &Path) -> anyhow::Result<BTreeMap<PathBuf, Vec<u8>>> {
        let mut found = BTreeMap::new();
        for result in self.results {
            let path = folder.join(result);
            let files = match path.is_dir() {
                true => fs::read_dir(&path)?
                    .map(|entry| Ok(entry?.path()))
                    .collect::<anyhow::Result<Vec<_>>>()?,
                false => vec![path],
            };
            for file in files.into_iter().filter(|file| file.is_file()) {
                let name = file.strip_prefix(folder)?.to_owned();
                let is_hidden = file
                    .file_name()
                    .is_some_and(|name| name.as_encoded_bytes().starts_with(b"."));
                if !is_hidden {
                    found.insert(name, without_clock(&file)?);
                }
            }
        }
        Ok(found)
    }

    /// Checks that each file under a final name is whole.
    pub fn check_whole(
        &self,
        folder: &Path,
        expected: &BTreeMap<PathBuf, Vec<u8>>,
    ) -> anyhow::Result<()> {
        for (name, content) in self.results(folder)? {
            // The note of a folder of samples grows with it.
            if name.ends_with("job.txt") {
                continue;
            }
            let expected = expected.get(&name);
            ensure!(
                expected == Some(&content),
                "{} is not whole",
                name.display()
            );
        }
        if let Some(run) = self.run.map(|run| folder.join(run))
            && run.join("averaged.safetensors").exists()
        {
            Run::open(&run)?.model("cpu")?;
        }
        Ok(())
    }
}

/// The content of a file; without the times in JSON and in tables, which are of the clock.
fn without_clock(file: &Path) -> anyhow::Result<Vec<u8>> {
    let bytes = fs::read(file).with_context(|| file.display().to_string())?;
    let extension = file.extension().unwrap_or_default();
    if extension == "json" {
        let mut json: Value =
            serde_json::from_slice(&bytes).with_context(|| file.display().to_string())?;
        for model in json["models"].as_array_mut().into_iter().flatten() {
            model["train_seconds"].take();
        }
        return Ok(json.to_string().into_bytes());
    }
    if extension == "md" {
        let text = String::from_utf8(bytes)?;
        let lines = text.lines().filter(|line| !line.contains("seconds of"));
        return Ok(lines.collect::<Vec<_>>().join("\n").into_bytes());
    }
    Ok(bytes)
}

//! A folder that the program runs in, for the tests of it.

#![allow(dead_code)] // Each test program uses a part of it.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output};
use std::time::Duration;

/// A folder that the program runs in.
pub struct Folder(tempfile::TempDir);

impl Folder {
    /// A new one, which is removed in the end.
    pub fn new() -> Self {
        Self(tempfile::tempdir().unwrap())
    }

    /// The path of a file in it.
    pub fn file(&self, name: &str) -> PathBuf {
        self.0.path().join(name)
    }

    /// The content of a file in it, which must be there.
    pub fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.file(name)).unwrap_or_else(|error| panic!("{name}: {error}"))
    }

    /// The program with arguments between spaces.
    pub fn command(&self, arguments: &str) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_pixel-iqn"));
        command
            .current_dir(self.0.path())
            .args(arguments.split_whitespace());
        command
    }

    /// Runs the program, which must succeed, and returns what it printed.
    pub fn run(&self, arguments: &str) -> String {
        let output = self.command(arguments).output().unwrap();
        assert!(output.status.success(), "{arguments}: {}", errors(&output));
        String::from_utf8(output.stdout).unwrap()
    }

    /// Runs the program, which must fail with exit code 1, and returns its message.
    pub fn fail(&self, arguments: &str) -> String {
        let output = self.command(arguments).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        errors(&output)
    }
}

/// What a program printed on standard error.
pub fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

/// A training of a second.
pub const TRAIN: &str = "train --plain --dataset builtin --size 16 --preset tiny --batch 4 \
                     --eval-images 2 --samples 2 --set report.held_out_images=2";

/// A folder with a trained run.
pub fn trained() -> Folder {
    let folder = Folder::new();
    folder.run(&format!("{TRAIN} --class-conditional --steps 2 --run run"));
    folder
}

/// Waits for something that a child does while it runs.
pub fn wait_until(child: &mut Child, is_ready: impl Fn() -> bool) {
    while !is_ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// The names in a folder, in order.
pub fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
}

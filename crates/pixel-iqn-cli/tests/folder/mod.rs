//! A folder that the program runs in, for the tests of it.

#![allow(dead_code)] // Each test program uses a part of it.

use std::fs;
use std::path::PathBuf;
use std::process::{Command, Output};

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

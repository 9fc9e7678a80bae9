//! The example programs among what happens around programs.

#![cfg(all(unix, feature = "terminal", feature = "cpu"))]

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Duration;

/// An example, which Cargo builds for these tests.
fn example(name: &str, folder: &Path, arguments: &str) -> Command {
    let this = std::env::current_exe().unwrap();
    let examples: PathBuf = this.parent().unwrap().with_file_name("examples");
    let mut command = Command::new(examples.join(name));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace());
    command
}

#[test]
fn a_reader_that_goes_away_leaves_the_picture() {
    let folder = tempfile::tempdir().unwrap();
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    let status = example(
        "quantile_regression",
        folder.path(),
        "--steps 3 --out q.png",
    )
    .stdout(writer)
    .status()
    .unwrap();
    assert!(status.success(), "{status}");
    assert!(folder.path().join("q.png").exists());
}

#[test]
fn what_cannot_work_is_refused_before_the_work() {
    let folder = tempfile::tempdir().unwrap();
    let run = |arguments: &str| {
        let mut command = example("quantile_regression", folder.path(), arguments);
        let output = command.output().unwrap();
        let error = String::from_utf8_lossy(&output.stderr).into_owned();
        (output.status.code(), error)
    };
    let (code, error) = run("--steps 1000000000 --out no/folder/q.png");
    assert!(
        code == Some(1) && error.contains("no such folder"),
        "{error}"
    );
    for wrong in ["0", "-1"] {
        let (code, error) = run(&format!("--batch {wrong}"));
        assert!(
            code == Some(2) && error.contains("from 1 to 1000000"),
            "{error}"
        );
    }
}

#[cfg(target_os = "linux")]
#[test]
fn help_that_is_not_printed_is_missed() {
    let folder = tempfile::tempdir().unwrap();
    for name in ["quantile_regression", "train_cifar"] {
        let full = std::fs::OpenOptions::new().write(true).open("/dev/full");
        let mut command = example(name, folder.path(), "--help");
        let output = command.stdout(full.unwrap()).output().unwrap();
        assert_eq!(output.status.code(), Some(1), "{name}");
    }
}

#[test]
fn a_training_that_is_ended_says_so_in_its_exit_code() {
    let folder = tempfile::tempdir().unwrap();
    let arguments = "--dataset builtin --preset tiny --steps 1000000";
    for (signal, code) in [("-INT", 130), ("-TERM", 143)] {
        let mut child = example("train_cifar", folder.path(), arguments)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .unwrap();
        let runs = folder.path().join("runs");
        while !runs.exists() {
            assert!(child.try_wait().unwrap().is_none(), "it ended too early");
            std::thread::sleep(Duration::from_millis(10));
        }
        let id = child.id().to_string();
        assert!(
            Command::new("kill")
                .args([signal, &id])
                .status()
                .unwrap()
                .success()
        );
        assert_eq!(child.wait().unwrap().code(), Some(code));
        std::fs::remove_dir_all(runs).unwrap();
    }
}

//! Trains on devices of other machines, which are processes on this one.
#![cfg(feature = "remote")]

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::thread;
use std::time::{Duration, Instant};

fn program(folder: &Path, arguments: &str) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_pixel-iqn"));
    command
        .current_dir(folder)
        .args(arguments.split_whitespace())
        .env_remove("PIXEL_IQN_TOKEN");
    command
}

/// A training of a few seconds.
const TRAIN: &str = "train --plain --dataset builtin --size 8 --preset tiny --batch 6 \
                     --eval-images 2 --samples 1 --set report.held_out_images=2";

/// A process that serves a device until it is dropped.
struct Server {
    process: Child,
    address: String,
}

impl Server {
    fn start(folder: &Path, token: Option<&str>) -> Self {
        let mut command = program(folder, "serve-device --device cpu --listen 127.0.0.1:0");
        if let Some(token) = token {
            command.env("PIXEL_IQN_TOKEN", token);
        }
        let mut process = command.stdout(Stdio::piped()).spawn().unwrap();
        let mut line = String::new();
        let output = process.stdout.take().unwrap();
        BufReader::new(output).read_line(&mut line).unwrap();
        let address = line.split("on ").nth(1).expect(&line);
        let (address, _) = address.split_once(": Ctrl-C").expect(&line);
        Self {
            process,
            address: address.to_owned(),
        }
    }

    /// Its name as a device.
    fn name(&self) -> String {
        format!("remote:{}", self.address)
    }

    fn signal(&self, signal: &str) {
        let pid = self.process.id().to_string();
        let kill = Command::new("kill").args([signal, &pid]).status();
        assert!(kill.unwrap().success());
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn losses(run: &Path) -> Vec<f64> {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text
        .lines()
        .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap());
    lines.filter_map(|line| line["loss"].as_f64()).collect()
}

fn wait(what: &str, is_so: impl Fn() -> bool) {
    let start = Instant::now();
    while !is_so() {
        assert!(start.elapsed() < Duration::from_secs(120), "{what}");
        thread::sleep(Duration::from_millis(2));
    }
}

fn succeed(command: &mut Command) -> Output {
    let output = command.output().unwrap();
    assert!(output.status.success(), "{command:?}: {}", errors(&output));
    output
}

fn errors(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

#[test]
fn several_machines_give_the_losses_of_one() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (first, second) = (Server::start(folder, None), Server::start(folder, None));
    let train = |device: &str, run: &str| {
        succeed(&mut program(
            folder,
            &format!("{TRAIN} --class-conditional --steps 12 --device {device} --run {run}"),
        ));
        losses(&folder.join(run))
    };
    let one = train("cpu", "one");
    let names = format!("cpu,{},{}", first.name(), second.name());
    let three = train(&names, "three");
    assert_eq!((one.len(), three.len()), (12, 12));
    let off = one
        .iter()
        .zip(&three)
        .map(|(one, three)| (one - three).abs() / one.abs());
    let off = off.fold(0.0, f64::max);
    eprintln!("losses of three devices are within {off:e} of those of one");
    assert!(off < 2e-6, "{off:e}");
    assert_eq!(train(&names, "again"), three);
}

#[test]
fn a_training_goes_on_without_a_server_that_was_killed() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let (mut lost, kept) = (Server::start(folder, None), Server::start(folder, None));
    let (lost_name, kept_name) = (lost.name(), kept.name());
    let training = program(
        folder,
        &format!(
            "{TRAIN} --steps 150 --checkpoint-steps 5 --run run --device cpu,{lost_name},{kept_name}"
        ),
    )
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let checkpoints = folder.join("run/checkpoints");
    wait("there is no checkpoint", || {
        fs::read_dir(&checkpoints).is_ok_and(|mut files| files.next().is_some())
    });
    lost.process.kill().unwrap();
    let output = training.wait_with_output().unwrap();
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    for part in [&*format!("`{lost_name}` was lost"), "--resume"] {
        assert!(text.contains(part), "{part}: {text}");
    }
    assert!(!text.contains("panicked"), "{text}");

    let resume = format!("train --plain --resume run --device cpu,{kept_name}");
    let output = succeed(&mut program(folder, &resume));
    let printed = String::from_utf8(output.stdout).unwrap();
    assert!(printed.contains("resume after"), "{printed}");
    assert_eq!(losses(&folder.join("run")).len(), 150);
}

#[test]
fn a_server_that_stops_answering_is_an_error() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, None);
    let name = server.name();
    let training = program(
        folder,
        &format!("{TRAIN} --steps 150 --checkpoint-steps 5 --run run --device cpu,{name} --remote-timeout 3"),
    )
    .stdout(Stdio::null())
    .stderr(Stdio::piped())
    .spawn()
    .unwrap();
    let checkpoints = folder.join("run/checkpoints");
    wait("there is no checkpoint", || {
        fs::read_dir(&checkpoints).is_ok_and(|mut files| files.next().is_some())
    });
    server.signal("-STOP");
    let output = training.wait_with_output().unwrap();
    let text = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{text}");
    let expected = format!("`{name}` did not answer within 3 s");
    assert!(text.contains(&expected), "{text}");
}

#[test]
fn a_wrong_token_and_a_first_device_elsewhere_are_refused() {
    let folder = tempfile::tempdir().unwrap();
    let folder = folder.path();
    let server = Server::start(folder, Some("one"));
    let name = server.name();
    let train = |device: &str| {
        program(
            folder,
            &format!("{TRAIN} --steps 2 --run run --device {device}"),
        )
    };
    let fail = |command: &mut Command| {
        let output = command.output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        errors(&output)
    };
    for token in ["", "two"] {
        let text = fail(train(&format!("cpu,{name}")).env("PIXEL_IQN_TOKEN", token));
        assert!(text.contains("refused the token"), "{text}");
    }
    let text = fail(train(&name).env("PIXEL_IQN_TOKEN", "one"));
    assert!(text.contains(&format!("--device cpu,{name}")), "{text}");
    succeed(train(&format!("cpu,{name}")).env("PIXEL_IQN_TOKEN", "one"));

    let text = fail(&mut program(
        folder,
        "serve-device --device cpu --listen 0.0.0.0:0",
    ));
    assert!(text.contains("PIXEL_IQN_TOKEN"), "{text}");
    let text = fail(&mut program(
        folder,
        &format!("serve-device --device {name}"),
    ));
    assert!(text.contains("of another machine"), "{text}");
}

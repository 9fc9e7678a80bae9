//! What can happen to a long run, provoked in processes of their own: each ends as if it had not
//! happened.

#![cfg(unix)]

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use burn::tensor::Device;
use pixel_iqn_core::{ModelConfig, Noise, PixelIqn};
use pixel_iqn_train::{
    CheckpointConfig, End, ResumeFrom, RunConfig, RunDir, Session, TrainConfig, stop_on_signals,
};
use tempfile::TempDir;

use common::images;

const STEPS: usize = 1000;

/// Milliseconds that a step of a process that is killed takes at least: so long that no machine is done
/// with [`STEPS`] before the last kill.
const PACE: &str = "8";

/// After which a process is stuck.
const PATIENCE: Duration = Duration::from_secs(600);

/// The run of all tests. Everything that has a state of its own is on.
fn config(steps: usize) -> RunConfig {
    let model = ModelConfig::tiny().with_layers(2).with_classes(10);
    let train = TrainConfig::new(steps, 6)
        .with_accumulation(2)
        .with_taus(2)
        .with_dequantize(true)
        .with_label_dropout(0.2);
    common::config(model, train, 100).with_checkpoint(CheckpointConfig::new().with_every_steps(3))
}

/// The other side of [`Process`]: begins or resumes the run in the folder that it is given.
#[test]
#[ignore = "the other tests run it as a process"]
fn process() {
    let path = PathBuf::from(std::env::var_os("PIXEL_IQN_TEST_RUN").expect("a folder"));
    let steps = std::env::var("PIXEL_IQN_TEST_STEPS").expect("a number");
    let (train, held_out) = images();
    let devices = [Device::flex()];
    let begun = path.join("config.toml").exists();
    let session = if begun {
        let (run, config) = RunDir::open(path).unwrap();
        Session::<PixelIqn>::resume(run, config, train, held_out, &devices, ResumeFrom::Last)
    } else {
        let run = RunDir::create(path).unwrap();
        let config = config(steps.parse().unwrap());
        Session::<PixelIqn>::start(run, config, train, held_out, &devices)
    };
    let pace = std::env::var("PIXEL_IQN_TEST_PACE").map_or(0, |pace| pace.parse().unwrap());
    let session = session.and_then(|session| {
        session
            .with_interrupter(stop_on_signals()?)
            .on_step(move |_| sleep(Duration::from_millis(pace)))
            .on_notice(|line| pixel_iqn_data::tell!("{line}"))
            .train()
    });
    match session {
        Ok(finished) => pixel_iqn_data::say!("end: {:?}", finished.end),
        Err(error) => {
            // With its causes, as a program would.
            pixel_iqn_data::tell!("error: {error}: {:?}", std::error::Error::source(&error));
            std::process::exit(1);
        }
    }
}

/// This test program as a process that trains.
struct Process(Child);

impl Process {
    fn command(run: &Path, steps: usize) -> Command {
        let mut command = Command::new(std::env::current_exe().unwrap());
        command
            .args(["--ignored", "--exact", "process", "--nocapture"])
            .env("PIXEL_IQN_TEST_RUN", run)
            .env("PIXEL_IQN_TEST_STEPS", steps.to_string())
            .stdout(Stdio::null())
            .stderr(Stdio::null());
        command
    }

    fn start(run: &Path, steps: usize) -> Self {
        Self(Self::command(run, steps).spawn().unwrap())
    }

    /// One that no machine is done with in a second.
    fn start_paced(run: &Path) -> Self {
        let mut command = Self::command(run, STEPS);
        let command = command.env("PIXEL_IQN_TEST_PACE", PACE);
        Self(command.spawn().unwrap())
    }

    /// The exit status within some minutes.
    fn wait(mut self) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            if let Some(status) = self.0.try_wait().unwrap() {
                return status;
            }
            sleep(Duration::from_millis(5));
        }
        self.0.kill().unwrap();
        panic!("the process did not end");
    }

    fn signal(&self, name: &str) {
        let id = self.0.id().to_string();
        let status = Command::new("kill").args(["-s", name, &id]).status();
        assert!(status.unwrap().success());
    }

    /// Waits until the process has written this line of the metrics.
    fn reaches(&mut self, run: &Path, step: usize) {
        let start = Instant::now();
        while lines(run) < step {
            assert!(start.elapsed() < PATIENCE, "no progress");
            assert!(self.0.try_wait().unwrap().is_none(), "it ended early");
            sleep(Duration::from_millis(2));
        }
    }
}

fn lines(run: &Path) -> usize {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().count()
}

/// What must not depend on what happened: the numbers of every step, and the final state.
fn outcome(run: &Path, steps: usize) -> (Vec<serde_json::Value>, Vec<u8>) {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap();
    let lines = text.lines().map(|line| {
        let mut line: serde_json::Value = serde_json::from_str(line).unwrap();
        let numbers = line.as_object_mut().unwrap();
        numbers.remove("seconds").unwrap();
        numbers.remove("images_per_second").unwrap();
        line
    });
    let state = run.join(format!("checkpoints/{steps:08}/state.safetensors"));
    (lines.collect(), fs::read(state).unwrap())
}

fn uninterrupted(folder: &TempDir, steps: usize) -> (Vec<serde_json::Value>, Vec<u8>) {
    let run = folder.path().join("uninterrupted");
    assert!(Process::start(&run, steps).wait().success());
    let outcome = outcome(&run, steps);
    assert_eq!(outcome.0.len(), steps);
    outcome
}

#[test]
fn fifty_kills_at_random_moments_change_nothing() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder, STEPS);
    let run = folder.path().join("killed");
    let (mut kills, mut at) = (0, Vec::new());
    let mut longest = 160.0;
    while kills < 50 {
        let mut process = Process::start_paced(&run);
        // From before the first step to some dozens of steps on.
        let milliseconds = longest * Noise::new(5).uniform(kills, 1)[0];
        sleep(Duration::from_secs_f32(milliseconds / 1e3));
        process.0.kill().unwrap();
        let status = process.wait();
        assert_eq!(status.code(), None, "the run was over after {kills} kills");
        kills += 1;
        at.push(lines(&run));
        // On a machine that is too slow to come to the next checkpoint in that time.
        if kills.is_multiple_of(10) && at[at.len() - 1] < at[at.len() - 10] + 2 {
            longest *= 2.0;
        }
    }
    println!("killed at {at:?}");
    let last = at[at.len() - 1];
    assert!(last > 10, "no process got far enough to be resumed: {at:?}");
    assert!(Process::start(&run, STEPS).wait().success());
    assert!(outcome(&run, STEPS) == expected, "the run differs: {at:?}");
}

#[test]
fn a_signal_ends_the_step_writes_a_checkpoint_and_is_no_error() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder, STEPS);
    for signal in ["INT", "TERM"] {
        let run = folder.path().join(signal);
        let mut process = Process::start_paced(&run);
        process.reaches(&run, 20);
        process.signal(signal);
        assert!(process.wait().success());
        let done = lines(&run);
        assert!(done < STEPS, "it was over before the signal");
        let (opened, config) = RunDir::open(&run).unwrap();
        let steps = opened.checkpoints(&config).steps().unwrap();
        assert_eq!(steps.last(), Some(&done));
        assert!(run.join("averaged.safetensors").exists());

        assert!(Process::start(&run, STEPS).wait().success());
        assert!(outcome(&run, STEPS) == expected, "{signal}");
    }
}

#[test]
fn a_second_signal_ends_the_process_at_once() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let mut command = Process::command(&run, STEPS);
    // A step that takes longer than the patience of the user.
    let slow = command.env("PIXEL_IQN_TEST_PACE", "20000");
    let mut process = Process(slow.spawn().unwrap());
    process.reaches(&run, 1);
    for _ in 0..2 {
        process.signal("INT");
        sleep(Duration::from_millis(500));
    }
    assert_eq!(process.wait().code(), Some(130));
}

#[test]
fn a_hang_up_under_nohup_is_ignored() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let inner = Process::command(&run, 100);
    let mut nohup = Command::new("nohup");
    nohup.arg(inner.get_program()).args(inner.get_args());
    nohup.envs(inner.get_envs().filter_map(|(k, v)| Some((k, v?))));
    nohup.stdout(Stdio::null()).stderr(Stdio::null());
    let mut process = Process(nohup.env("PIXEL_IQN_TEST_PACE", PACE).spawn().unwrap());
    process.reaches(&run, 10);
    process.signal("HUP");
    assert!(process.wait().success());
    assert_eq!(lines(&run), 100);
}

/// A small file system where root may mount one, else a limit on the size of files.
enum SmallDisk {
    Mounted(PathBuf),
    Limited,
}

impl SmallDisk {
    fn new(path: &Path) -> Self {
        fs::create_dir(path).unwrap();
        match Self::mount(path, "size=240k") {
            true => Self::Mounted(path.to_owned()),
            false => Self::Limited,
        }
    }

    fn mount(path: &Path, options: &str) -> bool {
        let status = Command::new("mount")
            .args(["-t", "tmpfs", "-o", options, "tmpfs"])
            .arg(path)
            .stderr(Stdio::null())
            .status();
        status.is_ok_and(|status| status.success())
    }

    fn start(&self, run: &Path, steps: usize) -> Child {
        let process = Process::command(run, steps);
        let mut command = match self {
            Self::Mounted(_) => process,
            Self::Limited => {
                // In blocks of 512 bytes. The signal that comes with it is ignored, so that the
                // write fails.
                let mut shell = Command::new("sh");
                shell.args(["-c", "trap '' XFSZ; ulimit -f 40; exec \"$0\" \"$@\""]);
                shell.arg(process.get_program()).args(process.get_args());
                shell.envs(process.get_envs().filter_map(|(k, v)| Some((k, v?))));
                shell.stdout(Stdio::null());
                shell
            }
        };
        command.stderr(Stdio::piped()).spawn().unwrap()
    }

    fn grow(&self) {
        if let Self::Mounted(path) = self {
            assert!(Self::mount(path, "remount,size=64m"));
        }
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Self::Mounted(path) = self {
            Command::new("umount").arg(path).status().ok();
        }
    }
}

#[test]
fn a_full_disk_is_named_and_what_was_written_before_is_whole() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder, 400);
    let disk = folder.path().join("disk");
    let small = SmallDisk::new(&disk);
    let run = disk.join("run");

    let output = small.start(&run, 400).wait_with_output().unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{text}");
    assert!(text.contains("cannot write"), "{text}");
    if matches!(small, SmallDisk::Mounted(_)) {
        assert!(text.contains("make room on the disk"), "{text}");
    }
    assert!(run.join("config.toml").exists());
    // No file but the growing ones is cut off, and no part is left.
    let (opened, config) = RunDir::open(&run).unwrap();
    let checkpoints = opened.checkpoints(&config);
    let (_, bad) = checkpoints.load_last().unwrap();
    assert!(bad.is_empty(), "{bad:?}");
    let parts = fs::read_dir(run.join("checkpoints")).into_iter().flatten();
    let parts = parts.map(|entry| entry.unwrap().path());
    assert!(parts.into_iter().all(|path| path.extension().is_none()));

    small.grow();
    assert!(Process::start(&run, 400).wait().success());
    assert!(outcome(&run, 400) == expected);
}

#[test]
fn a_damaged_checkpoint_is_named_and_the_one_before_it_taken() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder, 60);
    let run = folder.path().join("uninterrupted");
    let (opened, config) = RunDir::open(&run).unwrap();
    let steps = opened.checkpoints(&config).steps().unwrap();
    let [.., _, last] = steps[..] else {
        panic!("{steps:?}");
    };
    // A bit that fell over.
    let damaged = opened.checkpoints(&config).path(last);
    let tensors = damaged.join("state.safetensors");
    let mut bytes = fs::read(&tensors).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(&tensors, &bytes).unwrap();

    let (train, held_out) = images();
    let devices = [Device::flex()];
    let from = ResumeFrom::Step(last);
    let session = Session::<PixelIqn>::resume(opened, config, train, held_out, &devices, from);
    let error = session.err().unwrap().to_string();
    assert!(error.contains(&damaged.display().to_string()), "{error}");

    let output = Process::command(&run, 60).stderr(Stdio::piped()).output();
    let output = output.unwrap();
    let text = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{text}");
    assert!(text.contains(&damaged.display().to_string()), "{text}");
    assert!(damaged.with_extension("bad").is_dir());
    assert!(outcome(&run, 60) == expected);
}

#[test]
fn without_any_good_checkpoint_nothing_is_overwritten() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    assert!(Process::start(&run, 6).wait().success());
    let (opened, config) = RunDir::open(&run).unwrap();
    let checkpoints = opened.checkpoints(&config);
    for step in checkpoints.steps().unwrap() {
        fs::remove_file(checkpoints.path(step).join("checksums.md5")).unwrap();
    }
    let before = outcome(&run, 6);
    let status = Process::start(&run, 6).wait();
    assert_eq!(status.code(), Some(1));
    assert!(outcome(&run, 6) == before);
}

#[test]
fn two_processes_do_not_train_in_one_folder() {
    let folder = TempDir::new().unwrap();
    let run = folder.path().join("run");
    let mut process = Process::start_paced(&run);
    process.reaches(&run, 3);
    let second = Process::command(&run, STEPS)
        .stderr(Stdio::piped())
        .output();
    let second = second.unwrap();
    assert_eq!(second.status.code(), Some(1));
    let text = String::from_utf8_lossy(&second.stderr);
    assert!(text.contains("another process"), "{text}");
    process.0.kill().unwrap();
    process.wait();
}

#[test]
fn a_run_that_is_complete_stays_as_it_is() {
    let folder = TempDir::new().unwrap();
    let expected = uninterrupted(&folder, 12);
    let run = folder.path().join("uninterrupted");
    let (train, held_out) = images();
    let (opened, config) = RunDir::open(&run).unwrap();
    let session = Session::<PixelIqn>::resume(
        opened,
        config,
        train,
        held_out,
        &[Device::flex()],
        ResumeFrom::Last,
    );
    let finished = session.unwrap().train().unwrap();
    assert_eq!(finished.end, End::Complete);
    assert_eq!(finished.history.losses.len(), 12);
    assert!(outcome(&run, 12) == expected);
}

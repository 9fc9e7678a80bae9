//! What happens around the program: readers that go away, full disks, signals, and what lies in its folders
//! already.

#![cfg(unix)]

mod folder;

use std::fs::{self, OpenOptions};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
#[cfg(not(target_os = "linux"))]
use std::time::Duration;

use folder::{Folder, TRAIN, errors, names, trained, wait_until};

/// A pipe that nobody reads.
fn closed_pipe() -> Stdio {
    let (reader, writer) = std::io::pipe().unwrap();
    drop(reader);
    writer.into()
}

/// A device that is always full.
fn full_disk() -> Stdio {
    OpenOptions::new()
        .write(true)
        .open("/dev/full")
        .unwrap()
        .into()
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

#[test]
fn what_lies_in_a_folder_is_not_taken_for_samples() {
    let folder = trained();
    folder.run("sample --run run --count 3 --out right");
    let sample = "sample --run run --count 3 --out samples";
    // A picture of another size, without a job.
    fs::create_dir(folder.file("samples")).unwrap();
    fs::copy(
        folder.file("run/samples.png"),
        folder.file("samples/000000.png"),
    )
    .unwrap();
    let error = folder.fail(sample);
    assert!(error.contains("no job.txt"), "{error}");
    fs::remove_dir_all(folder.file("samples")).unwrap();
    // In a folder of the job: one of another size, an empty one, and one of another seed.
    folder.run(sample);
    folder.run("sample --run run --count 1 --seed 1 --out other");
    let put = |from: &str, name: &str| {
        fs::copy(folder.file(from), folder.file("samples").join(name)).unwrap();
    };
    put("run/samples.png", "000000.png");
    fs::write(folder.file("samples/000001.png"), "").unwrap();
    put("other/000000.png", "000002.png");
    let output = folder.command(sample).output().unwrap();
    assert!(errors(&output).contains("3 files were not the images"));
    for name in ["000000.png", "000001.png", "000002.png"] {
        let [right, samples] = ["right", "samples"].map(|f| folder.read(&format!("{f}/{name}")));
        assert!(right == samples, "{name}");
    }
    let output = folder
        .command("sample --run run --count 2 --out samples")
        .output()
        .unwrap();
    let notes = errors(&output);
    assert!(notes.contains("1 images more than the 2"), "{notes}");
    let error = folder.fail("sample --run run --count 3 --seed 1 --out samples");
    assert!(error.contains("another job"), "{error}");

    folder.run("sample --run run --count 2 --out x.npz");
    let archive = folder.read("x.npz");
    folder.run("sample --run run --count 2 --out x.npz");
    let error = folder.fail("sample --run run --count 2 --seed 1 --out x.npz");
    assert!(error.contains("another job"), "{error}");
    assert!(folder.read("x.npz") == archive);
}

#[test]
fn a_reader_that_goes_away_costs_nothing() {
    let folder = trained();
    folder.run("sample --run run --count 2 --out samples.npz");
    let works = [
        (
            "evaluate --run run --images 2 --taus 2 --out e.json",
            "e.json",
        ),
        (
            "evaluate --generated samples.npz --real samples.npz --out s.json",
            "s.json",
        ),
        ("sample --run run --count 2 --out x.png", "x.png"),
        (
            "inpaint --run run --count 1 --completions 2 --out i.png --scores i.json",
            "i.json",
        ),
        (
            "evaluate --run run --images 2 --taus 2 --maps maps.png",
            "maps.png",
        ),
        (
            "compare --dataset builtin --size 16 --preset tiny --steps 2 --batch 4 --images 2 \
             --taus 2 --samples 2 --models gates --out compare",
            "compare/samples.png",
        ),
        ("man pages", "pages/pixel-iqn.1"),
    ];
    let train = format!("{TRAIN} --steps 2 --run again --out again.png");
    for (arguments, result) in works.into_iter().chain([(&*train, "again.png")]) {
        for stdio in [closed_pipe, full_disk] {
            let output = folder
                .command(arguments)
                .stdout(stdio())
                .stderr(stdio())
                .output()
                .unwrap();
            let to_screen_alone = arguments.contains("--maps") && result == "maps.png";
            let allowed: &[i32] = if to_screen_alone { &[0, 1] } else { &[0] };
            let code = output.status.code().unwrap();
            assert!(allowed.contains(&code), "{arguments}: {code}");
            if code == 0 {
                fs::remove_file(folder.file(result)).unwrap();
            }
            fs::remove_dir_all(folder.file("again")).ok();
        }
    }
}

#[test]
fn what_is_only_printed_is_missed_on_a_full_disk() {
    let folder = trained();
    for arguments in [
        "evaluate --run run --images 2 --taus 2",
        "sample --run run --classes",
        "completions bash",
        "man",
        "--help",
        "--version",
        "sample --help",
        "help train",
    ] {
        let run = |stdout: Stdio| {
            let mut command = folder.command(arguments);
            command.stdout(stdout).output().unwrap()
        };
        let output = run(full_disk());
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(errors(&output).contains("cannot print"), "{arguments}");
        let output = run(closed_pipe());
        assert_eq!(output.status.code(), Some(0), "{arguments}");
        assert_eq!(errors(&output), "", "{arguments}");
    }
}

/// Runs the program with so small a limit on the size of a file that its results do not fit, as on a full
/// disk.
fn on_a_small_disk(folder: &Folder, arguments: &str) -> Output {
    let program = env!("CARGO_BIN_EXE_pixel-iqn");
    let command = format!("ulimit -f 0; exec {program} {arguments}");
    Command::new("sh")
        .current_dir(folder.file(""))
        .args(["-c", &command])
        .output()
        .unwrap()
}

#[test]
fn an_older_result_survives_a_failure() {
    let folder = trained();
    folder.run("sample --run run --count 2 --out samples.npz");
    for (arguments, result) in [
        ("evaluate --run run --images 2 --taus 2 --out r", "r"),
        (
            "evaluate --generated samples.npz --real samples.npz --out r",
            "r",
        ),
        ("sample --run run --count 2 --out r.png", "r.png"),
        ("sample --run run --count 2 --out new.npz", "new.npz"),
        (
            "inpaint --run run --count 1 --completions 2 --out r.png",
            "r.png",
        ),
        (
            "inpaint --run run --count 1 --completions 2 --out /dev/null.png --scores r",
            "r",
        ),
        (
            "evaluate --run run --images 2 --taus 2 --maps r.png",
            "r.png",
        ),
        ("man .", "pixel-iqn-train.1"),
    ] {
        let arguments = arguments.replace("/dev/null.png", "other.png");
        let older = b"the result of yesterday";
        if result != "new.npz" {
            fs::write(folder.file(result), older).unwrap();
        }
        let output = on_a_small_disk(&folder, &arguments);
        assert_eq!(output.status.code(), Some(1), "{arguments}");
        assert!(!errors(&output).contains("panicked"), "{arguments}");
        match result {
            "new.npz" => assert!(!folder.file(result).exists()),
            _ => assert_eq!(folder.read(result), older, "{arguments}"),
        }
    }
    let left = names(&folder.file(""));
    assert!(left.iter().all(|name| !name.starts_with('.')), "{left:?}");
}

#[test]
fn the_exit_code_tells_that_the_result_is_not_there() {
    let folder = trained();
    folder.run("sample --run run --count 4000 --size 16 --out many.npz");
    let works = [
        (
            "sample --run run --count 100000 --size 32 --out x.png",
            "x.png",
        ),
        (
            "sample --run run --count 100000 --size 32 --out x.npz",
            "x.npz",
        ),
        (
            "sample --run run --count 100000 --size 32 --out x",
            "x/099999.png",
        ),
        (
            "inpaint --run run --count 1 --completions 100000 --out i.png",
            "i.png",
        ),
        (
            "evaluate --run run --images 2 --taus 100000 --out e.json",
            "e.json",
        ),
        (
            "evaluate --generated many.npz --real many.npz --swd-images 4000 --out s.json",
            "s.json",
        ),
        (
            "compare --dataset builtin --size 16 --preset tiny --steps 100000 --batch 4 --images 2 \
             --taus 2 --samples 2 --models gates --out c",
            "c/comparison.json",
        ),
    ];
    let train = format!("{TRAIN} --steps 100000 --run t");
    for (arguments, result) in works.into_iter().chain([(&*train, "t/scores.json")]) {
        for (name, code) in [("-INT", 130), ("-TERM", 143)] {
            let mut child = folder
                .command(arguments)
                .stdout(Stdio::null())
                .stderr(Stdio::piped())
                .spawn()
                .unwrap();
            // It listens from its first moments; before, a signal ends it as it ends any program.
            let listens = format!("/proc/{}/status", child.id());
            wait_until(&mut child, || catches_signals(Path::new(&listens)));
            signal(&child, name);
            let output = child.wait_with_output().unwrap();
            assert_eq!(
                output.status.code(),
                Some(code),
                "{arguments}: {}",
                errors(&output)
            );
            assert!(!folder.file(result).exists(), "{arguments}");
            let message = errors(&output);
            assert!(message.contains("interrupted"), "{arguments}: {message}");
            fs::remove_dir_all(folder.file("t")).ok();
        }
    }
}

/// Whether a process has a handler of SIGINT and SIGTERM.
#[cfg(target_os = "linux")]
fn catches_signals(status: &Path) -> bool {
    let text = fs::read_to_string(status).unwrap_or_default();
    let mask = text.lines().find_map(|line| line.strip_prefix("SigCgt:"));
    let mask = mask.and_then(|mask| u64::from_str_radix(mask.trim(), 16).ok());
    let both = 1 << (2 - 1) | 1 << (15 - 1);
    mask.is_some_and(|mask| mask & both == both)
}

#[cfg(not(target_os = "linux"))]
fn catches_signals(_: &Path) -> bool {
    std::thread::sleep(Duration::from_millis(500));
    true
}

#[cfg(target_os = "linux")]
#[test]
fn what_a_killed_process_was_writing_is_removed_by_the_next() {
    let folder = trained();
    let mut ended = Command::new("true").spawn().unwrap();
    ended.wait().unwrap();
    let (ended, alive) = (ended.id(), std::process::id());
    folder.run("sample --run run --count 3 --out samples");
    let left = [
        format!("samples/.000001.png.{ended}-0.part"),
        format!("samples/.job.txt.{ended}-1.part"),
        format!(".x.png.{ended}-0.part"),
        format!(".x.npz.{ended}-0.part"),
        format!("run/.scores.json.{ended}-7.part"),
        format!("pages/.pixel-iqn-train.1.{ended}-0.part"),
    ];
    fs::create_dir(folder.file("pages")).unwrap();
    let kept = [
        format!("samples/.000001.png.{alive}-0.part"),
        format!("samples/.000009.png.{ended}-0.part"),
        format!(".x.png.{alive}-0.part"),
    ];
    for name in left.iter().chain(&kept) {
        fs::write(folder.file(name), "half of it").unwrap();
    }
    for command in [
        "sample --run run --count 3 --out samples",
        "sample --run run --count 1 --out x.png",
        "sample --run run --count 1 --out x.npz",
        "train --plain --resume run",
        "man pages",
    ] {
        folder.run(command);
    }
    let is_there = |name: &&String| folder.file(name).exists();
    assert_eq!(left.iter().find(is_there), None);
    assert!(kept.iter().all(|name| is_there(&name)), "{kept:?}");
}

#[test]
fn a_training_that_was_killed_after_its_last_checkpoint_has_its_weights() {
    let folder = Folder::new();
    folder.run(&format!("{TRAIN} --steps 4 --checkpoint-steps 2 --run run"));
    let names = ["run/weights.safetensors", "run/averaged.safetensors"];
    let right = names.map(|name| folder.read(name));
    // One is not there yet, and one is of an earlier checkpoint.
    fs::remove_file(folder.file(names[0])).unwrap();
    folder.run(&format!("{TRAIN} --steps 2 --run earlier"));
    fs::copy(
        folder.file("earlier/averaged.safetensors"),
        folder.file(names[1]),
    )
    .unwrap();
    folder.run("train --plain --resume run");
    assert!(names.map(|name| folder.read(name)) == right);
    folder.run("sample --run run --count 1");
}

#[test]
fn figures_carry_what_they_were_made_from() {
    let folder = trained();
    folder.run("sample --run run --count 3 --out a.npz");
    folder.run("sample --run run --count 5 --seed 1 --out b.npz");
    folder.run("evaluate --generated a.npz --real b.npz --seed 7 --out e.json");
    let json: serde_json::Value = serde_json::from_slice(&folder.read("e.json")).unwrap();
    let made = &json["made_from"];
    for (key, expected) in [
        ("generated_images", 3),
        ("real_images", 5),
        ("sliced_wasserstein_images", 3),
        ("height", 16),
        ("width", 16),
        ("channels", 3),
        ("seed", 7),
    ] {
        assert_eq!(made[key], expected, "{key}: {json}");
    }
    let output = folder
        .command("evaluate --run run --images 100000000 --taus 2 --out e.json")
        .output();
    let notes = errors(&output.unwrap());
    assert!(notes.contains("fewer than --images 100000000"), "{notes}");
}

#[test]
fn what_comes_next_is_said_as_it_works() {
    let folder = Folder::new();
    let train = format!("{TRAIN} --steps 2");
    let printed = folder.run(&format!("{train} --run named"));
    assert!(
        printed.contains("--steps 20 and another --run") && printed.contains("--init named"),
        "{printed}"
    );
    let printed = folder.run(&train);
    assert!(
        printed.contains("train for longer with --steps 20\n"),
        "{printed}"
    );
    let error = folder.fail("sample --run named/checkpoints");
    assert!(error.contains("--model"), "{error}");
    let error = folder.fail("evaluate --run named/checkpoints");
    assert!(error.contains("--model"), "{error}");
}

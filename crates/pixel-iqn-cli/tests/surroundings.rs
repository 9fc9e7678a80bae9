//! What happens around the program: readers that go away, full disks, signals, other processes, and what
//! lies in its folders already.

#![cfg(unix)]

mod folder;

use std::fs::{self, File, OpenOptions};
use std::io::Write;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::Duration;

use folder::{Folder, TRAIN, errors};

/// A folder with a trained run.
fn trained() -> Folder {
    let folder = Folder::new();
    folder.run(&format!("{TRAIN} --class-conditional --steps 2 --run run"));
    folder
}

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

fn wait_until(child: &mut Child, is_ready: impl Fn() -> bool) {
    while !is_ready() {
        assert!(child.try_wait().unwrap().is_none(), "it ended too early");
        std::thread::sleep(Duration::from_millis(10));
    }
}

fn signal(child: &Child, name: &str) {
    let id = child.id().to_string();
    let sent = Command::new("kill").args([name, &id]).status().unwrap();
    assert!(sent.success());
}

fn names(folder: &Path) -> Vec<String> {
    let entries = fs::read_dir(folder).unwrap();
    let mut names: Vec<String> = entries
        .map(|entry| entry.unwrap().file_name().into_string().unwrap())
        .collect();
    names.sort();
    names
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

#[test]
fn the_second_of_two_jobs_is_told_before_it_works() {
    let folder = trained();
    let _lock = |name: &str| {
        let lock = File::create(folder.file(&format!(".{name}.lock"))).unwrap();
        lock.try_lock().unwrap();
        lock
    };
    for (arguments, name) in [
        ("sample --run run --count 2 --out x.png", "x.png"),
        ("sample --run run --count 2 --out x.npz", "x.npz"),
        ("inpaint --run run --out x.png", "x.png"),
        ("evaluate --run run --out x.json", "x.json"),
        ("train --dataset builtin --run new --out x.png", "x.png"),
    ] {
        let lock = _lock(name);
        let error = folder.fail(arguments);
        assert!(error.contains("another process is writing"), "{error}");
        assert!(!folder.file(name).exists() && !folder.file("new").exists());
        drop(lock);
    }
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
fn what_is_read_is_not_written_over() {
    let folder = trained();
    folder.run("sample --run run --count 2 --out a.npz");
    folder.run("sample --run run --count 1 --out a.png");
    for (command, file) in [
        (
            "evaluate --generated a.npz --real a.npz --out ./a.npz",
            "a.npz",
        ),
        (
            "inpaint --run run --images a.png --labels #0 --out a.png",
            "a.png",
        ),
        (
            "evaluate --run run --out run/config.toml",
            "run/config.toml",
        ),
        ("inpaint --run run --scores run/SHA256", "run/SHA256"),
    ] {
        let before = folder.read(file);
        let error = folder.fail(command);
        assert!(error.contains("would be written over"), "{error}");
        assert!(folder.read(file) == before);
    }
}

#[test]
fn two_jobs_of_different_counts_in_one_folder_are_told() {
    let folder = trained();
    folder.run("sample --run run --count 1 --out samples");
    let lock = File::create(folder.file("samples/.000000-000099.png.lock")).unwrap();
    lock.try_lock().unwrap();
    for sample in ["--count 3", "--count 200", "--count 50 --shard 2/2"] {
        let error = folder.fail(&format!("sample --run run {sample} --out samples"));
        assert!(error.contains("another process is writing"), "{error}");
    }
    folder.run("sample --run run --count 102 --shard 102/102 --out samples");
    drop(lock);
    folder.run("sample --run run --count 3 --out samples");
}

#[test]
fn other_images_are_refused_everywhere_by_the_name_of_the_flag() {
    let folder = trained();
    for (seed, images) in [(1, "photos"), (2, "others")] {
        folder.run(&format!(
            "sample --run run --count 24 --seed {seed} --labels #0 --out {images}"
        ));
    }
    let train = TRAIN.replace("--dataset builtin", "--dataset folder --data photos");
    folder.run(&format!("{train} --steps 2 --run own"));
    for command in [
        "inpaint --run own --data others",
        "evaluate --run own --data others --images 2 --taus 2",
        "train --resume own --data others",
    ] {
        let error = folder.fail(command);
        assert!(error.contains("--data others"), "{error}");
        assert!(error.contains("not the images of the run"), "{error}");
        assert!(!error.contains("data.path"), "{error}");
    }
    folder.run("inpaint --run own --data photos --count 1 --completions 1");

    let compare = "compare --dataset folder --data photos --size 16 --preset tiny --steps 2 --batch 4 \
                   --images 2 --taus 2 --samples 2 --models gates --out c";
    folder.run(compare);
    let error = folder.fail(&compare.replace("photos", "others"));
    assert!(error.contains("other images"), "{error}");
    // The two sets are of as many images of one size.
    for name in ["photos", "others"] {
        let path = fs::canonicalize(folder.file(name)).unwrap();
        assert!(error.contains(&path.display().to_string()), "{error}");
    }

    let error = folder.fail("evaluate --run run --run run");
    assert!(error.contains("run is named twice"), "{error}");
    // The runs are compared before the first of them is scored, which would take a while.
    let error = folder.fail("evaluate --run run --run own --images 1000 --taus 1000");
    assert!(error.contains("own was trained on other images"), "{error}");
    // A folder in the place of a file of the report is told before the work.
    fs::create_dir_all(folder.file("taken/comparison.md")).unwrap();
    let error = folder.fail(&compare.replace("--out c", "--out taken"));
    assert!(error.contains("comparison.md"), "{error}");
    assert_eq!(names(&folder.file("taken")), ["comparison.md"]);
}

#[test]
fn what_cannot_work_is_refused_before_the_work() {
    let folder = trained();
    for learning_rate in ["--learning-rate nan", "--set train.learning_rate=nan"] {
        let command = format!("train {learning_rate} --dataset mnist --data missing");
        let output = folder.command(&command).output().unwrap();
        assert!(!output.status.success());
        let error = errors(&output);
        assert!(!error.contains("missing"), "{error}");
    }
    for command in [
        "evaluate --run run --taus 1000000000",
        "sample --run run --count 10000000000000 --out x.png",
        "inpaint --run run --completions 10000000000000",
        "train --dataset builtin --samples 10000000000000 --run new",
        "train --dataset builtin --set report.grid_samples=10000000000000 --run new",
        "compare --dataset builtin --preset tiny --taus 1000000000 --out new",
    ] {
        let error = folder.fail(command);
        assert!(error.contains("of memory are needed"), "{error}");
        assert!(!folder.file("new").exists(), "{command}");
    }
    // Neither the model nor the images are looked for.
    let error = folder.fail("inpaint --run nowhere --region middle");
    assert!(
        error.contains("--region") && error.contains("lower, upper") && !error.contains("nowhere"),
        "{error}"
    );
    assert_eq!(error.matches("middle").count(), 1, "{error}");
    let made = Command::new("mkfifo").arg(folder.file("fifo.npz")).status();
    assert!(made.unwrap().success());
    let error = folder.fail("sample --run run --count 100000000 --out fifo.npz");
    assert!(error.contains("a pipe or a device"), "{error}");
    folder.run("sample --run run --count 2 --out samples.npz");
    for (flags, reason) in [
        ("--swd-images 0", "nothing to compute"),
        // Before the distance, which the error would lose.
        ("--weights run/config.toml", "holds no weights"),
    ] {
        let sets = "evaluate --generated samples.npz --real samples.npz --out sets.json";
        let error = folder.fail(&format!("{sets} {flags}"));
        assert!(error.contains(reason), "{error}");
        assert!(!error.contains("sliced Wasserstein distance of"), "{error}");
    }
    for command in [
        "train --resume run --steps 9",
        "train --resume run --set train.steps=9",
        "train --dataset builtin --run run",
    ] {
        let error = folder.fail(command);
        assert!(error.contains("--init"), "{error}");
    }
    assert!(
        folder
            .run("train --plain --resume run")
            .contains("--init run")
    );
    for command in [
        "sample --run run --out no/folder/x.png",
        "inpaint --run run --scores no/folder/x.json",
        "evaluate --run run --out run",
        "train --dataset builtin --out no/folder/x.png --run new",
    ] {
        let error = folder.fail(command);
        assert!(error.contains("cannot write"), "{error}");
    }
    assert!(!folder.file("new").exists());
}

#[test]
fn too_few_files_threads_and_too_little_memory_are_errors() {
    let folder = trained();
    let program = env!("CARGO_BIN_EXE_pixel-iqn");
    let run = |limit: &str, arguments: &str| {
        Command::new("sh")
            .current_dir(folder.file(""))
            .args(["-c", &format!("{limit}; exec {program} {arguments}")])
            .output()
            .unwrap()
    };
    for files in 4..10 {
        let train = format!("{TRAIN} --steps 2 --run of-{files}");
        for arguments in [&*train, "sample --run run --count 2 --out x.npz"] {
            let output = run(&format!("ulimit -n {files}"), arguments);
            let error = errors(&output);
            assert!(!error.contains("panicked"), "{error}");
            assert!([Some(0), Some(1)].contains(&output.status.code()));
        }
    }
    // The images fit, and the picture of them does not: nothing is sampled.
    for command in [
        "sample --run run --count 1000000 --out x.png",
        "inpaint --run run --count 1 --completions 500000 --out x.png",
    ] {
        let output = run("ulimit -v 3000000", command);
        let error = errors(&output);
        assert!(error.contains("of memory are needed"), "{command}: {error}");
    }
    // Each has a stack of 2 MiB.
    let limit = "ulimit -v 1000000; export RAYON_NUM_THREADS=2000";
    let output = run(limit, "sample --run run --count 2 --out x.png");
    let error = errors(&output);
    assert_eq!(output.status.code(), Some(1), "{error}");
    assert!(error.contains("cannot start the threads"), "{error}");
}

#[test]
fn two_comparisons_in_one_folder_keep_both_reports() {
    let folder = trained();
    fs::create_dir(folder.file("c")).unwrap();
    let lock = File::create(folder.file("c/.comparison.json.lock")).unwrap();
    lock.try_lock().unwrap();
    let compare = "compare --dataset builtin --size 16 --preset tiny --steps 2 --batch 4 --images 2 \
                   --taus 2 --samples 2 --models gates,head --out c";
    let output = folder.command(compare).output().unwrap();
    let notes = errors(&output);
    assert!(output.status.success(), "{notes}");
    assert!(notes.contains("comparison-gates-head.md"), "{notes}");
    for name in ["comparison", "curves", "samples"] {
        let has = |suffix: &str| {
            let names = names(&folder.file("c"));
            names
                .iter()
                .any(|n| n.starts_with(&format!("{name}{suffix}.")))
        };
        assert!(has("-gates-head") && !has(""), "{name}");
    }
    // Two of the same models have nothing to divide.
    let second = File::create(folder.file("c/.comparison-gates-head.json.lock")).unwrap();
    second.try_lock().unwrap();
    let error = folder.fail(compare);
    assert!(error.contains("another process is writing"), "{error}");
    drop((lock, second));
    folder.run(compare);
    assert!(folder.file("c/comparison.md").exists());
}

#[test]
fn a_file_that_was_cut_off_is_called_so() {
    let folder = trained();
    folder.run("sample --run run --count 20 --out whole.npz");
    let whole = folder.read("whole.npz");
    for name in ["cut.npz", "cut.zip", "cut.pth", "cut"] {
        fs::write(folder.file(name), &whole[..whole.len() / 2]).unwrap();
    }
    for arguments in [
        "evaluate --generated cut.npz --real whole.npz",
        "evaluate --generated whole.npz --real cut.zip",
        "evaluate --generated whole.npz --real cut",
        "evaluate --generated whole.npz --weights cut.pth",
        "sample --run run --count 20 --out cut.npz",
    ] {
        let error = folder.fail(arguments);
        assert!(error.contains("cut off after"), "{arguments}: {error}");
        assert!(!error.contains("EOCD"), "{arguments}: {error}");
    }
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

/// Runs a training under the dashboard in a terminal, by the commands of a shell, does something to the
/// terminal while the dashboard is drawn, and returns the exit code; `None` where no terminal can be made.
#[cfg(target_os = "linux")]
fn under_the_dashboard(
    folder: &Folder,
    shell: &str,
    train: &str,
    run: &str,
    disturb: impl FnOnce(&mut Child),
) -> Option<String> {
    let program = format!("{} {train} --run {run}", env!("CARGO_BIN_EXE_pixel-iqn"));
    let command = shell.replace("PROGRAM", &program) + &format!("; echo $? > {run}.code");
    let mut terminal = Command::new("script")
        .current_dir(folder.file(""))
        .env("TERM", "xterm")
        .env_remove("NO_COLOR")
        .env("SHELL", "/bin/sh")
        .args(["-qc", &command, "/dev/null"])
        .stdin(Stdio::piped())
        .stdout(File::create(folder.file("screen")).unwrap())
        .spawn()
        .ok()?;
    let metrics = folder.file(&format!("{run}/metrics.jsonl"));
    wait_until(&mut terminal, || {
        let screen = folder.read("screen");
        let hides_the_cursor = b"\x1b[?25l";
        let draws = screen
            .windows(hides_the_cursor.len())
            .any(|text| text == hides_the_cursor);
        draws && fs::metadata(&metrics).is_ok_and(|metadata| metadata.len() > 0)
    });
    disturb(&mut terminal);
    let code = folder.file(&format!("{run}.code"));
    while fs::read_to_string(&code).unwrap_or_default().is_empty() {
        std::thread::sleep(Duration::from_millis(20));
    }
    terminal.kill().ok();
    terminal.wait().unwrap();
    Some(fs::read_to_string(&code).unwrap().trim().to_owned())
}

/// Takes the terminal away. Its shell gets a SIGHUP.
#[cfg(target_os = "linux")]
fn take_away(terminal: &mut Child) {
    terminal.kill().unwrap();
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_outlives_its_terminal() {
    let folder = Folder::new();
    let train = TRAIN.replace("--plain ", "");
    // As under `nohup`, it goes on.
    let short = format!("{train} --steps 400");
    let ignoring = "trap '' HUP; PROGRAM";
    let Some(code) = under_the_dashboard(&folder, ignoring, &short, "goes-on", take_away) else {
        println!("skipped: there is no program `script`, which makes terminals");
        return;
    };
    assert_eq!(code, "0");
    assert!(folder.file("goes-on/scores.json").exists());
    // Otherwise it ends with a checkpoint. Like the shell of a user, this one passes the signal on.
    let passing_on = "trap 'kill -HUP $!' HUP; PROGRAM < /dev/tty & wait $!; wait $!";
    let long = format!("{train} --steps 100000");
    let code = under_the_dashboard(&folder, passing_on, &long, "ends", take_away);
    assert_eq!(code.as_deref(), Some("129"));
    assert!(folder.file("ends/averaged.safetensors").exists());
}

#[cfg(target_os = "linux")]
#[test]
fn a_training_that_is_stopped_at_the_dashboard_has_been_interrupted() {
    let folder = Folder::new();
    let train = TRAIN.replace("--plain ", "") + " --steps 100000";
    // `q` asks whether to stop, `s` does so with a checkpoint, and `k` at once.
    for (run, keys) in [("stopped", "qs"), ("at-once", "qk")] {
        let code = under_the_dashboard(&folder, "PROGRAM", &train, run, |terminal| {
            let mut keyboard = terminal.stdin.take().unwrap();
            keyboard.write_all(keys.as_bytes()).unwrap();
            // An end of what is typed would be an end of the terminal.
            std::mem::forget(keyboard);
        });
        let Some(code) = code else {
            println!("skipped: there is no program `script`, which makes terminals");
            return;
        };
        assert_eq!(code, "130", "{keys}");
    }
    assert!(folder.file("stopped/averaged.safetensors").exists());
    assert!(!folder.file("at-once/averaged.safetensors").exists());
}

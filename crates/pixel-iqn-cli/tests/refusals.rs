//! What cannot work, what another process does, and what would lose a file is refused before the work.

#![cfg(unix)]

mod folder;

use std::fs::{self, File};
use std::process::Command;

use folder::{TRAIN, errors, names, trained};

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
fn a_model_without_its_images_asks_for_them_once() {
    let folder = trained();
    for command in [
        "inpaint --model mnist",
        "evaluate --model mnist --images 2 --taus 2",
    ] {
        let error = folder.fail(command);
        assert!(
            error.contains("give their folder with --data") && error.contains("models/mnist"),
            "{error}"
        );
        assert_eq!(error.matches("folder").count(), 1, "{error}");
        assert!(!error.contains(".."), "{error}");
    }
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

//! Runs the program from training to evaluation on the built-in pictures, in a temporary folder.

mod folder;

use std::fs;
use std::path::Path;
use std::process::{Command, Stdio};

use folder::{Folder, TRAIN, errors};

#[test]
fn a_run_from_training_to_evaluation() {
    let folder = Folder::new();
    let printed = folder.run(&format!(
        "{TRAIN} --class-conditional --steps 4 --checkpoint-steps 2 --run run --out first.png"
    ));
    for line in [
        "after 4 steps",
        "scores of 2 held-out images",
        "wrote  samples.png",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    assert_eq!(folder.read("first.png"), folder.read("run/samples.png"));

    let weights = folder.read("run/averaged.safetensors");
    let printed = folder.run("train --plain --resume run --resume-step 2");
    assert!(printed.contains("resume after 2 steps"), "{printed}");
    assert!(folder.read("run/averaged.safetensors") == weights);

    let error = folder.fail("sample --run run --count 1 --size 1000000 --out large.png");
    assert!(error.contains("of memory are needed, but"), "{error}");
    let error = folder.fail(
        "train --plain --dataset builtin --size 16 --preset paper_large --batch 10000 --run large",
    );
    assert!(error.contains("of memory are needed, but"), "{error}");
    assert!(!folder.file("large").exists());

    let classes = folder.run("sample --run run --classes");
    assert!(classes.contains("(#0)"), "{classes}");
    assert_eq!(folder.run("inpaint --run run --classes"), classes);
    for out in ["samples.png", "samples.npz", "samples"] {
        folder.run(&format!(
            "sample --run run --count 3 --labels #1 --out {out}"
        ));
        assert!(folder.file(out).exists());
    }
    for part in ["2/2", "1/2"] {
        folder.run(&format!(
            "sample --run run --count 3 --labels #1 --shard {part} --out parts"
        ));
    }
    for image in ["000000.png", "000002.png"] {
        let [parts, whole] = ["parts", "samples"].map(|f| folder.read(&format!("{f}/{image}")));
        assert_eq!(parts, whole);
    }
    let raw = "--weights run/weights.safetensors --size 8x12 --tau 0.5";
    folder.run(&format!("sample --run run --count 1 {raw} --out raw.png"));

    folder.run("inpaint --run run --first 1 --count 2 --completions 1 --known-rows 12");
    folder.run(
        "inpaint --run run --images samples/000000.png,samples/000001.png --labels #0,none \
         --no-originals --completions 1 --out own.png",
    );
    let one = folder.run("evaluate --run run --images 1 --taus 2 --out one.json");
    assert!(one.contains("the intervals of one image"), "{one}");
    let two =
        folder.run("evaluate --run run --images 2 --taus 2 --maps maps.png --out scores.json");
    assert!(!two.contains("the intervals of one image"), "{two}");
    folder.run("evaluate --generated samples.npz --real samples --out sets.json");
    for file in ["inpainting.png", "own.png", "maps.png"] {
        assert!(folder.read(file).starts_with(b"\x89PNG"), "{file}");
    }
    let scores: serde_json::Value = serde_json::from_slice(&folder.read("scores.json")).unwrap();
    assert!(scores["run"]["crps"]["mean"].is_f64(), "{scores}");
    let sets: serde_json::Value = serde_json::from_slice(&folder.read("sets.json")).unwrap();
    // The folder has the images of the file.
    assert_eq!(sets["sliced_wasserstein_16"], 0.0);
}

#[test]
fn a_comparison_trains_nothing_twice() {
    let folder = Folder::new();
    let compare = "compare --dataset builtin --size 16 --preset tiny --steps 2 --batch 4 \
                   --images 2 --taus 2 --samples 2 --models gates,categorical --out compare";
    let printed = folder.run(compare);
    assert!(
        printed.contains("| CRPS less that of gates | - |"),
        "{printed}"
    );
    let metrics = folder.read("compare/categorical-0/metrics.jsonl");
    let seconds = || {
        let json = folder.read("compare/comparison.json");
        let json: serde_json::Value = serde_json::from_slice(&json).unwrap();
        json["models"][0]["train_seconds"].as_f64().unwrap()
    };
    folder.run(compare);
    let of_second = seconds();
    folder.run(compare);
    assert!(of_second > 0.0);
    assert_eq!(seconds(), of_second);
    assert_eq!(folder.read("compare/categorical-0/metrics.jsonl"), metrics);
    for file in [
        "comparison.md",
        "comparison.json",
        "curves.png",
        "samples.png",
    ] {
        assert!(!folder.read(&format!("compare/{file}")).is_empty());
    }
    let error = folder.fail(&compare.replace("--batch 4", "--batch 5"));
    assert!(error.contains("another config"), "{error}");
}

#[test]
fn what_cannot_be_done_is_an_error_with_its_causes() {
    let folder = Folder::new();
    let error = folder.fail("sample --run nowhere");
    assert!(error.contains("neither the folder of a run"), "{error}");
    let error = folder.fail(&format!("{TRAIN} --set train.stebs=3"));
    assert!(error.contains("cannot set `train.stebs=3`: ") && error.contains("`train.steps`"));
    let error = folder.fail("train --device tpu");
    assert!(error.contains("unknown device"), "{error}");
    let error = folder.fail("train --dataset mnist --data missing");
    assert!(
        error.contains("--data") && error.contains("missing"),
        "{error}"
    );
    assert!(!folder.file("runs").exists());
    // A mistake in the flags, as clap reports it.
    let output = folder.command("train --steps many").output().unwrap();
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn the_manual_names_every_command() {
    let folder = Folder::new();
    let completions = folder.run("completions bash");
    folder.run("man pages");
    for command in ["train", "sample", "inpaint", "evaluate", "compare"] {
        assert!(completions.contains(command));
        let page = folder.read(&format!("pages/pixel-iqn-{command}.1"));
        assert!(!page.is_empty());
        let help = folder.run(&format!("{command} --help"));
        assert!(help.contains("Examples:"), "{help}");
    }
    assert!(folder.run("man").contains("pixel"));
}

#[cfg(unix)]
#[test]
fn ctrl_c_ends_with_a_checkpoint_and_exit_code_130() {
    let folder = Folder::new();
    let mut child = folder
        .command(&format!("{TRAIN} --steps 100000 --run run"))
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let metrics = folder.file("run/metrics.jsonl");
    let has_a_line = |path: &Path| fs::metadata(path).is_ok_and(|metadata| metadata.len() > 0);
    while !has_a_line(&metrics) {
        assert!(
            child.try_wait().unwrap().is_none(),
            "it ended before it trained"
        );
        std::thread::sleep(std::time::Duration::from_millis(10));
    }
    let id = child.id().to_string();
    let killed = Command::new("kill").args(["-INT", &id]).status().unwrap();
    assert!(killed.success());
    let output = child.wait_with_output().unwrap();
    assert_eq!(output.status.code(), Some(130), "{}", errors(&output));
    let message = errors(&output);
    assert!(
        message.contains("`pixel-iqn train --resume run`"),
        "{message}"
    );
    assert!(folder.file("run/checkpoints").exists());
    assert!(folder.file("run/averaged.safetensors").exists());
}

#[test]
fn a_shipped_model_draws_completes_and_is_evaluated_without_a_network() {
    let folder = Folder::new();
    folder.run("sample --model shapes --count 3 --labels star --out samples.png");
    folder.run("inpaint --model shapes --count 1 --completions 2 --out filled.png");
    let scores = folder.run("evaluate --model shapes --images 2 --taus 4");
    assert!(scores.contains("shapes"), "{scores}");
    let message = folder.fail("sample --model digits");
    assert!(
        message.contains("`digits`") && message.contains("shapes"),
        "{message}"
    );

    // A folder beside the program comes first, and one that was changed is told.
    fs::create_dir_all(folder.file("models/shapes")).unwrap();
    for file in ["config.toml", "weights.safetensors"] {
        fs::write(folder.file("models/shapes").join(file), "changed").unwrap();
    }
    let message = folder.fail("sample --model shapes");
    assert!(message.contains("SHA-256"), "{message}");
}

#[test]
fn without_a_terminal_nothing_is_drawn_and_the_files_are_the_same() {
    let folder = Folder::new();
    for command in ["sample --count 2", "inpaint --count 1 --completions 2"] {
        folder.run(&format!("{command} --model shapes --out plain.png"));
        let shown = format!("{command} --model shapes --out shown.png --show");
        let output = folder.command(&shown).output().unwrap();
        assert!(output.status.success(), "{}", errors(&output));
        assert!(errors(&output).contains("--show draws nothing"));
        assert!(!String::from_utf8_lossy(&output.stdout).contains('\x1b'));
        assert_eq!(folder.read("shown.png"), folder.read("plain.png"));
    }
    let message = folder.fail("sample --model shapes --count 2 --out many.npz --show");
    assert!(message.contains("--show goes with"), "{message}");
}

#[test]
fn classifiers_learn_from_samples_and_from_real_images() {
    let folder = Folder::new();
    let cas = "evaluate --cas --cas-images 20 --cas-steps 2 --out cas.json";
    let printed = folder.run(&format!("{cas} --model shapes"));
    for line in ["shapes: ", "real images: ", "after training on 20"] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let json: serde_json::Value = serde_json::from_slice(&folder.read("cas.json")).unwrap();
    let accuracy = &json["models"]["shapes"];
    assert_eq!(accuracy["images"], 1000);
    assert!(accuracy["low"].as_f64() <= accuracy["mean"].as_f64());
    assert_eq!(json["real_images"], 20);

    assert_eq!(json["agreement"]["shapes"]["images"], 20);

    // The classifier of the real images may learn from more images, and be the only one.
    let printed = folder.run(&format!(
        "{cas} --model shapes --cas-real-images 30 --agreement-only"
    ));
    for line in [
        "real images: ",
        "after training on 30",
        "of 20 samples are read as their labels",
    ] {
        assert!(printed.contains(line), "{line}: {printed}");
    }
    let json: serde_json::Value = serde_json::from_slice(&folder.read("cas.json")).unwrap();
    assert_eq!(json["agreement"]["shapes"]["images"], 20);
    assert_eq!(json["real_images"], 30);
    assert_eq!(json["models"], serde_json::json!({}));

    folder.run(&format!("{TRAIN} --steps 1 --run plain"));
    let message = folder.fail(&format!("{cas} --run plain"));
    assert!(message.contains("--class-conditional"), "{message}");
}

#[test]
fn guided_samples_are_others_and_are_told() {
    let folder = Folder::new();
    let sample = "sample --model mnist --count 2";
    folder.run(&format!("{sample} --out free.png"));
    folder.run(&format!("{sample} --out none.png --guidance 0"));
    folder.run(&format!("{sample} --out guided.png --guidance 2"));
    assert_eq!(folder.read("free.png"), folder.read("none.png"));
    assert_ne!(folder.read("free.png"), folder.read("guided.png"));
    let message = folder.fail(&format!("{sample} --guidance 2 --labels none"));
    assert!(message.contains("towards a class"), "{message}");

    let cas = "evaluate --model shapes --cas --agreement-only --cas-images 10 --cas-steps 1";
    let guided = format!("{cas} --guidance 1.5 --tau-range 0.01,0.99 --out cas.json");
    let printed = folder.run(&guided);
    let title = "shapes, guidance 1.5, tau from 0.01 to 0.99: ";
    assert!(printed.contains(title), "{printed}");
    let json: serde_json::Value = serde_json::from_slice(&folder.read("cas.json")).unwrap();
    assert_eq!(json["guidance"], 1.5);
    assert_eq!(json["tau_range"], "0.01,0.99");
    for (flags, word) in [
        (format!("{cas} --order 3"), "--order"),
        (
            "evaluate --generated a.npz --real b.npz --guidance 1".into(),
            "--guidance",
        ),
    ] {
        let output = folder.command(&flags).output().unwrap();
        let message = errors(&output);
        assert_eq!(output.status.code(), Some(2), "{message}");
        assert!(message.contains(word), "{message}");
    }
}

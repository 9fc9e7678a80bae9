//! Short jobs of every program.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::ensure;

use super::job::Job;

/// A training of less than a second.
const TRAIN: &str = "train --plain --dataset builtin --size 16 --preset tiny --batch 4 \
                     --eval-images 2 --samples 2 --set report.held_out_images=2";

/// Trains the run, and draws the samples, that the jobs work with.
pub fn prepare(program: &Path, base: &Path) -> anyhow::Result<()> {
    fs::create_dir_all(base)?;
    for arguments in [
        &format!("{TRAIN} --steps 4 --run run"),
        "sample --run run --count 40 --out a.npz",
        "sample --run run --count 40 --seed 1 --out b.npz",
    ] {
        let mut command = Command::new(program);
        let output = command
            .current_dir(base)
            .args(arguments.split_whitespace())
            .output()?;
        ensure!(
            output.status.success(),
            "{arguments}: {}",
            String::from_utf8_lossy(&output.stderr)
        );
    }
    Ok(())
}

/// The jobs of a program.
pub fn jobs(program: &Path, base: &Path) -> Vec<Job> {
    let base = base.display();
    let job = |name, arguments: String, results| Job {
        name,
        program: program.to_owned(),
        arguments,
        resume: None,
        results,
        run: None,
    };
    let sample = format!("sample --run {base}/run --count 40 --batch 4 --out");
    vec![
        job("sample-picture", format!("{sample} x.png"), &["x.png"]),
        job("sample-archive", format!("{sample} x.npz"), &["x.npz"]),
        job("sample-folder", format!("{sample} x"), &["x"]),
        job(
            "inpaint",
            format!(
                "inpaint --run {base}/run --count 4 --completions 4 --out x.png --scores x.json"
            ),
            &["x.png", "x.json"],
        ),
        job(
            "evaluate-run",
            format!("evaluate --run {base}/run --images 16 --taus 8 --maps x.png --out x.json"),
            &["x.png", "x.json"],
        ),
        job(
            "evaluate-sets",
            format!(
                "evaluate --generated {base}/a.npz --real {base}/b.npz --swd-images 8 --out x.json"
            ),
            &["x.json"],
        ),
        Job {
            run: Some("c/gates-0"),
            ..job(
                "compare",
                "compare --dataset builtin --size 16 --preset tiny --steps 6 --batch 4 --images 2 \
                 --taus 2 --samples 2 --models gates --set report.held_out_images=2 --out c"
                    .to_owned(),
                &[
                    "c/comparison.json",
                    "c/comparison.md",
                    "c/curves.png",
                    "c/samples.png",
                    "c/gates-0/samples.npz",
                ],
            )
        },
        Job {
            resume: Some((
                "train --plain --resume r --eval-images 2 --samples 2 --out x.png".to_owned(),
                "r/config.toml",
            )),
            run: Some("r"),
            ..job(
                "train",
                format!("{TRAIN} --steps 12 --checkpoint-steps 3 --run r --out x.png"),
                &[
                    "x.png",
                    "r/scores.json",
                    "r/samples.png",
                    "r/inpainting.png",
                ],
            )
        },
        job("man", "man pages".to_owned(), &["pages"]),
        Job {
            program: program
                .with_file_name("examples")
                .join("quantile_regression"),
            ..job(
                "quantile_regression",
                "--steps 300 --out x.png".to_owned(),
                &["x.png"],
            )
        },
    ]
}

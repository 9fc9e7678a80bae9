//! Short jobs of every program.

use std::fs;
use std::path::Path;
use std::process::Command;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use pixel_iqn::core::Noise;
use pixel_iqn::data::say;

use super::Args;
use super::disturbance::Disturbance;
use super::job::Job;

/// A training of less than a second.
const TRAIN: &str = "train --plain --dataset builtin --size 16 --preset tiny --batch 4 \
                     --eval-images 2 --samples 2 --set report.held_out_images=2";

/// Ends every program by every disturbance.
pub fn disturb(args: &Args, program: &Path, folder: &Path) -> anyhow::Result<()> {
    let base = folder.join("base");
    prepare(program, &base)?;
    let jobs = jobs(program, &base);
    for name in &args.only {
        ensure!(
            jobs.iter().any(|job| job.name == name),
            "--only {name}: it has {}",
            jobs.iter()
                .map(|job| job.name)
                .collect::<Vec<_>>()
                .join(", ")
        );
    }
    let chosen = |job: &&Job| args.only.is_empty() || args.only.iter().any(|name| job.name == name);
    for (number, job) in (0u64..).zip(jobs.iter().filter(chosen)) {
        let noise = Noise::new(args.seed.wrapping_add(number << 32));
        one(job, args.ends, &noise, folder).with_context(|| job.name)?;
    }
    Ok(())
}

/// Trains the run, and draws the samples, that the jobs work with.
fn prepare(program: &Path, base: &Path) -> anyhow::Result<()> {
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

fn jobs(program: &Path, base: &Path) -> Vec<Job> {
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
            format!("evaluate --generated {base}/a.npz --real {base}/b.npz --out x.json"),
            &["x.json"],
        ),
        Job {
            run: Some("c/gates-0"),
            ..job(
                "compare",
                "compare --dataset builtin --size 16 --preset tiny --steps 6 --batch 4 --images 2 \
                 --taus 2 --samples 2 --models gates --out c"
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

fn one(job: &Job, ends: usize, noise: &Noise, folder: &Path) -> anyhow::Result<()> {
    let alone = folder.join("alone");
    let fresh = |folder: &Path| -> anyhow::Result<()> {
        if folder.exists() {
            fs::remove_dir_all(folder)?;
        }
        Ok(fs::create_dir_all(folder)?)
    };
    fresh(&alone)?;
    let start = Instant::now();
    job.complete(&alone)?;
    let seconds = start.elapsed().as_secs_f32();
    let expected = job.results(&alone)?;
    ensure!(!expected.is_empty(), "it makes no file");
    let largest = expected.values().map(Vec::len).max().unwrap_or(0);
    let disturbed = folder.join("disturbed");
    for (kind, disturbance) in (0u64..).zip(Disturbance::ALL) {
        let mut incomplete = 0;
        for end in 0..ends {
            let draws = noise.uniform(kind << 20 | end as u64, 2);
            // One of ten comes after the end.
            let moment = Duration::from_secs_f32(1.1 * draws[0] * seconds);
            let bytes = (1.1 * draws[1] * largest as f32) as u64;
            fresh(&disturbed)?;
            let at = || {
                let name = disturbance.name();
                format!("{name} number {end}, after {moment:?} or at {bytes} bytes")
            };
            disturbance
                .run(&job.command(&disturbed), moment, bytes)
                .with_context(at)?;
            job.check_whole(&disturbed, &expected).with_context(at)?;
            let is_complete = job.results(&disturbed)? == expected;
            ensure!(
                is_complete || disturbance != Disturbance::ClosedPipe,
                "{}: the result is not there",
                at()
            );
            incomplete += usize::from(!is_complete);
            job.complete(&disturbed).with_context(at)?;
            ensure!(
                job.results(&disturbed)? == expected,
                "{}: run again it made other files",
                at()
            );
        }
        say!(
            "{}: {} x {ends}, {incomplete} of them before the result; all whole, and the same when run \
             again",
            job.name,
            disturbance.name()
        );
    }
    Ok(())
}

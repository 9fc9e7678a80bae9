//! A long training.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context, ensure};
use pixel_iqn::core::Noise;
use pixel_iqn::data::{ImageGrid, builtin, say};

use super::Args;

/// Ends the training again and again, and takes its images away.
pub fn disturb(args: &Args, path: PathBuf, folder: &Path) -> anyhow::Result<()> {
    let steps = args.steps;
    let program = Program { path, steps };
    kills(args, &program, folder)?;
    vanishing(&program, folder)
}

struct Program {
    path: PathBuf,
    steps: usize,
}

impl Program {
    /// The arguments of a new run.
    fn new_run(&self, run: &Path, data: &[&str]) -> Command {
        let mut command = Command::new(&self.path);
        command
            .arg("train")
            .args(data)
            .args(["--preset", "tiny", "--batch", "4", "--checkpoint-steps"])
            .args(["10", "--eval-images", "2", "--samples", "1"])
            .args(["--set", "report.held_out_images=2"])
            .args(["--set", "report.grid_minutes=0.02"])
            .args(["--set", "report.grid_samples=1"])
            .args(["--set", "train.dequantize=true"])
            .arg("--steps")
            .arg(self.steps.to_string())
            .arg("--run")
            .arg(run);
        command
    }

    fn resume(&self, run: &Path) -> Command {
        let mut command = Command::new(&self.path);
        command.arg("train").arg("--resume").arg(run);
        command.args(["--eval-images", "2", "--samples", "1"]);
        command
    }

    /// Begins the run or goes on with it.
    fn any(&self, run: &Path, data: &[&str]) -> Command {
        if run.join("config.toml").exists() {
            self.resume(run)
        } else {
            self.new_run(run, data)
        }
    }
}

const BUILTIN: [&str; 2] = ["--dataset", "builtin"];

fn kills(args: &Args, program: &Program, folder: &Path) -> anyhow::Result<()> {
    let (alone, disturbed) = (folder.join("alone"), folder.join("disturbed"));
    say!("a run of {} steps that is left alone", args.steps);
    let start = Instant::now();
    let mut child = quiet(&mut program.new_run(&alone, &BUILTIN)).spawn()?;
    wait_for_a_step(&alone, &mut child)?;
    let startup = start.elapsed().as_secs_f32();
    finish(child)?;
    let seconds = start.elapsed().as_secs_f32() - startup;
    say!(
        "took {startup:.1} s to its first step and {seconds:.0} s from there; now one that ends {} \
         times",
        args.ends
    );
    // About half of the ends come after the first step. Where the machine gets faster meanwhile,
    // the last of them find a run that is complete, which has to stay as it is.
    let longest = 2.0 * startup + 8.0 / 3.0 * seconds / args.ends as f32;
    let noise = Noise::new(args.seed);
    let (mut killed, mut asked, mut damaged) = (0, 0, 0);
    for end in 0..args.ends {
        let draws = noise.uniform(end as u64, 3);
        let mut child = quiet(&mut program.any(&disturbed, &BUILTIN)).spawn()?;
        sleep(Duration::from_secs_f32(draws[0] * longest));
        if draws[1] < 0.8 {
            child.kill()?;
            child.wait()?;
            killed += 1;
        } else {
            terminate(&child)?;
            let output = child.wait_with_output()?;
            // Before it listens, in its first moments, the signal ends it as it ends any program, and
            // then it has no exit code.
            let code = output.status.code();
            ensure!(
                [None, Some(0), Some(143)].contains(&code),
                "after SIGTERM: {}",
                text(&output)
            );
            asked += 1;
        }
        if draws[2] < 0.1 && damage_last(&disturbed)? {
            damaged += 1;
        }
        if (end + 1) % 10 == 0 {
            say!("{} ends, {} steps", end + 1, lines(&disturbed));
        }
    }
    say!("{killed} by SIGKILL, {asked} by SIGTERM, {damaged} checkpoints damaged besides");
    let before = lines(&disturbed);
    ensure!(
        before > args.steps / 10,
        "the ends came before {before} of {} steps: choose fewer",
        args.steps
    );
    complete(&mut program.any(&disturbed, &BUILTIN))?;
    compare(&alone, &disturbed, args.steps)?;
    say!("after the last end at {before} steps it ended as the run that was left alone");
    Ok(())
}

/// The folder of the images goes away while the program trains.
fn vanishing(program: &Program, folder: &Path) -> anyhow::Result<()> {
    let images = folder.join("images");
    fs::create_dir_all(&images)?;
    let set = builtin::generate(0, 0..200, 32, 3)?;
    for i in 0..set.len() {
        let [channels, height, width] = set.shape();
        ImageGrid::new(set.image(i), [1, channels, height, width])?
            .save(images.join(format!("{i:03}.png")))?;
    }
    let path = images.display().to_string();
    let data = ["--dataset", "folder", "--data", &path];
    let (alone, vanished) = (folder.join("images-stay"), folder.join("images-vanish"));
    complete(&mut program.new_run(&alone, &data))?;
    let mut child = quiet(&mut program.new_run(&vanished, &data)).spawn()?;
    wait_for_a_step(&vanished, &mut child)?;
    fs::remove_dir_all(&images)?;
    finish(child)?;
    compare(&alone, &vanished, program.steps)?;
    say!("a run whose images vanish ends as the run whose images stay");
    let output = quiet(&mut program.resume(&vanished)).output()?;
    let text = text(&output);
    ensure!(
        !output.status.success() && text.contains(&path) && text.contains("--data"),
        "a resume without the images does not say so: {text}"
    );
    say!("a resume without them names the folder");
    Ok(())
}

fn quiet(command: &mut Command) -> &mut Command {
    command.stdout(Stdio::null()).stderr(Stdio::piped())
}

fn complete(command: &mut Command) -> anyhow::Result<()> {
    finish(quiet(command).spawn()?)
}

fn finish(child: Child) -> anyhow::Result<()> {
    let output = child.wait_with_output()?;
    ensure!(output.status.success(), "it failed: {}", text(&output));
    Ok(())
}

fn wait_for_a_step(run: &Path, child: &mut Child) -> anyhow::Result<()> {
    while lines(run) == 0 {
        ensure!(child.try_wait()?.is_none(), "it ended before it trained");
        sleep(Duration::from_millis(5));
    }
    Ok(())
}

fn terminate(child: &Child) -> anyhow::Result<()> {
    let status = Command::new("kill").arg(child.id().to_string()).status()?;
    ensure!(status.success(), "cannot send SIGTERM");
    Ok(())
}

fn text(output: &Output) -> String {
    String::from_utf8_lossy(&output.stderr).into_owned()
}

fn lines(run: &Path) -> usize {
    let text = fs::read_to_string(run.join("metrics.jsonl")).unwrap_or_default();
    text.lines().count()
}

/// Flips a bit in the tensors of the last checkpoint; false if there are not two.
fn damage_last(run: &Path) -> anyhow::Result<bool> {
    let Ok(entries) = fs::read_dir(run.join("checkpoints")) else {
        return Ok(false);
    };
    let mut folders: Vec<PathBuf> = entries
        .map(|entry| Ok(entry?.path()))
        .collect::<anyhow::Result<_>>()?;
    folders.retain(|folder| folder.extension().is_none());
    folders.sort();
    let [.., _, last] = &folders[..] else {
        return Ok(false);
    };
    let file = last.join("state.safetensors");
    let mut bytes = fs::read(&file)?;
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    fs::write(file, bytes)?;
    Ok(true)
}

/// Checks that both runs have the same numbers in every line but those of the clock, the same state
/// and the same pictures.
fn compare(alone: &Path, disturbed: &Path, steps: usize) -> anyhow::Result<()> {
    let metrics = |run: &Path| -> anyhow::Result<Vec<serde_json::Value>> {
        let path = run.join("metrics.jsonl");
        let text = fs::read_to_string(&path).with_context(|| path.display().to_string())?;
        let line = |line: &str| -> anyhow::Result<serde_json::Value> {
            let mut line: serde_json::Value = serde_json::from_str(line)?;
            for clock in ["seconds", "images_per_second"] {
                line[clock].take();
            }
            Ok(line)
        };
        text.lines().map(line).collect()
    };
    let (expected, found) = (metrics(alone)?, metrics(disturbed)?);
    ensure!(
        expected.len() == steps && found.len() == steps,
        "{} and {} lines of {steps}",
        expected.len(),
        found.len()
    );
    for (expected, found) in expected.iter().zip(&found) {
        ensure!(expected == found, "{found} is not {expected}");
    }
    for name in [
        &format!("checkpoints/{steps:08}/state.safetensors"),
        "averaged.safetensors",
        "samples.png",
        "scores.json",
    ] {
        let read = |run: &Path| fs::read(run.join(name)).with_context(|| name.to_owned());
        ensure!(read(alone)? == read(disturbed)?, "{name} differs");
    }
    Ok(())
}

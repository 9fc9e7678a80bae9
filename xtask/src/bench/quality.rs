use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::Instant;

use anyhow::{Context, ensure};
use burn::tensor::Tensor;
use pixel_iqn::core::{Conditions, Output, weights};
use pixel_iqn::data::{DatasetKind, ImageDataset, OpenOptions, open, say, tell};
use pixel_iqn::score::MarginalForecaster;
use pixel_iqn::terminal::number;
use pixel_iqn::train::Schedule;
use pixel_iqn::{ModelConfig, PixelIqn, PixelModel, TrainConfig, Trainer};
use serde::{Deserialize, Serialize};
use serde_json::Value;

use super::Torch;

/// Levels of tau that a score takes.
const LEVELS: usize = 10;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Data set: mnist, cifar10, imagenet32 or builtin
    #[arg(long, default_value = "cifar10")]
    dataset: DatasetKind,
    /// Folder of the data set
    #[arg(long, value_name = "DIR")]
    data: Option<PathBuf>,
    /// Height and width, to which the images are reduced
    #[arg(long, default_value_t = 16, value_parser = number::count)]
    size: usize,
    /// Layers and features of the model, with tau in its gates, and the batch
    #[arg(long, value_name = "LAYERSxFEATURES:BATCH", default_value = "5x48:16")]
    case: String,
    /// Skill on held-out images at which a training ends, below 1
    #[arg(long, default_value_t = 0.85, allow_negative_numbers = true)]
    skill: f64,
    /// Held-out images
    #[arg(long, default_value_t = 64, value_parser = number::count)]
    images: usize,
    /// Steps between two scores
    #[arg(long, default_value_t = 50, value_parser = number::count)]
    every: usize,
    /// Minutes of training after which it ends without the skill
    #[arg(long, default_value_t = 20.0, value_parser = number::rate)]
    minutes: f64,
    /// Learning rate, which does not change
    #[arg(long, default_value_t = 1e-3, value_parser = number::rate)]
    learning_rate: f64,
    /// Seed of the weights, which both trainings begin with, and of tau
    #[arg(long, default_value_t = 0, value_parser = number::seed)]
    seed: u64,
    #[command(flatten)]
    pytorch: Torch,
    /// Train in this process for the task in a folder, and print the last score as JSON
    #[arg(long, hide = true, value_name = "DIR")]
    alone: Option<PathBuf>,
}

/// What both trainings do: all but the images and the first weights, which are files beside it.
#[derive(Debug, Serialize, Deserialize)]
struct Job {
    model: Value,
    /// Channels, height and width.
    shape: [usize; 3],
    batch: usize,
    every: usize,
    learning_rate: f64,
    clip_norm: f64,
    kappa: f64,
    seed: u64,
    levels: usize,
    /// The CRPS at which the training ends.
    target: f64,
    /// The seconds after which it ends.
    limit: f64,
}

/// The last score of a training.
#[derive(Debug, Serialize, Deserialize)]
struct Score {
    steps: usize,
    /// The seconds of the steps, without those of scores.
    seconds: f64,
    crps: f64,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(folder) = &args.alone {
        say!("{}", serde_json::to_string(&train(folder)?)?);
        return Ok(());
    }
    let (model, batch) = model(&args.case)?;
    let options = OpenOptions::new().with_size(args.size);
    let splits = open(args.dataset, args.data.as_deref(), &options)?;
    ensure!(
        args.images <= splits.held_out.len(),
        "--images is at most the {} held-out images",
        splits.held_out.len()
    );
    let shape = splits.train.shape();
    let model = model.with_channels(shape[0]);
    model.validate()?;
    let held_out = splits.held_out.slice(0..args.images)?;
    let marginal = MarginalForecaster::of(&splits.train).crps(&held_out, args.images);
    let config = config(batch, args.learning_rate, args.seed);
    config.validate()?;
    let job = Job {
        model: serde_json::from_str(&model.to_json())?,
        shape,
        batch,
        every: args.every,
        learning_rate: args.learning_rate,
        clip_norm: config.clip_norm,
        kappa: config.kappa,
        seed: args.seed,
        levels: LEVELS,
        target: marginal * (1.0 - args.skill),
        limit: 60.0 * args.minutes,
    };
    let folder = tempfile::tempdir()?;
    let write = |name: &str, bytes: &[u8]| fs::write(folder.path().join(name), bytes);
    write("job.json", serde_json::to_string(&job)?.as_bytes())?;
    write("train.bin", splits.train.images())?;
    write("held_out.bin", held_out.images())?;
    let first = PixelIqn::init_seeded(&model, &pixel_iqn::device("cpu")?, args.seed);
    write("weights.safetensors", &weights::to_safetensors(&first)?)?;
    tell!(
        "{}; until skill {} on {} held-out images, a CRPS of {:.5}, one thread for each",
        splits.description,
        args.skill,
        args.images,
        job.target
    );

    let mut ours = Command::new(std::env::current_exe().context("cannot find this program")?);
    ours.args(["bench", "quality", "--alone"])
        .arg(folder.path());
    ours.env("RAYON_NUM_THREADS", "1");
    let mut trainings = vec![("pixel-iqn", ours)];
    if let Some(python) = &args.pytorch.python {
        let mut torch = Command::new(python);
        torch.args(["-c", include_str!("quality.py")]);
        torch.args([&args.pytorch.reference, folder.path()]);
        trainings.push(("torch", torch));
    }
    let trainings: Vec<_> = trainings
        .into_iter()
        .map(|(name, mut command)| {
            let child = command.stdout(Stdio::piped()).spawn();
            Ok((name, child.with_context(|| format!("cannot start {name}"))?))
        })
        .collect::<anyhow::Result<_>>()?;
    let mut first: Option<f64> = None;
    for (name, child) in trainings {
        let output = child.wait_with_output()?;
        ensure!(output.status.success(), "{name} failed: {}", output.status);
        let text = String::from_utf8(output.stdout)?;
        let line = text.lines().last().context("a training printed nothing")?;
        let score: Score = serde_json::from_str(line)?;
        let minutes = score.seconds / 60.0;
        let reached = score.crps <= job.target;
        let ratio = match (first, reached) {
            (Some(ours), true) => format!("; pixel-iqn takes {:.2} x its time", ours / minutes),
            _ => String::new(),
        };
        say!(
            "{name}: skill {:.3} {} {minutes:.2} minutes, {} steps{ratio}",
            1.0 - score.crps / marginal,
            if reached {
                "after"
            } else {
                "and no more after"
            },
            score.steps,
        );
        first = first.or(reached.then_some(minutes));
    }
    Ok(())
}

/// The model and the batch of a case such as `5x48:16`.
fn model(case: &str) -> anyhow::Result<(ModelConfig, usize)> {
    let numbers: Option<Vec<usize>> = case
        .split(['x', ':'])
        .map(|number| number.parse().ok().filter(|&number| number > 0))
        .collect();
    let Some([layers, features, batch]) = numbers.as_deref() else {
        anyhow::bail!("`{case}` is no case: give LAYERSxFEATURES:BATCH, as 5x48:16");
    };
    let model = ModelConfig::new()
        .with_layers(*layers)
        .with_features(*features);
    let output = Output::of_kind("gates")?;
    Ok((model.with_output(output), *batch))
}

/// The training that the reference has too: the plain quantile Huber loss, at a rate that stays.
fn config(batch: usize, learning_rate: f64, seed: u64) -> TrainConfig {
    TrainConfig::new(usize::MAX, batch)
        .with_learning_rate(learning_rate)
        .with_schedule(Schedule::Constant)
        .with_warmup(0.0)
        .with_censored(false)
        .with_seed(seed)
}

/// Trains for a task, in this process.
fn train(folder: &Path) -> anyhow::Result<Score> {
    let job: Job = serde_json::from_slice(&fs::read(folder.join("job.json"))?)?;
    let images = |name: &str| -> anyhow::Result<ImageDataset> {
        Ok(ImageDataset::new(fs::read(folder.join(name))?, job.shape)?)
    };
    let (set, held_out) = (images("train.bin")?, images("held_out.bin")?);
    let device = pixel_iqn::device("cpu")?;
    let model = ModelConfig::from_json(&job.model.to_string())?;
    let config = config(job.batch, job.learning_rate, job.seed);
    let mut trainer = Trainer::<PixelIqn>::new(&model, config, &device)?;
    let held_out = held_out.batch(&Vec::from_iter(0..held_out.len()), None, &device);
    let (mut seconds, mut steps) = (0.0, 0);
    loop {
        let before = Instant::now();
        for _ in 0..job.every {
            let batch: Vec<usize> = (0..job.batch)
                .map(|i| (steps * job.batch + i) % set.len())
                .collect();
            trainer.step(&set.batch(&batch, None, &device))?;
            steps += 1;
        }
        seconds += before.elapsed().as_secs_f64();
        let crps = crps(&trainer.model(), &held_out.images, job.levels)?;
        tell!("pixel-iqn: step {steps}, {seconds:.0} s, CRPS {crps:.5}");
        if crps <= job.target || seconds >= job.limit {
            return Ok(Score {
                steps,
                seconds,
                crps,
            });
        }
    }
}

/// Twice the mean pinball loss at levels of tau in the middle of equal parts.
fn crps(model: &PixelIqn, x: &Tensor<4>, levels: usize) -> anyhow::Result<f64> {
    let targets: Vec<f32> = x.to_data().try_to_vec()?;
    let mut sum = 0.0;
    for k in 0..levels {
        let level = (k as f64 + 0.5) / levels as f64;
        let tau = x.full_like(level);
        let predictions = model.values(x.clone(), tau, Conditions::default());
        let predictions: Vec<f32> = predictions.into_data().try_to_vec()?;
        let losses = predictions.iter().zip(&targets).map(|(&q, &y)| {
            let u = f64::from(y) - f64::from(q);
            (level - f64::from(u8::from(u < 0.0))) * u
        });
        sum += losses.sum::<f64>() / targets.len() as f64;
    }
    Ok(2.0 * sum / levels as f64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cases_are_layers_features_and_batch() {
        let (parsed, batch) = model("5x48:16").unwrap();
        assert_eq!((parsed.layers, parsed.features, batch), (5, 48, 16));
        for wrong in ["5x48", "5x48:0", "quick:16", "5x4x8:1"] {
            assert!(model(wrong).unwrap_err().to_string().contains("is no case"));
        }
    }

    #[test]
    fn the_score_is_that_of_known_predictions() {
        // A model whose weights are zero predicts its last bias, 0.5, at every level of tau.
        let device = pixel_iqn::device("cpu").unwrap();
        let config = ModelConfig::tiny().with_output(Output::of_kind("gates").unwrap());
        let model = PixelIqn::init_seeded(&config, &device, 0);
        let zero = |name: &str| name != "out.bias";
        let model = zeroed(model, zero);
        let x = Tensor::<4>::full([1, 3, 2, 2], 0.75, &device);
        // The mean over tau of twice tau * 0.25.
        assert!((crps(&model, &x, 10).unwrap() - 0.25).abs() < 1e-6);
    }

    /// The model with the weights of some names at zero.
    fn zeroed(mut model: PixelIqn, zero: impl Fn(&str) -> bool) -> PixelIqn {
        let bytes = weights::to_safetensors(&model).unwrap();
        let tensors = safetensors::SafeTensors::deserialize(&bytes).unwrap();
        let data: Vec<(String, Vec<usize>, Vec<u8>)> = tensors
            .iter()
            .map(|(name, view)| {
                let data = match zero(name) {
                    true => vec![0; view.data().len()],
                    false => view.data().to_vec(),
                };
                (name.to_owned(), view.shape().to_vec(), data)
            })
            .collect();
        let views = data.iter().map(|(name, shape, data)| {
            let dtype = safetensors::Dtype::F32;
            let view = safetensors::tensor::TensorView::new(dtype, shape.clone(), data).unwrap();
            (name.clone(), view)
        });
        let bytes = safetensors::serialize(views, None).unwrap();
        weights::load_safetensors(&mut model, &bytes).unwrap();
        model
    }
}

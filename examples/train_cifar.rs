//! Trains a PixelIQN or a Gated PixelCNN, scores it on held-out images, and draws its pictures.
//!
//! ```text
//! cargo run --release --example train_cifar
//! cargo run --release --example train_cifar -- --dataset mnist --data DIR --steps 2000
//! cargo run --release --example train_cifar -- --resume runs/mnist-1
//! ```

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use common::training::Arithmetic;
use pixel_iqn::data::{DataError, ImageDataset, ImageGrid, Splits, download};
use pixel_iqn::train::{
    Display, End, Inpainting, Interrupter, MarginalQuantiles, ReportConfig, ResumeFrom,
    ScoreOptions, Session, save_samples, score,
};
use pixel_iqn::{
    DatasetKind, GatedPixelCnn, Head, ModelConfig, PixelIqn, RunConfig, RunDir, Runner,
    TrainConfig, TrainModel, Trainer,
};

/// Train a PixelIQN on images
///
/// Without flags: CIFAR-10 if it can be had, else the built-in pictures, for a few minutes.
/// Ctrl-C finishes the step and writes a checkpoint; --resume goes on from there.
///
/// Example: train_cifar --data data --steps 5000 --run runs/first
/// Example: train_cifar --resume runs/first
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    data: common::DataArgs,
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with an index, cuda:1; several, separated by
    /// commas, share each batch
    #[arg(long, value_name = "NAME", default_value = pixel_iqn::DEFAULT_DEVICE)]
    device: String,
    /// Go on with the run in this folder, under its own config; of that, --set, --data,
    /// --checkpoint-steps, --eval-images, --samples and --skip-bad-steps may change what no loss depends on
    #[arg(long, value_name = "DIR", conflicts_with_all = [
        "dataset", "size", "config", "preset", "model", "tau_injection", "class_conditional", "steps",
        "batch", "learning_rate", "seed", "run",
    ])]
    resume: Option<PathBuf>,
    /// Resume from the checkpoint after this many steps, not from the last one
    #[arg(long, value_name = "STEPS", requires = "resume")]
    resume_step: Option<usize>,
    /// Write a checkpoint every so many steps, besides those by the clock (every 10 minutes)
    #[arg(long, value_name = "STEPS")]
    checkpoint_steps: Option<usize>,
    /// Config: a TOML file with the keys that `config.toml` of a run folder has, or some of them
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    /// Change any key of the config, as train.clip_norm=0.5; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Architecture: tiny, quick, paper_small or paper_large [default: what suits the device]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// What to train [default: pixel-iqn]
    #[arg(long, value_enum)]
    model: Option<ModelKind>,
    /// Where tau enters a PixelIQN: into the gates, as published, or after the trunk [default:
    /// gates]
    #[arg(long, value_enum)]
    tau_injection: Option<Injection>,
    /// Condition on the class of each image
    #[arg(long)]
    class_conditional: bool,
    /// Training steps [default: what suits the device]
    #[arg(long)]
    steps: Option<usize>,
    /// Images in a step [default: what suits the device]
    #[arg(long)]
    batch: Option<usize>,
    /// Highest learning rate [default: 0.001]
    #[arg(long)]
    learning_rate: Option<f64>,
    /// Seed of everything random, below 2^63 [default: 0]
    #[arg(long, value_parser = clap::value_parser!(u64).range(..1 << 63))]
    seed: Option<u64>,
    /// Leave out steps whose loss or gradient is infinite or not a number
    #[arg(long)]
    skip_bad_steps: bool,
    /// Held-out images to score at the end [default: what suits the device]
    #[arg(long)]
    eval_images: Option<usize>,
    /// Samples to draw at the end [default: what suits the device]
    #[arg(long)]
    samples: Option<usize>,
    /// Run folder, new or empty [default: runs/DATASET-NUMBER]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Copy of the sheet of samples
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
    /// No dashboard, also on a terminal
    #[arg(long)]
    plain: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq)]
enum ModelKind {
    PixelIqn,
    GatedPixelCnn,
}

#[derive(ValueEnum, Debug, Clone, Copy)]
enum Injection {
    Gates,
    Head,
}

/// Where and on what to train.
struct Job<'a> {
    args: &'a Args,
    runners: Vec<Runner>,
    interrupter: Interrupter,
    train: Arc<ImageDataset>,
    held_out: Arc<ImageDataset>,
    config: RunConfig,
    run: RunDir,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let interrupter = common::start()?;
    let names = args.device.split(',').map(str::trim);
    let runners: Vec<Runner> = names.map(pixel_iqn::runner).collect::<Result<_, _>>()?;
    // What would fail after the training.
    if let Some(out) = &args.out {
        common::check_folder_of(out)?;
    }
    let (splits, config, run) = match &args.resume {
        Some(folder) => open_run(args, folder)?,
        None => new_run(args, &runners[0])?,
    };
    let head = config.model.head;
    let job = Job {
        args,
        runners,
        interrupter,
        train: Arc::new(splits.train),
        held_out: Arc::new(splits.held_out),
        config,
        run,
    };
    match head {
        Head::Quantile => train::<PixelIqn>(&job),
        Head::Categorical => train::<GatedPixelCnn>(&job),
    }
}

/// The images, the config and the folder of a run that was begun before.
fn open_run(args: &Args, folder: &Path) -> anyhow::Result<(Splits, RunConfig, RunDir)> {
    let (run, mut config) = RunDir::open(folder)?;
    for setting in report_flags(args).iter().flatten().chain(&args.settings) {
        config = config.with_setting(setting).context("--set")?;
    }
    config.validate()?;
    let kind: DatasetKind = config.data.dataset.parse()?;
    if let Some(folder) = args
        .data
        .data
        .as_ref()
        .filter(|_| kind != DatasetKind::Builtin)
    {
        config.data.path = Some(common::training::absolute(folder)?);
    }
    let data = common::DataArgs::of_run(&config.data, kind);
    let splits = data.open(kind).with_context(|| {
        format!("cannot open the data set `{kind}` of the run: give its folder with --data")
    })?;
    Ok((splits, config, run))
}

/// The images, the config and the folder of a new run.
fn new_run(args: &Args, runner: &Runner) -> anyhow::Result<(Splits, RunConfig, RunDir)> {
    let file = match &args.config {
        Some(path) => fs::read_to_string(path)
            .with_context(|| format!("cannot read the config {}", path.display()))?,
        None => String::new(),
    };
    let (kind, splits) = open_data(&data_args(args, &file)?)?;
    let [channels, _, _] = splits.train.shape();
    let classes = if args.class_conditional {
        let classes = splits.train.classes();
        ensure!(
            classes > 0,
            "`{kind}` has no classes to condition on: those of a folder are its subfolders"
        );
        classes
    } else {
        0
    };
    let data = common::training::data_config(kind, &data_folder(args, &file), &splits)?;
    let model = ModelConfig::preset(runner.preset)?
        .with_channels(channels)
        .with_classes(classes);
    // Digits and letters do not survive mirroring.
    let flip = kind != DatasetKind::Mnist;
    let train = TrainConfig::new(runner.steps, runner.batch).with_flip(flip);
    let mut base = RunConfig::new(data, model, train);
    let file = without_data(args, &file)?;
    let steps = settle(args, &base, &file)?.train.steps;
    base.report = ReportConfig::for_steps(steps)
        .with_eval_images(runner.eval_images)
        .with_samples(runner.samples);
    let config = settle(args, &base, &file)?;
    ensure!(
        config.data == base.data,
        "--set cannot change where the images come from: use --dataset and --data"
    );
    ensure!(
        config.model.channels == channels
            && [0, splits.train.classes()].contains(&config.model.classes),
        "the config is for images of {} channels and {} classes, but those of `{kind}` have {channels} and {}",
        config.model.channels,
        config.model.classes,
        splits.train.classes()
    );
    ensure!(
        config.train.batch <= splits.train.len(),
        "a batch of {} is more than the {} training images",
        config.train.batch,
        splits.train.len()
    );
    let run = match &args.run {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_next("runs", kind.name())?,
    };
    Ok((splits, config, run))
}

/// A config, with what the file changes, then the flags, then `--set`.
fn settle(args: &Args, base: &RunConfig, file: &str) -> anyhow::Result<RunConfig> {
    // Before the file, whose other keys change the preset further.
    let base = match &args.preset {
        Some(preset) => &base.with_setting(&format!("model.preset={preset}"))?,
        None => base,
    };
    let mut config = base.with_toml(file).with_context(|| match &args.config {
        Some(path) => path.display().to_string(),
        None => "the config".to_owned(),
    })?;
    let flag = |key: &str, value: Option<String>| value.map(|value| format!("{key}={value}"));
    let head = args.model.map(|model| match model {
        ModelKind::PixelIqn => "quantile".to_owned(),
        ModelKind::GatedPixelCnn => "categorical".to_owned(),
    });
    let injection = args.tau_injection.map(|injection| match injection {
        Injection::Gates => "gates".to_owned(),
        Injection::Head => "head".to_owned(),
    });
    let text = |value: Option<usize>| value.map(|value| value.to_string());
    let flags = [
        flag("model.head", head),
        flag("model.tau_injection", injection),
        flag("train.steps", text(args.steps)),
        flag("train.batch", text(args.batch)),
        flag(
            "train.learning_rate",
            // `1e30` and not a one with thirty zeros, which is no float of TOML.
            args.learning_rate.map(|rate| format!("{rate:e}")),
        ),
        flag("train.seed", args.seed.map(|seed| seed.to_string())),
    ];
    for setting in flags.iter().chain(&report_flags(args)).flatten() {
        config = config.with_setting(setting)?;
    }
    for setting in &args.settings {
        config = config.with_setting(setting).context("--set")?;
    }
    config.validate()?;
    Ok(config)
}

/// The flags that a resumed run takes, as settings.
fn report_flags(args: &Args) -> [Option<String>; 4] {
    let text = |value: Option<usize>| value.map(|value| value.to_string());
    let skip = args.skip_bad_steps.then(|| "true".to_owned());
    [
        ("checkpoint.every_steps", text(args.checkpoint_steps)),
        ("report.eval_images", text(args.eval_images)),
        ("report.samples", text(args.samples)),
        ("train.skip_bad_steps", skip),
    ]
    .map(|(key, value)| Some(format!("{key}={}", value?)))
}

/// A config file without its section `data`, which was read before and describes the images of the
/// run that it is from; and without its preset, where a flag names another.
fn without_data(args: &Args, file: &str) -> anyhow::Result<String> {
    let mut table: toml::Table = match file.parse() {
        Ok(table) => table,
        // The error comes with the place when all of it is read.
        Err(_) => return Ok(file.to_owned()),
    };
    table.remove("data");
    if args.preset.is_some()
        && let Some(toml::Value::Table(model)) = table.get_mut("model")
    {
        model.remove("preset");
    }
    Ok(table.to_string())
}

/// `--data` and `--dataset`, or what the config file says instead.
fn data_args(args: &Args, file: &str) -> anyhow::Result<common::DataArgs> {
    let dataset = match (args.data.dataset, data_key(file, "dataset")) {
        (Some(kind), _) => Some(kind),
        (None, Some(name)) => Some(name.parse()?),
        (None, None) => None,
    };
    Ok(common::DataArgs {
        data: Some(data_folder(args, file)),
        dataset,
        size: args.data.size,
    })
}

fn data_folder(args: &Args, file: &str) -> PathBuf {
    match (&args.data.data, data_key(file, "path")) {
        (Some(folder), _) => folder.clone(),
        (None, Some(folder)) => folder.into(),
        (None, None) => args.data.folder().to_owned(),
    }
}

/// A text of the section `data` of a config file.
fn data_key(file: &str, key: &str) -> Option<String> {
    let table: toml::Table = file.parse().ok()?;
    Some(table.get("data")?.get(key)?.as_str()?.to_owned())
}

/// The data set of the flags; without `--dataset`, CIFAR-10 if it is there or can be downloaded,
/// else the built-in set.
fn open_data(args: &common::DataArgs) -> anyhow::Result<(DatasetKind, Splits)> {
    let open = |kind| {
        let splits = args.open(kind);
        let splits = splits.with_context(|| format!("cannot open the data set `{kind}`"))?;
        Ok((kind, splits))
    };
    if let Some(kind) = args.dataset {
        return open(kind);
    }
    if let Err(DataError::Missing { .. }) = args.open(DatasetKind::Cifar10) {
        let folder = args.folder();
        println!("no CIFAR-10 in {}: downloading it", folder.display());
        if let Err(error) = download(DatasetKind::Cifar10, folder) {
            eprintln!("WARNING: {:#}", anyhow::Error::from(error));
            eprintln!("WARNING: training on the built-in pictures instead of CIFAR-10. To use it,");
            eprintln!("WARNING: put cifar-10-binary.tar.gz from");
            eprintln!("WARNING: https://www.cs.toronto.edu/~kriz/cifar.html into a folder, and");
            eprintln!("WARNING: give that with --data DIR");
            return open(DatasetKind::Builtin);
        }
    }
    open(DatasetKind::Cifar10)
}

fn train<M: TrainModel>(job: &Job<'_>) -> anyhow::Result<()> {
    let trainer = match train_steps::<M>(job)? {
        Some(trainer) => trainer,
        None => return Ok(()),
    };
    save_scores(job, &trainer)?;
    if !common::interrupted() {
        match draw(job, trainer.averaged().clone()) {
            Err(_) if common::interrupted() => (),
            drawn => drawn?,
        }
    }
    if common::interrupted() {
        let folder = job.run.path().display();
        println!("interrupted: the rest of its scores and pictures come with --resume {folder}");
    }
    Ok(())
}

/// Trains to the end; none where Ctrl-C came first.
fn train_steps<M: TrainModel>(job: &Job<'_>) -> anyhow::Result<Option<Trainer<M>>> {
    let devices: Vec<_> = job.runners.iter().map(|r| r.device.clone()).collect();
    let (run, config) = (job.run.clone(), job.config.clone());
    let (train, held_out) = (job.train.clone(), job.held_out.clone());
    let session = if job.args.resume.is_some() {
        let from = match job.args.resume_step {
            Some(step) => ResumeFrom::Step(step),
            None => ResumeFrom::Last,
        };
        Session::<M>::resume(run, config, train, held_out, &devices, from)?
    } else {
        Session::<M>::start(run, config, train, held_out, &devices)?
    };
    println!("{}", job.config.to_toml());
    println!("data   {}", job.config.data.description);
    println!("run    {}", job.run.path().display());
    let done = session.steps_done();
    if job.args.resume.is_some() {
        println!("resume after {done} steps");
    }
    let display = match job.args.plain {
        true => Display::Plain,
        false => Display::detect(),
    };
    let steps = job.config.train.steps;
    let arithmetic = match &devices[..] {
        [device] if !["cpu", "ndarray"].contains(&job.args.device.as_str()) => {
            let arithmetic = Arithmetic::of(&job.config, device);
            println!("device {}", arithmetic.device());
            Some(arithmetic)
        }
        _ => None,
    };
    let finished = common::training::train(
        session,
        display,
        job.interrupter.clone(),
        "training",
        steps,
        arithmetic,
    )?;
    let done = finished.trainer.steps_done();
    let folder = job.run.path().display();
    if finished.end == End::Interrupted {
        println!("interrupted after {done} of {steps} steps; go on with --resume {folder}");
        return Ok(None);
    }
    println!("wrote  weights.safetensors, averaged.safetensors and curve.png after {done} steps");
    Ok(Some(finished.trainer))
}

/// Scores the averaged weights on held-out images, unless Ctrl-C ends that.
fn save_scores<M: TrainModel>(job: &Job<'_>, trainer: &Trainer<M>) -> anyhow::Result<()> {
    let runner = &job.runners[0];
    let options = ScoreOptions {
        images: job.config.report.eval_images.min(job.held_out.len()),
        batch: job.config.train.batch,
        seed: job.config.train.seed,
    };
    let marginal = MarginalQuantiles::of(&job.train);
    let scores = common::with_pass_progress("scoring", |on_pass| {
        score(
            trainer.averaged(),
            &job.held_out,
            &marginal,
            &options,
            &runner.device,
            on_pass,
        )
    })?;
    let Some(scores) = scores else { return Ok(()) };
    job.run.save_json("scores.json", &scores)?;
    println!("wrote  scores.json");
    println!(
        "scores of {} held-out images: mean pinball {:.5}, skill {:.3}, crossing rate {:.1}%",
        scores.images,
        scores.mean_pinball,
        scores.skill,
        100.0 * scores.crossing_rate
    );
    Ok(())
}

/// Writes the sheet of samples and the inpaintings.
fn draw<M: TrainModel>(job: &Job<'_>, model: M) -> anyhow::Result<()> {
    const SCALE: usize = 3;
    let (args, config, run, held_out) = (job.args, &job.config, &job.run, &job.held_out);
    let runner = &job.runners[0];
    let seed = config.train.seed;
    let sampler = pixel_iqn::sampler(model, &runner.device);
    let (channels, [height, width]) = (config.model.channels, config.data.size);
    let count = config.report.samples;
    let path = run.file("samples.png");
    common::with_row_progress("sampling", count, height, |on_row| {
        save_samples(&path, &*sampler, count, config.data.size, seed, on_row)
    })?;

    let (rows, completions) = if count >= 16 { (6, 4) } else { (1, 1) };
    let rows = rows.min(held_out.len());
    let inpainting = Inpainting::lower_half(held_out, 0..rows, completions, seed);
    let levels = common::with_row_progress("inpainting", rows * completions, height, |on_row| {
        inpainting.draw(&*sampler, on_row)
    })?;
    let shape = [rows * inpainting.columns(), channels, height, width];
    ImageGrid::new(&levels, shape)?
        .with_columns(inpainting.columns())
        .with_scale(SCALE)
        .save(run.file("inpainting.png"))?;
    println!("wrote  samples.png and inpainting.png");
    if let Some(out) = &args.out {
        fs::copy(run.file("samples.png"), out)
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

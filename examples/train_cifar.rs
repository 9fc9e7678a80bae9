//! Trains a PixelIQN or a Gated PixelCNN, scores it on held-out images, and draws its pictures.
//!
//! ```text
//! cargo run --release --example train_cifar
//! cargo run --release --example train_cifar -- --dataset mnist --data DIR --steps 2000
//! ```

mod common;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, ensure};
use clap::{Parser, ValueEnum};
use pixel_iqn::data::{
    DataError, ImageDataset, Loader, LoaderConfig, Splits, download, save_sheet,
};
use pixel_iqn::train::{
    Inpainting, MarginalQuantiles, Metrics, ScoreOptions, Weights, plot, sample_levels, score,
};
use pixel_iqn::{
    DatasetKind, GatedPixelCnn, Head, Labels, ModelConfig, PixelIqn, RunConfig, RunDir, Runner,
    SampleOptions, TauInjection, TrainConfig, TrainModel, Trainer,
};

/// Train a PixelIQN on images
///
/// Without flags: CIFAR-10 if it can be had, else the built-in pictures, for a few minutes.
///
/// Example: train_cifar --data data --steps 5000 --run runs/first
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    data: common::DataArgs,
    #[command(flatten)]
    device: common::DeviceArgs,
    /// Architecture: tiny, quick, paper_small or paper_large [default: what suits the device]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// What to train
    #[arg(long, value_enum, default_value = "pixel-iqn")]
    model: ModelKind,
    /// Where tau enters a PixelIQN: into the gates, as published, or after the trunk
    #[arg(long, value_enum, default_value = "gates")]
    tau_injection: Injection,
    /// Condition on the class of each image
    #[arg(long)]
    class_conditional: bool,
    /// Training steps [default: what suits the device]
    #[arg(long)]
    steps: Option<usize>,
    /// Images in a step [default: what suits the device]
    #[arg(long)]
    batch: Option<usize>,
    /// Highest learning rate
    #[arg(long, default_value_t = 1e-3)]
    learning_rate: f64,
    /// Seed of everything random
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Held-out images to score [default: what suits the device]
    #[arg(long)]
    eval_images: Option<usize>,
    /// Samples to draw [default: what suits the device]
    #[arg(long)]
    samples: Option<usize>,
    /// Run folder, new or empty [default: runs/DATASET-NUMBER]
    #[arg(long, value_name = "DIR")]
    run: Option<PathBuf>,
    /// Copy of the sheet of samples
    #[arg(long, value_name = "FILE.png")]
    out: Option<PathBuf>,
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

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    common::start()?;
    let runner = pixel_iqn::runner(&args.device.device)?;
    let (kind, splits) = open_data(&args.data)?;
    let [channels, height, width] = splits.train.shape();
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
    let model = ModelConfig::preset(args.preset.as_deref().unwrap_or(runner.preset))?
        .with_channels(channels)
        .with_classes(classes)
        .with_tau_injection(match args.tau_injection {
            Injection::Gates => TauInjection::Gates,
            Injection::Head => TauInjection::Head,
        })
        .with_head(match args.model {
            ModelKind::PixelIqn => Head::Quantile,
            ModelKind::GatedPixelCnn => Head::Categorical,
        });
    let config = RunConfig {
        version: RunConfig::VERSION,
        dataset: kind.name().to_owned(),
        description: splits.description.clone(),
        size: [height, width],
        class_names: splits.train.class_names().map(<[String]>::to_vec),
        model,
        train: TrainConfig::new(
            args.steps.unwrap_or(runner.steps),
            args.batch.unwrap_or(runner.batch),
        )
        .with_learning_rate(args.learning_rate)
        // Digits and letters do not survive mirroring.
        .with_flip(kind != DatasetKind::Mnist)
        .with_seed(args.seed),
    };
    config.model.validate()?;
    config.train.validate()?;
    // What would fail after the training.
    ensure!(
        config.train.batch <= splits.train.len(),
        "--batch {} is more than the {} training images",
        config.train.batch,
        splits.train.len()
    );
    ensure!(args.eval_images != Some(0), "--eval-images starts at 1");
    if let Some(out) = &args.out {
        common::check_folder_of(out)?;
    }
    let run = match &args.run {
        Some(path) => RunDir::create(path)?,
        None => RunDir::create_next("runs", kind.name())?,
    };
    run.save_json("config.json", &config)?;
    println!("data   {}", config.description);
    println!(
        "model  {:?}, {} layers of {} features, {channels} channel(s)",
        args.model, config.model.layers, config.model.features
    );
    println!("run    {}", run.path().display());
    match args.model {
        ModelKind::PixelIqn => train::<PixelIqn>(args, &runner, splits, &config, &run),
        ModelKind::GatedPixelCnn => train::<GatedPixelCnn>(args, &runner, splits, &config, &run),
    }
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
        let folder = &args.data;
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

fn train<M: TrainModel>(
    args: &Args,
    runner: &Runner,
    splits: Splits,
    config: &RunConfig,
    run: &RunDir,
) -> anyhow::Result<()> {
    let (train, held_out) = (Arc::new(splits.train), splits.held_out);
    let mut trainer = Trainer::<M>::new(&config.model, config.train.clone(), &runner.device)?;
    let losses = train_steps(&mut trainer, &train, &held_out, config, runner, run)?;
    let steps = losses.steps.len();
    run.save_weights(Weights::Raw, &trainer.model())?;
    run.save_weights(Weights::Averaged, trainer.averaged())?;
    if steps > 0 {
        plot::save_curve(
            &run.file("curve.png"),
            M::LOSS,
            &losses.steps,
            &losses.held_out,
        )?;
    }
    println!("wrote  weights.safetensors, averaged.safetensors and curve.png after {steps} steps");
    if common::interrupted() {
        println!("interrupted: no scores");
    } else {
        save_scores(args, runner, &trainer, &train, &held_out, run)?;
    }
    draw(
        args,
        runner,
        config,
        run,
        &held_out,
        trainer.averaged().clone(),
    )
}

/// Scores the averaged weights on held-out images, unless Ctrl-C ends that.
fn save_scores<M: TrainModel>(
    args: &Args,
    runner: &Runner,
    trainer: &Trainer<M>,
    train: &ImageDataset,
    held_out: &ImageDataset,
    run: &RunDir,
) -> anyhow::Result<()> {
    let options = ScoreOptions {
        images: args
            .eval_images
            .unwrap_or(runner.eval_images)
            .min(held_out.len()),
        batch: args.batch.unwrap_or(runner.batch),
        seed: args.seed,
    };
    let marginal = MarginalQuantiles::of(train);
    let progress = common::Progress::new("scoring", 1);
    let scores = score(
        trainer.averaged(),
        held_out,
        &marginal,
        &options,
        &runner.device,
        |done, of| {
            progress.set_total(of);
            progress.set(done, "passes");
            common::unless_interrupted()
        },
    )?;
    progress.finish();
    let Some(scores) = scores else { return Ok(()) };
    run.save_json("scores.json", &scores)?;
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

struct Losses {
    steps: Vec<f32>,
    held_out: Vec<(usize, f32)>,
}

/// Trains until the last step or Ctrl-C.
fn train_steps<M: TrainModel>(
    trainer: &mut Trainer<M>,
    train: &Arc<ImageDataset>,
    held_out: &ImageDataset,
    config: &RunConfig,
    runner: &Runner,
    run: &RunDir,
) -> anyhow::Result<Losses> {
    /// How often the held-out loss is measured in a run.
    const HELD_OUT_POINTS: usize = 20;
    let TrainConfig {
        steps,
        batch,
        flip,
        seed,
        ..
    } = config.train;
    let loader = LoaderConfig {
        seed,
        flip,
        ..LoaderConfig::new(batch)
    };
    let loader = Loader::new(train.clone(), loader, runner.device.clone(), 0)?;
    let indices: Vec<usize> = (0..batch.min(held_out.len())).collect();
    let held_out = held_out.batch(&indices, None, &runner.device);
    let mut metrics = run.metrics()?;
    let mut losses = Losses {
        steps: Vec::new(),
        held_out: Vec::new(),
    };
    let progress = common::Progress::new("training", steps);
    let start = Instant::now();
    for batch in loader.take(steps) {
        let before = Instant::now();
        let report = trainer.step(&batch).context("training stopped")?;
        let images_per_second = batch.indices.len() as f64 / before.elapsed().as_secs_f64();
        let done = report.step + 1;
        let held_out_loss = if done.is_multiple_of(steps.div_ceil(HELD_OUT_POINTS)) || done == steps
        {
            let loss = trainer.held_out_loss(&held_out)?;
            losses.held_out.push((report.step, loss));
            Some(loss)
        } else {
            None
        };
        metrics.write(&Metrics {
            report,
            images_per_second,
            seconds: start.elapsed().as_secs_f64(),
            held_out_loss,
        })?;
        losses.steps.push(report.loss);
        let note = format!("loss {:.4} {images_per_second:.1} images/s", report.loss);
        progress.set(done, &note);
        if common::interrupted() {
            break;
        }
    }
    progress.finish();
    Ok(losses)
}

/// Writes the sheet of samples and the inpaintings.
fn draw<M: TrainModel>(
    args: &Args,
    runner: &Runner,
    config: &RunConfig,
    run: &RunDir,
    held_out: &ImageDataset,
    model: M,
) -> anyhow::Result<()> {
    const SCALE: usize = 3;
    let sampler = pixel_iqn::sampler(model, &runner.device);
    let (channels, [height, width]) = (config.model.channels, config.size);
    let count = args.samples.unwrap_or(runner.samples).max(1);
    let options = SampleOptions {
        labels: if config.model.classes > 0 {
            Labels::Spread
        } else {
            Labels::None
        },
        ..SampleOptions::new(count, config.size, args.seed)
    };
    let levels = common::with_row_progress("sampling", count, height, |on_row| {
        sample_levels(&*sampler, &options, on_row)
    })?;
    // Spread labels go round the classes: a column for each.
    let columns = match config.model.classes {
        0 => count.isqrt().max(1),
        classes => classes.min(count),
    };
    let shape = [count, channels, height, width];
    save_sheet(&run.file("samples.png"), &levels, shape, columns, SCALE)?;

    let (rows, completions) = if count >= 16 { (6, 4) } else { (1, 1) };
    let rows = rows.min(held_out.len());
    let inpainting = Inpainting::lower_half(held_out, 0..rows, completions, args.seed);
    let levels = common::with_row_progress("inpainting", rows * completions, height, |on_row| {
        inpainting.draw(&*sampler, on_row)
    })?;
    let shape = [rows * inpainting.columns(), channels, height, width];
    save_sheet(
        &run.file("inpainting.png"),
        &levels,
        shape,
        inpainting.columns(),
        SCALE,
    )?;
    println!("wrote  samples.png and inpainting.png");
    if let Some(out) = &args.out {
        fs::copy(run.file("samples.png"), out)
            .with_context(|| format!("cannot write {}", out.display()))?;
    }
    Ok(())
}

//! Trains PixelIQN, with tau in the gates and in the head, and Gated PixelCNN on one trunk and the
//! same images, and judges all of them by the same scores.
//!
//! ```text
//! cargo run --release --example compare -- --dataset cifar10 --data DIR --size 16 --steps 7000 --out runs/compare
//! ```

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;

use anyhow::{Context, ensure};
use burn::tensor::Device;
use clap::{Parser, ValueEnum};
use common::judging::{ESTIMATES, crps_difference, features, inception_on};
use pixel_iqn::data::{ImageDataset, ImageGrid, NpzWriter};
use pixel_iqn::eval::{
    ConditionalOptions, ConditionalScores, Estimate, FeatureSet, Forecaster, ImageSetOptions,
    ImageSetScores, InceptionV3, KidOptions, LevelDistance, MarginalForecaster,
    SlicedWassersteinOptions, conditional_scores, image_set_scores, sliced_wasserstein,
};
use pixel_iqn::train::plot::{self, Chart, Mark, Series, color};
use pixel_iqn::train::{
    Display, End, History, Interrupter, ReportConfig, ResumeFrom, sample_levels,
};
use pixel_iqn::{
    DatasetKind, GatedPixelCnn, ModelConfig, PixelIqn, RunConfig, RunDir, SampleOptions, Session,
    TrainConfig, TrainModel,
};
use serde_json::json;

/// Train PixelIQN and Gated PixelCNN side by side, and judge both
///
/// Every model has the same trunk, images in the same order, and the same number of steps. Each has
/// a run folder in --out; the same command goes on after Ctrl-C, and trains nothing twice. With
/// --models several processes can train into one folder; each judges its own at its end, and the
/// same command once more, with all models, judges all of them together.
///
/// Writes comparison.md and comparison.json (scores with 95% bootstrap intervals over images),
/// curves.png (held-out CRPS while training) and samples.png (side by side).
///
/// Example: compare --dataset cifar10 --data data --size 16 --steps 7000 --seeds 2 --out runs/compare
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
struct Args {
    #[command(flatten)]
    data: common::DataArgs,
    #[command(flatten)]
    device: common::DeviceArgs,
    /// What to compare; the others are compared with the first
    #[arg(
        long,
        value_enum,
        value_delimiter = ',',
        default_value = "gates,head,categorical"
    )]
    models: Vec<Contender>,
    /// Trainings of each, with seeds 0, 1, ...
    #[arg(long, value_name = "COUNT", default_value_t = 1, value_parser = clap::value_parser!(u64).range(1..))]
    seeds: u64,
    /// Architecture: tiny, quick, paper_small or paper_large [default: what suits the device]
    #[arg(long, value_name = "NAME")]
    preset: Option<String>,
    /// Training steps [default: what suits the device]
    #[arg(long)]
    steps: Option<usize>,
    /// Images in a step [default: what suits the device]
    #[arg(long)]
    batch: Option<usize>,
    /// Change any key of the config of all, as train.kappa=0; may be given several times
    #[arg(long = "set", value_name = "KEY=VALUE")]
    settings: Vec<String>,
    /// Held-out images to judge on, the first ones
    #[arg(long, default_value_t = 256)]
    images: usize,
    /// Quantiles that a PixelIQN is asked for
    #[arg(long, default_value_t = 20)]
    taus: usize,
    /// Samples of each model, which are compared with as many held-out images
    #[arg(long, default_value_t = 256)]
    samples: usize,
    /// Inception v3 of FID, for FID, Inception score, KID, precision and recall of the samples:
    /// pt_inception-2015-12-05-6726825d.pth, which is downloaded (96 MB) if it is not there
    #[arg(long, value_name = "FILE")]
    weights: Option<PathBuf>,
    /// Folder of the runs and of what comes out
    #[arg(long, value_name = "DIR", default_value = "runs/compare")]
    out: PathBuf,
}

/// A way to predict a value.
#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Contender {
    /// PixelIQN, tau in the gates
    Gates,
    /// PixelIQN, tau in the head
    Head,
    /// Gated PixelCNN
    Categorical,
}

impl Contender {
    fn name(self) -> &'static str {
        match self {
            Self::Gates => "gates",
            Self::Head => "head",
            Self::Categorical => "categorical",
        }
    }

    fn title(self) -> &'static str {
        match self {
            Self::Gates => "PixelIQN, tau in the gates",
            Self::Head => "PixelIQN, tau in the head",
            Self::Categorical => "Gated PixelCNN",
        }
    }

    fn color(self) -> [u8; 3] {
        match self {
            Self::Gates => color::BLUE,
            Self::Head => color::GREEN,
            Self::Categorical => color::ORANGE,
        }
    }

    fn settings(self) -> &'static [&'static str] {
        match self {
            Self::Gates => &["model.head=quantile", "model.tau_injection=gates"],
            Self::Head => &["model.head=quantile", "model.tau_injection=head"],
            Self::Categorical => &["model.head=categorical"],
        }
    }
}

/// What all trainings share.
struct Job<'a> {
    args: &'a Args,
    interrupter: Interrupter,
    device: Device,
    train: Arc<ImageDataset>,
    held_out: Arc<ImageDataset>,
    marginal: MarginalForecaster,
    /// The first held-out images, as many as there are samples.
    real: ImageDataset,
    inception: Option<(InceptionV3, FeatureSet)>,
}

/// A model that was trained and judged.
struct Judged {
    contender: Contender,
    seed: u64,
    /// Seconds of training, by the clock.
    train_seconds: f64,
    conditional: ConditionalScores,
    sliced_wasserstein: Vec<LevelDistance>,
    image_sets: Option<ImageSetScores>,
    history: History,
    samples: Vec<u8>,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    let interrupter = common::start()?;
    let runner = pixel_iqn::runner(&args.device.device)?;
    let kind = args.data.dataset.unwrap_or(DatasetKind::Cifar10);
    let splits = (args.data.open(kind))
        .with_context(|| format!("cannot open the data set `{kind}`: give it with --data"))?;
    let data = common::training::data_config(kind, args.data.folder(), &splits)?;
    for (name, count) in [("--images", args.images), ("--samples", args.samples)] {
        let most = splits.held_out.len();
        ensure!(
            (2..=most).contains(&count),
            "{name} {count}: from 2 to the {most} held-out images"
        );
    }
    ensure!(args.taus >= 2, "--taus {}: at least 2", args.taus);
    for (i, model) in args.models.iter().enumerate() {
        ensure!(
            !args.models[..i].contains(model),
            "--models names {} twice",
            model.name()
        );
    }
    for setting in &args.settings {
        let key = setting.split('=').next().unwrap_or_default().trim();
        ensure!(
            !["train.seed", "model.head", "model.tau_injection"].contains(&key),
            "--set {setting}: that is what compare varies; use --models and --seeds"
        );
    }
    let model = ModelConfig::preset(args.preset.as_deref().unwrap_or(runner.preset))?
        .with_channels(splits.train.shape()[0]);
    let train = TrainConfig::new(
        args.steps.unwrap_or(runner.steps),
        args.batch.unwrap_or(runner.batch),
    )
    // Digits and letters do not survive mirroring.
    .with_flip(kind != DatasetKind::Mnist);
    let mut base = RunConfig::new(data, model, train);
    base.report = ReportConfig::for_steps(base.train.steps)
        .with_held_out_images(64)
        .with_sheet_minutes(0.0);
    for setting in &args.settings {
        base = base.with_setting(setting).context("--set")?;
    }

    ensure!(
        base.model.classes == 0,
        "compare draws samples without classes: leave model.classes at 0"
    );
    ensure!(
        args.weights.is_none() || args.samples >= 10,
        "--samples {}: the Inception score needs at least 10",
        args.samples
    );
    let mut job = Job {
        args,
        interrupter,
        device: runner.device,
        marginal: MarginalForecaster::of(&splits.train),
        real: splits.held_out.clone().take(args.samples)?,
        train: Arc::new(splits.train),
        held_out: Arc::new(splits.held_out),
        inception: None,
    };
    if let Some(path) = &args.weights {
        let network = inception_on(path, &args.device.device)?;
        let wanted = image_set_options(args).of_real();
        match features(
            &network,
            &job.real,
            wanted,
            32,
            "features of held-out images",
        )? {
            Some(features) => job.inception = Some((network, features)),
            None => return interrupted(args),
        }
    }
    let mut judged = Vec::new();
    for seed in 0..args.seeds {
        for contender in &args.models {
            let mut config = base.with_setting(&format!("train.seed={seed}"))?;
            for setting in contender.settings() {
                config = config.with_setting(setting)?;
            }
            config.validate()?;
            let next = match contender {
                Contender::Gates | Contender::Head => {
                    train_and_judge::<PixelIqn>(&job, *contender, config)?
                }
                Contender::Categorical => {
                    train_and_judge::<GatedPixelCnn>(&job, *contender, config)?
                }
            };
            match next {
                Some(next) => judged.push(next),
                None => return interrupted(args),
            }
        }
    }
    let place = |judged: &Judged| {
        args.models
            .iter()
            .position(|model| *model == judged.contender)
    };
    judged.sort_by_key(|judged| (place(judged), judged.seed));
    report(&job, &base, &judged)
}

fn interrupted(args: &Args) -> anyhow::Result<()> {
    println!(
        "interrupted: the same command goes on with what is in {}",
        args.out.display()
    );
    Ok(())
}

/// None where Ctrl-C came first.
fn train_and_judge<M: TrainModel + Forecaster>(
    job: &Job<'_>,
    contender: Contender,
    config: RunConfig,
) -> anyhow::Result<Option<Judged>> {
    let args = job.args;
    let seed = config.train.seed;
    let name = format!("{}-{seed}", contender.name());
    let folder = args.out.join(&name);
    let (train, held_out) = (job.train.clone(), job.held_out.clone());
    let devices = [job.device.clone()];
    let steps = config.train.steps;
    let size = config.data.size;
    let session = if folder.join("config.toml").exists() {
        let (run, before) = RunDir::open(&folder)?;
        ensure!(
            (&before.model, &before.train) == (&config.model, &config.train),
            "{} has a run of another config (its config.toml): choose another --out",
            folder.display()
        );
        let from = ResumeFrom::Last;
        Session::<M>::resume(run, config, train, held_out, &devices, from)?
    } else {
        let run = RunDir::create(&folder)?;
        Session::<M>::start(run, config, train, held_out, &devices)?
    };
    let (display, interrupter) = (Display::Plain, job.interrupter.clone());
    let finished = common::training::train(session, display, interrupter, &name, steps, None)?;
    if finished.end == End::Interrupted {
        return Ok(None);
    }
    let model = finished.trainer.averaged().clone();

    let options = ConditionalOptions {
        images: args.images,
        batch: 32,
        taus: args.taus,
        seed: 0,
    };
    let scores = common::with_pass_progress(&format!("scoring {name}"), |on_pass| {
        let (held_out, marginal) = (&job.held_out, &job.marginal);
        conditional_scores(&model, held_out, marginal, &options, &job.device, on_pass)
    })?;
    let Some(conditional) = scores else {
        return Ok(None);
    };
    let sampler = pixel_iqn::sampler(model, &job.device);
    let options = SampleOptions::new(args.samples, size, seed);
    let task = format!("sampling {name}");
    let sampled = common::with_row_progress(&task, args.samples, size[0], |on_row| {
        sample_levels(&*sampler, &options, on_row)
    });
    if common::interrupted() {
        return Ok(None);
    }
    let samples = sampled?;
    let [channels, height, width] = job.real.shape();
    let shape = [args.samples, channels, height, width];
    let mut npz = NpzWriter::open(&folder.join("samples.npz"), shape, "samples")?;
    npz.append(&samples)?;
    npz.finish()?;
    let set = ImageDataset::new(samples.clone(), job.real.shape())?;
    let mut image_sets = None;
    if let Some((network, real)) = &job.inception {
        let options = image_set_options(args);
        let task = format!("features of {name}");
        let Some(generated) = features(network, &set, options.of_generated(), 32, &task)? else {
            return Ok(None);
        };
        image_sets = Some(image_set_scores(&generated, Some(real), &options)?);
    }
    Ok(Some(Judged {
        contender,
        seed,
        train_seconds: finished.seconds,
        conditional,
        sliced_wasserstein: swd(&set, &job.real)?,
        image_sets,
        history: finished.history,
        samples,
    }))
}

fn image_set_options(args: &Args) -> ImageSetOptions {
    let kid = KidOptions::default();
    ImageSetOptions {
        kid: Some(KidOptions {
            subset_size: kid.subset_size.min(args.samples),
            ..kid
        }),
        ..Default::default()
    }
}

fn swd(a: &ImageDataset, b: &ImageDataset) -> anyhow::Result<Vec<LevelDistance>> {
    Ok(sliced_wasserstein(
        a,
        b,
        SlicedWassersteinOptions::default(),
    )?)
}

/// Writes and prints all that was found.
fn report(job: &Job<'_>, about: &RunConfig, judged: &[Judged]) -> anyhow::Result<()> {
    let out = &job.args.out;
    let write = |name: &str, text: &str| {
        let path = out.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
    };
    // What chance makes: no samples can be better than images of the training set.
    let first = &job.train.images()[..job.real.images().len()];
    let chance = swd(
        &ImageDataset::new(first.to_vec(), job.real.shape())?,
        &job.real,
    )?;
    let table = table(job.args, about, judged, &chance);
    print!("{table}");
    write("comparison.md", &table)?;
    let models = judged.iter().map(|judged| {
        json!({
            "model": judged.contender.name(),
            "seed": judged.seed,
            "train_seconds": judged.train_seconds,
            "conditional": judged.conditional,
            "sliced_wasserstein": judged.sliced_wasserstein,
            "image_sets": judged.image_sets,
        })
    });
    let json = json!({
        "data": about.data.dataset,
        "description": about.data.description,
        "steps": about.train.steps,
        "samples": job.args.samples,
        "sliced_wasserstein_of_training_images": chance,
        "models": models.collect::<Vec<_>>(),
    });
    write("comparison.json", &format!("{json:#}\n"))?;
    draw_curves(&out.join("curves.png"), judged)?;
    draw_samples(&job.real, judged, &out.join("samples.png"))?;
    println!(
        "\nwrote comparison.md, comparison.json, curves.png and samples.png to {}",
        out.display()
    );
    Ok(())
}

/// The scores, a row each, with a column for each training.
fn table(args: &Args, about: &RunConfig, all: &[Judged], chance: &[LevelDistance]) -> String {
    let with_interval = |e: Estimate| format!("{:.5} [{:.5}, {:.5}]", e.mean, e.low, e.high);
    let mut rows: Vec<(String, Vec<String>)> = Vec::new();
    let mut row = |name: &str, cell: &dyn Fn(&Judged) -> String| {
        rows.push((name.to_owned(), all.iter().map(cell).collect()));
    };
    for (name, part) in ESTIMATES {
        row(name, &|judged| with_interval(part(&judged.conditional)));
    }
    row("calibration error", &|judged| {
        format!("{:.5}", judged.conditional.calibration_error)
    });
    row("skill", &|judged| {
        format!("{:.5}", judged.conditional.skill)
    });
    if let Some(first) = args.models.first() {
        let name = format!("CRPS less that of {}", first.name());
        row(&name, &|judged| {
            let is_base = |other: &&Judged| other.contender == *first && other.seed == judged.seed;
            match all.iter().find(is_base) {
                Some(base) if judged.contender != *first => {
                    with_interval(crps_difference(&judged.conditional, &base.conditional, 0))
                }
                _ => "-".to_owned(),
            }
        });
    }
    for (level, by_chance) in chance.iter().enumerate() {
        let LevelDistance { height, distance } = by_chance;
        let name = format!("SWD at {height} pixels (training images: {distance:.2})");
        row(&name, &|judged| {
            format!("{:.2}", judged.sliced_wasserstein[level].distance)
        });
    }
    type Of = fn(&ImageSetScores) -> Option<f64>;
    let image_sets: [(&str, Of); 5] = [
        ("FID", |s| s.frechet_inception_distance),
        ("Inception score", |s| s.inception_score_mean),
        ("KID", |s| s.kernel_inception_distance_mean),
        ("precision", |s| s.precision),
        ("recall", |s| s.recall),
    ];
    if args.weights.is_some() {
        for (name, of) in image_sets {
            row(name, &|judged| {
                let score = judged.image_sets.as_ref().and_then(of);
                score.map_or("-".to_owned(), |score| format!("{score:.4}"))
            });
        }
    }
    row("seconds of training", &|judged| {
        format!("{:.0}", judged.train_seconds)
    });

    let names = all.iter();
    let names: Vec<String> = names
        .map(|judged| format!("{}, seed {}", judged.contender.title(), judged.seed))
        .collect();
    let mut lines = vec![
        format!(
            "{}. {} held-out images, {} tau, {} samples; brackets are 95% bootstrap intervals over \
             images.\n",
            about.data.description, args.images, args.taus, args.samples
        ),
        format!(
            "{} layers of {} features, {} steps of {} images.\n",
            about.model.layers, about.model.features, about.train.steps, about.train.batch
        ),
        format!("| | {} |", names.join(" | ")),
        format!("|---|{}", "---|".repeat(names.len())),
    ];
    let rows = rows.iter();
    lines.extend(rows.map(|(name, cells)| format!("| {name} | {} |", cells.join(" | "))));
    lines.push(String::new());
    lines.join("\n")
}

/// The CRPS on held-out images over the steps, a line for each training.
fn draw_curves(path: &Path, judged: &[Judged]) -> anyhow::Result<()> {
    let mut series: Vec<Series<'_>> = Vec::new();
    for judged in judged {
        let title = judged.contender.title();
        let measured = judged.history.held_out.iter();
        series.push(Series {
            // One entry in the legend for all seeds.
            label: match series.iter().any(|other| other.label == title) {
                false => title,
                true => "",
            },
            color: judged.contender.color(),
            mark: Mark::Line(2),
            points: measured
                .map(|(step, scores)| (*step as f64 + 1.0, 2.0 * scores.mean_pinball))
                .collect(),
        });
    }
    let y_range = plot::range_without_start(&series);
    let chart = Chart {
        title: "Held-out images while training",
        x_label: "step",
        y_label: "CRPS",
        series,
        y_range,
    };
    Ok(chart.save(path)?)
}

/// Held-out images, then samples of the first training of each, in columns with a gap between.
fn draw_samples(real: &ImageDataset, judged: &[Judged], path: &Path) -> anyhow::Result<()> {
    const COLUMNS: usize = 5;
    const ROWS: usize = 8;
    let rows = ROWS.min(real.len().div_ceil(COLUMNS));
    let first = judged.iter().filter(|judged| judged.seed == 0);
    let [channels, height, width] = real.shape();
    let length = channels * height * width;
    let gap = vec![255; length];
    let sets: Vec<&[u8]> = core::iter::once(real.images())
        .chain(first.clone().map(|judged| &judged.samples[..]))
        .collect();
    let mut sheet = Vec::new();
    for row in 0..rows {
        for (i, set) in sets.iter().enumerate() {
            if i > 0 {
                sheet.extend(&gap);
            }
            for column in 0..COLUMNS {
                let cell = set.chunks_exact(length).nth(row * COLUMNS + column);
                sheet.extend(cell.unwrap_or(&gap));
            }
        }
    }
    let columns = (COLUMNS + 1) * sets.len() - 1;
    let shape = [rows * columns, channels, height, width];
    ImageGrid::new(&sheet, shape)?
        .with_columns(columns)
        .with_scale(3)
        .save(path)?;
    let names: Vec<&str> = first.map(|judged| judged.contender.title()).collect();
    println!(
        "\nsamples.png, from the left: held-out images, {}",
        names.join("; ")
    );
    Ok(())
}

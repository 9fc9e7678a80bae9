//! Judges trained models on held-out images, and sets of images by the scores of the field.
//!
//! ```text
//! cargo run --release --example evaluate -- --run runs/first --run runs/second
//! cargo run --release --example evaluate -- --generated samples.npz --real images/ --weights pt_inception-2015-12-05-6726825d.pth
//! ```

mod common;

use std::fs;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

use anyhow::{Context, bail, ensure};
use clap::Parser;
use common::judging::{ESTIMATES, crps_difference, features, inception_on};
use pixel_iqn::core::PixelModel;
use pixel_iqn::data::{ImageDataset, ImageGrid, OpenOptions, folder};
use pixel_iqn::eval::{
    ConditionalOptions, ConditionalScores, Estimate, FeatureSet, ForecastOptions, Forecaster,
    ImageSetOptions, InceptionScoreOptions, InceptionV3, KidOptions, MarginalForecaster,
    Preprocessing, SlicedWassersteinOptions, Wanted, conditional_scores, image_set_scores,
    sliced_wasserstein, value_maps,
};
use pixel_iqn::train::{DataConfig, Weights};
use pixel_iqn::{DatasetKind, GatedPixelCnn, Head, PixelIqn, RunConfig, RunDir};
use serde_json::json;

/// Judge models on held-out images, or sets of images against each other
///
/// With --run: CRPS, pinball loss, bits per dimension, coverage and calibration of the predicted
/// distributions, with 95% bootstrap intervals over images; several runs are compared with the
/// first on the same images. With --generated and --real: the sliced Wasserstein distance, and
/// with --weights FID, Inception score, KID, precision and recall, under the names and by the
/// conventions of torch-fidelity, but for precision and recall, which are over the Inception
/// features too (torch-fidelity's default is VGG-16).
///
/// Example: evaluate --run runs/first --run runs/second --images 1000 --out scores.json
/// Example: evaluate --generated samples.npz --real cifar-10/ --weights pt_inception-2015-12-05-6726825d.pth
#[derive(Parser, Debug)]
#[command(verbatim_doc_comment)]
struct Args {
    /// Run folder of a trained model; may be given several times
    #[arg(long = "run", value_name = "DIR", conflicts_with_all = ["generated", "real", "weights"],
          required_unless_present = "generated")]
    runs: Vec<PathBuf>,
    /// Folder of the data set, where it is not where the runs found it
    #[arg(long, value_name = "DIR", requires = "runs")]
    data: Option<PathBuf>,
    /// Held-out images to judge on, the first ones
    #[arg(long, default_value_t = 256)]
    images: usize,
    /// Quantiles that a PixelIQN is asked for
    #[arg(long, default_value_t = 40)]
    taus: usize,
    /// Picture of held-out images with the widths of the first run's intervals and their PIT
    #[arg(long, value_name = "FILE.png", requires = "runs")]
    maps: Option<PathBuf>,
    /// Generated images: a folder, an npz file with uint8 images [N, H, W, C] as arr_0, or a data
    /// set, as cifar10:DIR for its training images and cifar10:DIR:held-out for the others
    #[arg(long, value_name = "PATH")]
    generated: Option<PathBuf>,
    /// Real images, in the same forms; or an npz file of statistics with mu and sigma
    #[arg(long, value_name = "PATH", requires = "generated")]
    real: Option<PathBuf>,
    /// Height and width to which the images of folders are cut and scaled [default: they must be of
    /// one size, and stay as they are]
    #[arg(long, value_name = "PIXELS")]
    size: Option<usize>,
    /// Images of each set for the sliced Wasserstein distance, drawn at random; 0 leaves it out
    #[arg(long, value_name = "COUNT", default_value_t = 1000)]
    swd_images: usize,
    /// Inception v3 of FID: pt_inception-2015-12-05-6726825d.pth, which is downloaded (96 MB) if it
    /// is not there, or safetensors
    #[arg(long, value_name = "FILE", requires = "generated")]
    weights: Option<PathBuf>,
    /// Resize and scale images as pytorch-fid does, not as torch-fidelity
    #[arg(long, requires = "weights")]
    pytorch_fid: bool,
    /// Images in a subset of KID
    #[arg(long, default_value_t = 1000)]
    kid_subset_size: usize,
    /// Write the statistics of the generated images, as pytorch-fid does
    #[arg(long, value_name = "FILE.npz", requires = "weights")]
    save_statistics: Option<PathBuf>,
    /// Images in a batch
    #[arg(long, default_value_t = 32)]
    batch: usize,
    /// Seed of everything random but what torch-fidelity fixes
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Write the scores as JSON
    #[arg(long, value_name = "FILE.json")]
    out: Option<PathBuf>,
    #[command(flatten)]
    device: common::DeviceArgs,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    common::start()?;
    for path in [&args.out, &args.maps, &args.save_statistics]
        .into_iter()
        .flatten()
    {
        common::check_folder_of(path)?;
    }
    let scores = match &args.generated {
        Some(generated) => judge_images(args, generated)?,
        None => judge_models(args)?,
    };
    let Some(scores) = scores else {
        eprintln!("interrupted");
        return Ok(());
    };
    if let Some(out) = &args.out {
        fs::write(out, format!("{scores:#}\n"))
            .with_context(|| format!("cannot write {}", out.display()))?;
        println!("wrote {}", out.display());
    }
    Ok(())
}

/// None where Ctrl-C came first.
fn judge_models(args: &Args) -> anyhow::Result<Option<serde_json::Value>> {
    let mut judged: Vec<(String, ConditionalScores)> = Vec::new();
    // Opened for the first run; the others must have been trained on the same images.
    let mut data = None;
    for path in &args.runs {
        let (run, config) = RunDir::open(path)?;
        let (digest, images) = match &data {
            Some(data) => data,
            None => data.insert((config.data.digest.clone(), open_images(args, &config)?)),
        };
        ensure!(
            *digest == config.data.digest,
            "{} was trained on other images than the first run: they cannot be compared",
            path.display()
        );
        let first = judged.is_empty();
        let scores = match config.model.head {
            Head::Quantile => judge_model::<PixelIqn>(args, &run, &config, images, first)?,
            Head::Categorical => judge_model::<GatedPixelCnn>(args, &run, &config, images, first)?,
        };
        let Some(scores) = scores else {
            return Ok(None);
        };
        judged.push((path.display().to_string(), scores));
    }
    print_table(&judged, args.seed);
    let mut object = serde_json::Map::new();
    for (name, scores) in judged {
        object.insert(name, serde_json::to_value(scores)?);
    }
    Ok(Some(object.into()))
}

/// The held-out images of a run, and the distribution of its training images.
fn open_images(
    args: &Args,
    config: &RunConfig,
) -> anyhow::Result<(ImageDataset, MarginalForecaster)> {
    let kind: DatasetKind = config.data.dataset.parse()?;
    let of_run = common::DataArgs::of_run(&config.data, kind);
    let data = common::DataArgs {
        data: args.data.clone().or(of_run.data),
        ..of_run
    };
    let splits = data.open(kind).with_context(|| {
        format!("cannot open the data set `{kind}` of the run: give its folder with --data")
    })?;
    let opened = DataConfig::of(kind.name(), &splits.train, &splits.held_out);
    ensure!(
        opened.digest == config.data.digest,
        "these are not the images of the run: {} ({})",
        config.data.description,
        config.data.digest
    );
    let marginal = MarginalForecaster::of(&splits.train);
    Ok((splits.held_out, marginal))
}

fn judge_model<M: PixelModel + Forecaster>(
    args: &Args,
    run: &RunDir,
    config: &RunConfig,
    (held_out, marginal): &(ImageDataset, MarginalForecaster),
    draw: bool,
) -> anyhow::Result<Option<ConditionalScores>> {
    let device = pixel_iqn::device(&args.device.device)?;
    let model: M = run.load_weights(Weights::Averaged, config, &device)?;
    let options = ConditionalOptions {
        images: args.images.min(held_out.len()),
        batch: args.batch,
        taus: args.taus,
        seed: args.seed,
    };
    let scores = common::with_pass_progress(&run.path().display().to_string(), |on_pass| {
        conditional_scores(&model, held_out, marginal, &options, &device, on_pass)
    })?;
    if let (Some(path), true, true) = (&args.maps, draw, scores.is_some()) {
        draw_maps(args, &model, held_out, &device, path)?;
    }
    Ok(scores)
}

/// Rows of images, of the widths of their 90% intervals, and of their PIT.
fn draw_maps(
    args: &Args,
    model: &impl Forecaster,
    held_out: &ImageDataset,
    device: &burn::tensor::Device,
    path: &Path,
) -> anyhow::Result<()> {
    const COLUMNS: usize = 8;
    let indices: Vec<usize> = (0..COLUMNS.min(held_out.len())).collect();
    let forecast = ForecastOptions {
        taus: args.taus,
        seed: args.seed,
    };
    let maps = value_maps(model, held_out, &indices, &forecast, device)?;
    let widest = maps
        .iter()
        .flat_map(|map| &map.width_90)
        .fold(0.0f32, |a, b| a.max(*b));
    let level = |x: f32| (255.0 * x).round() as u8;
    let mut levels: Vec<u8> = Vec::new();
    for &index in &indices {
        levels.extend(held_out.image(index));
    }
    for map in &maps {
        levels.extend(map.width_90.iter().map(|width| level(width / widest)));
    }
    for map in &maps {
        levels.extend(map.pit.iter().map(|pit| level(*pit)));
    }
    let [channels, height, width] = held_out.shape();
    let shape = [3 * indices.len(), channels, height, width];
    ImageGrid::new(&levels, shape)?
        .with_columns(indices.len())
        .with_scale(4)
        .save(path)?;
    println!(
        "wrote {}: images, widths of 90% intervals (white is {widest:.2} of the range), PIT (black \
         is 0, white is 1), by channel",
        path.display()
    );
    Ok(())
}

fn print_table(judged: &[(String, ConditionalScores)], seed: u64) {
    for (name, scores) in judged {
        println!("{name}: {} images, {} tau", scores.images, scores.taus);
        for (row, part) in ESTIMATES {
            let Estimate { mean, low, high } = part(scores);
            println!("  {row:<18} {mean:.5}  [{low:.5}, {high:.5}]");
        }
        println!("  {:<18} {:.5}", "skill", scores.skill);
        println!(
            "  {:<18} {:.5}",
            "calibration error", scores.calibration_error
        );
    }
    let Some(((first, base), others)) = judged.split_first() else {
        return;
    };
    for (name, scores) in others {
        let d = crps_difference(scores, base, seed);
        println!(
            "CRPS of {name} less that of {first}: {:+.5} [{:+.5}, {:+.5}]",
            d.mean, d.low, d.high
        );
    }
}

/// None where Ctrl-C came first.
fn judge_images(args: &Args, generated: &Path) -> anyhow::Result<Option<serde_json::Value>> {
    let mut scores = serde_json::Map::new();
    ensure!(
        args.real.is_some() || args.weights.is_some(),
        "there is nothing to compute of --generated alone: give --real, or --weights, or both"
    );
    let statistics = match &args.real {
        Some(path) => statistics_of(path)?,
        None => None,
    };
    ensure!(
        statistics.is_none() || args.weights.is_some(),
        "--real has statistics of features: give the --weights of the network too"
    );
    let a = load(generated, args.size)?;
    let b = match (&args.real, &statistics) {
        (Some(path), None) => Some(load(path, args.size)?),
        _ => None,
    };
    let network = match &args.weights {
        Some(path) => Some(network(args, path)?),
        None => None,
    };
    if let (Some(b), 1..) = (&b, args.swd_images) {
        let count = a.len().min(b.len()).min(args.swd_images);
        let draw = |set: &ImageDataset| set.clone().draw(count, args.seed);
        let (a, b) = (draw(&a)?, draw(b)?);
        eprintln!("sliced Wasserstein distance of {count} images of each set");
        let options = SlicedWassersteinOptions {
            seed: args.seed,
            ..Default::default()
        };
        if a.shape() == b.shape() {
            for level in sliced_wasserstein(&a, &b, options)? {
                let name = format!("sliced_wasserstein_{}", level.height);
                scores.insert(name, json!(level.distance));
            }
        } else {
            ensure!(
                args.weights.is_some(),
                "the images are of {:?} and {:?} (channels, height, width), and without --weights \
                 only images of one size can be compared: --size scales those of folders",
                a.shape(),
                b.shape()
            );
            eprintln!("the images differ in size: no sliced Wasserstein distance");
        }
    }
    if let Some(network) = &network {
        // Told now, not after the features were extracted.
        let fewest = b.as_ref().map_or(a.len(), |b| b.len().min(a.len()));
        let kid_of = (fewest >= args.kid_subset_size).then_some(args.kid_subset_size);
        if kid_of.is_none() {
            eprintln!(
                "WARNING: no KID: its subsets of {} are larger than a set of {fewest} images; \
                 --kid-subset-size makes them smaller",
                args.kid_subset_size
            );
        }
        let options = ImageSetOptions {
            isc: Some(InceptionScoreOptions::default()),
            kid: kid_of.map(|subset_size| KidOptions {
                subset_size,
                ..Default::default()
            }),
            ..Default::default()
        };
        // Features are kept to be held against others.
        let wanted = Wanted {
            pool: b.is_some(),
            ..options.of_generated()
        };
        let Some(first) = features(network, &a, wanted, args.batch, "generated")? else {
            return Ok(None);
        };
        if let Some(path) = &args.save_statistics {
            first.statistics.save(path)?;
            println!("wrote {}", path.display());
        }
        let second = match (b, statistics) {
            (Some(b), _) => match features(network, &b, options.of_real(), args.batch, "real")? {
                Some(second) => Some(second),
                None => return Ok(None),
            },
            (None, Some(statistics)) => Some(FeatureSet {
                statistics,
                pool: None,
                logits: None,
            }),
            (None, None) => None,
        };
        let found = image_set_scores(&first, second.as_ref(), &options)?;
        if let serde_json::Value::Object(found) = serde_json::to_value(found)? {
            scores.extend(found);
        }
    }
    for (name, score) in &scores {
        println!("{name}: {score}");
    }
    Ok(Some(scores.into()))
}

fn network(args: &Args, path: &Path) -> anyhow::Result<InceptionV3> {
    let network = inception_on(path, &args.device.device)?;
    Ok(network.with_preprocessing(match args.pytorch_fid {
        true => Preprocessing::PytorchFid,
        false => Preprocessing::TorchFidelity,
    }))
}

/// Those of an npz file that has them.
fn statistics_of(path: &Path) -> anyhow::Result<Option<pixel_iqn::eval::GaussianStatistics>> {
    if path.extension().is_none_or(|extension| extension != "npz") {
        return Ok(None);
    }
    let [mu] = pixel_iqn::data::read_npz(path, ["mu"])?;
    Ok(match mu {
        Some(_) => Some(pixel_iqn::eval::GaussianStatistics::load(path)?),
        None => None,
    })
}

/// The images of an npz file, of a data set, or of a folder.
fn load(path: &Path, size: Option<usize>) -> anyhow::Result<ImageDataset> {
    if path.extension().is_some_and(|extension| extension == "npz") {
        return Ok(ImageDataset::from_npz(path)?);
    }
    let text = path.to_string_lossy();
    if let Some((kind, folder)) = text.split_once(':')
        && let Ok(kind) = kind.parse::<DatasetKind>()
    {
        let (folder, held_out) = match folder.strip_suffix(":held-out") {
            Some(folder) => (folder, true),
            None => (folder, false),
        };
        let options = OpenOptions::new().with_size(size);
        let splits = pixel_iqn::data::open(kind, Some(Path::new(folder)), &options)?;
        return Ok(match held_out {
            true => splits.held_out,
            false => splits.train,
        });
    }
    let (size, fit) = match (size, folder::first_size(path)?) {
        (Some(size), _) => (size, folder::Fit::CropAndScale),
        (None, [height, width]) if height == width => (height, folder::Fit::Exact),
        (None, [height, width]) => bail!(
            "the images in {} are of {height} x {width}: --size cuts and scales them to a square",
            path.display()
        ),
    };
    folder::load(path, size, 3, fit).with_context(|| match fit {
        folder::Fit::Exact => "images of several sizes: --size brings them to one".to_owned(),
        folder::Fit::CropAndScale => path.display().to_string(),
    })
}

use std::fs;
use std::path::{Path, PathBuf};

use anyhow::{Context, bail};
use pixel_iqn::DatasetKind;
use pixel_iqn::data::{ImageDataset, NpzWriter, OpenOptions, read_npz, say, tell};
use pixel_iqn::terminal::number;
use pixel_iqn_eval::{
    Features, GaussianStatistics, InceptionScoreOptions, InceptionV3, InceptionWeights, KidOptions,
    Preprocessing, frechet_distance, inception_score, kernel_inception_distance, precision_recall,
};
use serde_json::Value;

use crate::python;

/// Largest difference of a feature, relative to the root mean square of the features.
const MAX_FEATURES: f64 = 1e-4;
/// Largest relative difference of a score of the same features.
const MAX_SCORES: f64 = 1e-6;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A Python with torch-fidelity 0.4.0 and pytorch-fid 0.3.0
    #[arg(long, value_name = "PATH")]
    python: PathBuf,
    /// Folder of CIFAR-10: its first training images are compared with its first held-out images
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Images of each, at least 16
    #[arg(long, default_value_t = 256, value_parser = number::whole(16, usize::MAX))]
    images: usize,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let folder = scratch_folder("parity-eval")?;
    let result = compare(args, &folder);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    result
}

/// An empty folder that no other process uses.
pub fn scratch_folder(name: &str) -> anyhow::Result<PathBuf> {
    let folder = std::env::temp_dir().join(format!("pixel-iqn-{name}-{}", std::process::id()));
    fs::create_dir_all(&folder).with_context(|| format!("cannot create {}", folder.display()))?;
    Ok(folder)
}

/// The first training images and the first held-out images of CIFAR-10, which are also written to
/// a.npz and b.npz.
pub fn images(data: &Path, count: usize, folder: &Path) -> anyhow::Result<[ImageDataset; 2]> {
    let splits = pixel_iqn::data::open(DatasetKind::Cifar10, Some(data), &OpenOptions::new())
        .context("CIFAR-10 is needed: give its folder with --data")?;
    let sets = [splits.train.take(count)?, splits.held_out.take(count)?];
    for (set, name) in sets.iter().zip(["a.npz", "b.npz"]) {
        let [channels, height, width] = set.shape();
        let shape = [count, channels, height, width];
        let mut npz = NpzWriter::open(&folder.join(name), shape, "images")?;
        npz.append(set.images())?;
        npz.finish()?;
    }
    Ok(sets)
}

/// Runs the other side and returns what it prints.
pub fn torch_fidelity(
    python: &Path,
    task: &str,
    folder: &Path,
    batch: usize,
) -> anyhow::Result<Value> {
    let script = include_str!("eval_reference.py");
    python::run(python, script, "torch-fidelity", |command| {
        command
            .arg(task)
            .arg(folder)
            .args([rayon::current_num_threads(), batch].map(|n| n.to_string()));
    })
}

fn compare(args: &Args, folder: &Path) -> anyhow::Result<()> {
    let sets = images(&args.data, args.images, folder)?;
    tell!(
        "torch-fidelity and pytorch-fid on {} images",
        2 * args.images
    );
    let theirs = torch_fidelity(&args.python, "parity", folder, 32)?;
    let names = [
        "pool_a",
        "pool_b",
        "logits_a",
        "logits_b",
        "pytorch_fid_a",
        "pytorch_fid_b",
    ];
    let [pool_a, pool_b, logits_a, logits_b, fid_a, fid_b] =
        read_npz(&folder.join("theirs.npz"), names)?.map(|array| {
            let array = array.context("an array is missing in theirs.npz")?;
            let single = array.values.iter().map(|x| *x as f32).collect();
            anyhow::Ok(Features::new(single, array.shape[1])?)
        });
    let (pool, logits) = ([pool_a?, pool_b?], [logits_a?, logits_b?]);
    let pytorch_fid = [fid_a?, fid_b?];

    tell!("pixel-iqn on the same images");
    let weights = InceptionWeights::open(folder.join("weights.pth"))?;
    let network = InceptionV3::on_cpu(&weights);
    let mut report = Report { misses: 0 };
    for (i, set) in sets.iter().enumerate() {
        let name = ["training", "held-out"][i];
        let ours = network.features(set.images(), set.shape())?;
        report.features(&format!("pool of {name} images"), &ours.pool, &pool[i]);
        report.features(
            &format!("logits of {name} images"),
            &ours.logits,
            &logits[i],
        );
        let network = network
            .clone()
            .with_preprocessing(Preprocessing::PytorchFid);
        let ours = network.features(set.images(), set.shape())?;
        let task = format!("pytorch-fid's pool of {name} images");
        report.features(&task, &ours.pool, &pytorch_fid[i]);
    }

    let their = |name: &str| {
        let score = theirs[name].as_f64();
        score.with_context(|| format!("torch-fidelity gave no {name}"))
    };
    let [a, b] = &pool;
    let isc = inception_score(&logits[0], InceptionScoreOptions::default())?;
    report.score(
        "inception_score_mean",
        isc.mean,
        their("inception_score_mean")?,
    );
    report.score(
        "inception_score_std",
        isc.std,
        their("inception_score_std")?,
    );
    let options = KidOptions::new().with_subset_size(args.images / 2);
    let kid = kernel_inception_distance(a, b, options)?;
    for (name, ours) in [
        ("kernel_inception_distance_mean", kid.mean),
        ("kernel_inception_distance_std", kid.std),
    ] {
        report.score(name, ours, their(name)?);
    }
    let found = precision_recall(a, b, 3)?;
    for (name, ours) in [
        ("precision", found.precision),
        ("recall", found.recall),
        ("f_score", found.f_score),
    ] {
        report.score(name, ours, their(name)?);
    }
    let fid = distance(a, b)?;
    report.score(
        "FID, theirs by the nuclear norm",
        fid,
        their("fid_by_nuclear_norm")?,
    );
    let few = their("few")? as usize;
    let fid_of_few = distance(&first(a, few)?, &first(b, few)?)?;
    for (name, key) in [
        ("torch-fidelity", "fid_of_few_features"),
        ("pytorch-fid", "pytorch_fid_of_few_features"),
    ] {
        report.score(
            &format!("FID of the first {few} features, {name}"),
            fid_of_few,
            their(key)?,
        );
    }
    say!(
        "     FID of all features: {fid:.6} here, {:.6} by torch-fidelity, whose root of a singular \
         product loses digits where there are fewer images than features",
        their("frechet_inception_distance")?
    );
    if report.misses > 0 {
        bail!(
            "{} missed; {MAX_FEATURES:.0e} is allowed for features, {MAX_SCORES:.0e} for scores",
            report.misses
        );
    }
    Ok(())
}

fn distance(a: &Features, b: &Features) -> anyhow::Result<f64> {
    let (a, b) = (GaussianStatistics::of(a)?, GaussianStatistics::of(b)?);
    Ok(frechet_distance(&a, &b)?)
}

/// The first features of each image.
fn first(features: &Features, count: usize) -> anyhow::Result<Features> {
    let rows = (0..features.len()).flat_map(|i| &features.row(i)[..count]);
    Ok(Features::new(rows.copied().collect(), count)?)
}

struct Report {
    misses: usize,
}

impl Report {
    fn features(&mut self, name: &str, ours: &Features, theirs: &Features) {
        let (ours, theirs) = (ours.data(), theirs.data());
        let square = |x: &f32| f64::from(*x).powi(2);
        let scale = (theirs.iter().map(square).sum::<f64>() / theirs.len() as f64).sqrt();
        let differences = ours.iter().zip(theirs);
        let largest = differences
            .map(|(a, b)| f64::from((a - b).abs()))
            .fold(0.0, f64::max);
        let same = ours.len() == theirs.len();
        let difference = if same { largest / scale } else { f64::INFINITY };
        self.line(name, difference, MAX_FEATURES, "");
    }

    fn score(&mut self, name: &str, ours: f64, theirs: f64) {
        let difference = (ours - theirs).abs() / theirs.abs().max(f64::MIN_POSITIVE);
        let note = format!(" ({ours:.9}, theirs {theirs:.9})");
        self.line(name, difference, MAX_SCORES, &note);
    }

    fn line(&mut self, name: &str, difference: f64, most: f64, note: &str) {
        // Not a number is a miss.
        let ok = difference <= most;
        self.misses += usize::from(!ok);
        let verdict = if ok { "ok  " } else { "MISS" };
        say!("{verdict} {name}: {difference:.1e} relative{note}");
    }
}

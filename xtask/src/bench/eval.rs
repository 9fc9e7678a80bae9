use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use anyhow::{Context, ensure};
use pixel_iqn::core::NoProgress;
use pixel_iqn::data::{ImageDataset, say};
use pixel_iqn::terminal::number;
use pixel_iqn_eval::{InceptionV3, InceptionWeights, KeptFeatures, extract};
use serde_json::{Value, json};

use super::{output_of_this_program, peak_bytes};
use crate::parity_eval::{images, scratch_folder, torch_fidelity};

#[derive(clap::Args, Debug)]
pub struct Args {
    /// A Python with torch-fidelity 0.4.0, which is timed in turn
    #[arg(long, value_name = "PATH", required_unless_present = "alone")]
    python: Option<PathBuf>,
    /// Folder of CIFAR-10
    #[arg(long, value_name = "DIR", default_value = "data")]
    data: PathBuf,
    /// Images to extract the features of
    #[arg(long, default_value_t = 256, value_parser = number::count)]
    images: usize,
    /// Images in a batch
    #[arg(long, default_value_t = 32, value_parser = number::count)]
    batch: usize,
    /// Times that both are measured, in turn
    #[arg(long, default_value_t = 2, value_parser = number::count)]
    repeats: usize,
    /// Measure in this process, with what is in the folder, and print it as JSON
    #[arg(long, hide = true, value_name = "DIR")]
    alone: Option<PathBuf>,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if let Some(folder) = &args.alone {
        say!("{}", measure(args, folder)?);
        return Ok(());
    }
    ensure!(
        args.images > 0 && args.batch > 0 && args.repeats > 0,
        "counts start at 1"
    );
    let folder = scratch_folder("bench-eval")?;
    let result = compare(args, &folder);
    fs::remove_dir_all(&folder).with_context(|| format!("cannot remove {}", folder.display()))?;
    result
}

fn compare(args: &Args, folder: &Path) -> anyhow::Result<()> {
    images(&args.data, args.images, folder)?;
    let python = args.python.as_deref().context("give --python")?;
    for _ in 0..args.repeats {
        let theirs = torch_fidelity(python, "bench", folder, args.batch)?;
        let flags = [
            "bench".into(),
            "eval".into(),
            format!("--alone={}", folder.display()),
            format!("--batch={}", args.batch),
        ];
        let ours: Value = serde_json::from_str(&output_of_this_program(&flags)?)?;
        let rate = |value: &Value| {
            let rate = value["images_per_second"].as_f64();
            rate.context("the measurement has no rate")
        };
        let memory = |value: &Value| match value["peak_bytes"].as_u64() {
            Some(bytes) => format!("{} MiB", bytes >> 20),
            None => "unknown".into(),
        };
        say!(
            "{} images: pixel-iqn {:.2} images/s, peak memory {}; torch-fidelity {:.2} images/s, \
             {}; pixel-iqn takes {:.2} x its time",
            args.images,
            rate(&ours)?,
            memory(&ours),
            rate(&theirs)?,
            memory(&theirs),
            rate(&theirs)? / rate(&ours)?
        );
    }
    Ok(())
}

fn measure(args: &Args, folder: &Path) -> anyhow::Result<Value> {
    let network = InceptionV3::on_cpu(&InceptionWeights::open(folder.join("weights.pth"))?);
    let set = ImageDataset::from_archive(folder.join("a.npz"))?;
    // Fills the caches, as the first batch of the other side does.
    let first = set.clone().take(args.batch.min(set.len()))?;
    network.features(first.images(), first.shape())?;
    let start = Instant::now();
    let keep = KeptFeatures::default();
    extract(&network, &set, keep, args.batch, &NoProgress)?;
    Ok(json!({
        "images_per_second": set.len() as f64 / start.elapsed().as_secs_f64(),
        "peak_bytes": peak_bytes(),
    }))
}

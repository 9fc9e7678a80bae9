//! Completes images whose lower half is missing, in the layout of the paper: the input at the
//! left, completions, the original at the right.
//!
//! ```text
//! cargo run --release --example inpaint -- --run runs/cifar10-1 --data data
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::{Context, ensure};
use clap::Parser;
use pixel_iqn::data::folder::{self, Fit};
use pixel_iqn::data::{ImageDataset, ImageGrid};
use pixel_iqn::train::Inpainting;
use pixel_iqn::{RunConfig, RunDir};

/// Complete images whose lower half is missing
///
/// The images are held-out ones of the data set of the run, or those of a folder.
///
/// Example: inpaint --run runs/cifar10-1 --data data --count 6 --out inpainting.png
#[derive(Parser, Debug)]
struct Args {
    #[command(flatten)]
    data: common::DataArgs,
    #[command(flatten)]
    device: common::DeviceArgs,
    /// Run folder of the training
    #[arg(long, value_name = "DIR")]
    run: PathBuf,
    /// Folder of image files to complete, cut and scaled to the size of the model
    #[arg(long, value_name = "DIR", conflicts_with_all = ["data", "dataset"])]
    images: Option<PathBuf>,
    /// Class of each image of --images, for a class-conditional model: numbers or names separated by
    /// commas, or one for all [default: the names of the subfolders]
    #[arg(long, value_delimiter = ',', requires = "images")]
    labels: Vec<String>,
    /// Index of the first image
    #[arg(long, default_value_t = 0)]
    first: usize,
    /// Images to complete
    #[arg(long, default_value_t = 6)]
    count: usize,
    /// Completions of each
    #[arg(long, default_value_t = 4)]
    completions: usize,
    /// Rows of pixels that are given, from the top [default: half]
    #[arg(long)]
    known_rows: Option<usize>,
    /// Seed of the completions
    #[arg(long, default_value_t = 0)]
    seed: u64,
    /// Picture to write
    #[arg(long, value_name = "FILE.png", default_value = "inpainting.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    common::exit(run(&Args::parse()))
}

fn run(args: &Args) -> anyhow::Result<()> {
    common::start()?;
    let device = pixel_iqn::device(&args.device.device)?;
    let (run, config) = RunDir::open(&args.run)?;
    let (channels, [height, width]) = (config.model.channels, config.data.size);
    let images = match &args.images {
        Some(folder) => {
            let images = folder::load(folder, height, channels, Fit::CropAndScale)?;
            label(images, &args.labels, &config)?
        }
        None => {
            let kind = match args.data.dataset {
                Some(kind) => kind,
                None => config.data.dataset.parse()?,
            };
            let of_run = common::DataArgs::of_run(&config.data, kind);
            let data = common::DataArgs {
                data: args.data.data.clone().or(of_run.data),
                size: args.data.size.or(of_run.size),
                ..of_run
            };
            let splits = data.open(kind).with_context(|| {
                format!(
                    "the run was trained on `{kind}`, which --data must lead to (now {})",
                    data.folder().display()
                )
            });
            splits?.held_out
        }
    };
    let (shape, trained) = (images.shape(), [channels, height, width]);
    ensure!(
        shape == trained,
        "the images are {shape:?} (channels, height, width), but the model was trained on \
         {trained:?}: choose its data set with --dataset and --data"
    );
    let range = args.first..args.first + args.count;
    ensure!(
        !range.is_empty() && args.completions > 0 && range.end <= images.len(),
        "choose one to {} images, with --first and --count, and one completion or more",
        images.len()
    );
    let known_rows = args.known_rows.unwrap_or(height / 2);
    ensure!(
        known_rows < height,
        "--known-rows {known_rows} leaves nothing to complete: the images have {height} rows"
    );
    common::check_folder_of(&args.out)?;
    let inpainting = Inpainting::new(&images, range)
        .with_completions(args.completions)
        .with_known_rows(known_rows)
        .with_seed(args.seed);
    let sampler = pixel_iqn::load_sampler(&run, &config, &device)?;
    let count = args.count * args.completions;
    let levels = common::with_row_progress("inpainting", count, height, |on_row| {
        inpainting.draw(&*sampler, on_row)
    })?;
    let shape = [args.count * inpainting.columns(), channels, height, width];
    ImageGrid::new(&levels, shape)?
        .with_columns(inpainting.columns())
        .with_scale(3)
        .save(&args.out)?;
    println!("wrote {}", args.out.display());
    Ok(())
}

/// The images with the classes of a class-conditional model: those of `labels`, else those whose
/// names their subfolders have.
fn label(
    images: ImageDataset,
    labels: &[String],
    config: &RunConfig,
) -> anyhow::Result<ImageDataset> {
    let classes = config.model.classes;
    if classes == 0 {
        ensure!(labels.is_empty(), "the model takes no labels");
        return Ok(images);
    }
    let names = config.data.class_names.as_deref().unwrap_or_default();
    let class = |label: &String| {
        let by_name = names.iter().position(|name| name == label);
        let class = by_name.or_else(|| label.parse().ok().filter(|&class| class < classes));
        class.map(|class| class as u32).with_context(|| {
            format!(
                "the model has no class `{label}`: it has {classes}, {}",
                names.join(", ")
            )
        })
    };
    let by_folder: Vec<String> = match (images.labels(), images.class_names()) {
        (Some(labels), Some(names)) => {
            let names = labels.iter().map(|&label| names[label as usize].clone());
            names.collect()
        }
        _ => Vec::new(),
    };
    let labels = match labels {
        [] => by_folder,
        [one] => vec![one.clone(); images.len()],
        labels => labels.to_vec(),
    };
    ensure!(
        labels.len() == images.len(),
        "the model is class-conditional: give --labels, one for all {} images or one for each",
        images.len()
    );
    let labels: Vec<u32> = labels.iter().map(class).collect::<Result<_, _>>()?;
    let shape = images.shape();
    Ok(ImageDataset::new(images.images().to_vec(), shape)?.with_labels(labels, classes)?)
}

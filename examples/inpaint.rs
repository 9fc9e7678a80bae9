//! Completes images whose lower half is missing, in the layout of the paper: the input at the
//! left, completions, the original at the right.
//!
//! ```text
//! cargo run --release --example inpaint -- --run runs/cifar10-1 --data data
//! ```

mod common;

use std::path::PathBuf;
use std::process::ExitCode;

use anyhow::ensure;
use clap::Parser;
use pixel_iqn::RunDir;
use pixel_iqn::data::folder::{self, Fit};
use pixel_iqn::data::save_sheet;
use pixel_iqn::train::Inpainting;

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
    let (channels, [height, width]) = (config.model.channels, config.size);
    let images = match &args.images {
        Some(folder) => folder::load(folder, height, channels, Fit::CropAndScale)?,
        None => {
            let kind = match args.data.dataset {
                Some(kind) => kind,
                None => config.dataset.parse()?,
            };
            args.data.open(kind)?.held_out
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
    let inpainting = Inpainting {
        known_rows,
        ..Inpainting::lower_half(&images, range, args.completions, args.seed)
    };
    let sampler = pixel_iqn::load_sampler(&run, &config, &device)?;
    let count = args.count * args.completions;
    let levels = common::with_row_progress("inpainting", count, height, |on_row| {
        inpainting.draw(&*sampler, on_row)
    })?;
    let shape = [args.count * inpainting.columns(), channels, height, width];
    save_sheet(&args.out, &levels, shape, inpainting.columns(), 3)?;
    println!("wrote {}", args.out.display());
    Ok(())
}

//! Completes images with missing pixels: held-out images whose lower half is missing, or images of
//! one's own with a mask.
//!
//! ```text
//! cargo run --release --example inpaint -- --run runs/cifar10-1 --data data
//! cargo run --release --example inpaint -- --model shapes
//! cargo run --release --example inpaint -- --run runs/photos --images a.png,b.png --labels cat
//! ```

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pixel_iqn::data::{ImageDataset, Mask, say};
use pixel_iqn::terminal::{Terminal, arguments, number};
use pixel_iqn::{DEFAULT_DEVICE, Run};

/// Complete images with missing pixels
#[derive(Parser)]
struct Args {
    /// Folder of a run
    #[arg(long, required_unless_present = "model")]
    run: Option<PathBuf>,
    /// Name of a trained model that comes with the library, such as shapes
    #[arg(long, conflicts_with = "run")]
    model: Option<String>,
    /// Folder of the data set of the run, where it is not where the run found it
    #[arg(long)]
    data: Option<PathBuf>,
    /// Image files to complete, cut and scaled to the size of the model [default: held-out images]
    #[arg(long, value_delimiter = ',', conflicts_with = "data")]
    images: Vec<PathBuf>,
    /// Classes of the images, for a class-conditional model: a name, #2, or names between commas
    #[arg(long)]
    labels: Option<String>,
    /// Mask of the size of the model's images: white is missing [default: the lower half]
    #[arg(long, value_name = "FILE.png")]
    mask: Option<PathBuf>,
    /// Completions of each image
    #[arg(long, default_value_t = 4, value_parser = number::count)]
    completions: usize,
    /// Seed of the completions
    #[arg(long, default_value_t = 0, value_parser = number::seed)]
    seed: u64,
    /// Device: cpu, ndarray, wgpu, vulkan or cuda
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: String,
    /// Picture to write
    #[arg(long, value_name = "FILE.png", default_value = "inpainting.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    Terminal::run(|terminal| inpaint(&args, terminal))
}

fn inpaint(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let run = match (&args.run, &args.model) {
        (Some(run), _) => Run::open(run)?,
        (None, name) => Run::pretrained(name.as_deref().unwrap_or_default())?,
    };
    let model = run.model(&args.device)?;
    let size @ [height, _] = run.config().data.size;
    let images = match &args.images[..] {
        [] => {
            let held_out = run.images(args.data.as_deref())?.held_out;
            let count = held_out.len().min(6);
            held_out.as_ref().clone().take(count)?
        }
        files if model.config().channels == 1 => {
            ImageDataset::from_files(files, height)?.into_grey()?
        }
        files => ImageDataset::from_files(files, height)?,
    };
    let mask = match &args.mask {
        Some(path) => Mask::from_png(path)?,
        None => Mask::lower_half(size),
    };
    let bar = terminal.bar("inpainting");
    let inpainting = model.inpaint(&images, &mask).completions(args.completions);
    let mut inpainting = inpainting.seed(args.seed).originals(args.images.is_empty());
    if let Some(labels) = &args.labels {
        inpainting = inpainting.labels(labels);
    }
    inpainting.progress(&bar).run()?.save_grid(&args.out)?;
    say!("wrote {}", args.out.display());
    Ok(())
}

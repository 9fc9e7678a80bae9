//! Draws samples of a trained model as one picture.
//!
//! ```text
//! cargo run --release --example sample -- --run runs/cifar10-1 --count 64 --out samples.png
//! cargo run --release --example sample -- --model shapes
//! ```
//!
//! The program `pixel-iqn sample` (crates/pixel-iqn-cli) also writes npz files and folders of images.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use pixel_iqn::data::say;
use pixel_iqn::terminal::{Terminal, arguments, number};
use pixel_iqn::{DEFAULT_DEVICE, Model};

/// Draw samples of a trained model
#[derive(Parser)]
struct Args {
    /// Folder of a run, or of trained weights
    #[arg(long, required_unless_present = "model")]
    run: Option<PathBuf>,
    /// Name of a trained model that comes with the library, such as shapes
    #[arg(long, conflicts_with = "run")]
    model: Option<String>,
    /// Images to draw
    #[arg(long, default_value_t = 64, value_parser = number::count)]
    count: usize,
    /// Seed: image `i` of a seed is always the same
    #[arg(long, default_value_t = 0, value_parser = number::seed)]
    seed: u64,
    /// Classes: a name, #2, names between commas, `spread` or `none`
    #[arg(long)]
    labels: Option<String>,
    /// Device: cpu, ndarray, wgpu, vulkan or cuda
    #[arg(long, default_value = DEFAULT_DEVICE)]
    device: String,
    /// Picture to write
    #[arg(long, value_name = "FILE.png", default_value = "samples.png")]
    out: PathBuf,
}

fn main() -> ExitCode {
    let args: Args = arguments();
    Terminal::run(|terminal| sample(&args, terminal))
}

fn sample(args: &Args, terminal: &Terminal) -> anyhow::Result<()> {
    let model = match (&args.run, &args.model) {
        (Some(run), _) => Model::open(run, &args.device)?,
        (None, name) => Model::pretrained_on(name.as_deref().unwrap_or_default(), &args.device)?,
    };
    let bar = terminal.bar("sampling");
    let mut samples = model.sample(args.count).seed(args.seed).progress(&bar);
    if let Some(labels) = &args.labels {
        samples = samples.labels(labels);
    }
    samples.run()?.save_grid(&args.out)?;
    say!("wrote {}", args.out.display());
    Ok(())
}

use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

use anyhow::{Context, bail, ensure};
use pixel_iqn::data::{Loader, LoaderConfig, builtin, say, tell};
use pixel_iqn::terminal::number;
use pixel_iqn::train::product_rate;
use pixel_iqn::{AnyModel, ModelConfig, TrainConfig, Trainer};
use serde_json::{Value, json};

use super::{Torch, lowerings, output_of_this_program, peak_bytes};
use crate::lowering::LoweringName;
use crate::python;

/// Steps before those that are measured.
const WARM_UP: usize = 3;

/// Ways to run the reference on the CPU.
const CPU_MODES: &str = "torch,torch-channels-last,torch-compile";
/// And on a GPU: in single precision, with products in TF32, and with autocast to bfloat16.
const CUDA_MODES: &str =
    "torch,torch-compile,torch-tf32,torch-compile-tf32,torch-bf16,torch-compile-bf16";

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Model and batch, as 5x96:8 (layers x features) or paper_small:4
    #[arg(
        long = "case",
        value_name = "MODEL:BATCH",
        value_delimiter = ',',
        default_value = "5x96:8,paper_small:4"
    )]
    cases: Vec<String>,
    /// Output of the models: gates, head, monotone or categorical
    #[arg(long, default_value = "gates")]
    output: String,
    /// Height and width
    #[arg(long, default_value_t = 32, value_parser = number::count)]
    size: usize,
    /// Instead of the cases, the first model at batches 1 to 32 and sizes 16 to 64
    #[arg(long)]
    sweep: bool,
    #[command(flatten)]
    pytorch: Torch,
    /// Seconds to measure each case and implementation
    #[arg(long, default_value_t = 10.0, value_parser = number::rate)]
    seconds: f64,
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with an index, cuda:1
    #[arg(long, default_value = pixel_iqn::DEFAULT_DEVICE)]
    device: String,
    /// How to run the reference: torch, torch-channels-last or torch-compile, on CUDA each also with
    /// -tf32 or -bf16 [default: all that suit the device]
    #[arg(long, value_delimiter = ',', value_name = "NAME", requires = "python")]
    torch: Vec<String>,
    /// Lowerings to measure [default: fastest on the CPU, else all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    lowering: Vec<LoweringName>,
    /// One line of JSON for each measurement
    #[arg(long)]
    json: bool,
    /// Measure the one case in this process, and print it as JSON
    #[arg(long, hide = true)]
    alone: bool,
}

#[derive(Debug)]
struct Case {
    name: String,
    model: ModelConfig,
    batch: usize,
    size: usize,
}

impl Case {
    fn parse(text: &str, size: usize, output: &str) -> anyhow::Result<Self> {
        let expected = || format!("`{text}` is no case: give MODEL:BATCH, as 5x96:8");
        let (name, batch) = text.split_once(':').with_context(expected)?;
        let batch: usize = batch.parse().with_context(expected)?;
        ensure!(batch > 0 && size > 0, "batches and sizes start at 1");
        let model = match name.split_once('x') {
            Some((layers, features)) => ModelConfig::new()
                .with_layers(layers.parse().with_context(expected)?)
                .with_features(features.parse().with_context(expected)?),
            None => ModelConfig::preset(name)?,
        };
        let output = model.output.to_kind(output)?;
        let model = model.with_output(output);
        model.validate()?;
        Ok(Self {
            name: name.to_owned(),
            model,
            batch,
            size,
        })
    }

    /// Operations of a step in the products alone.
    fn flops(&self) -> f64 {
        (self.model.training_flops() * self.batch * self.size * self.size) as f64
    }

    fn config_json(&self) -> anyhow::Result<String> {
        let config: Value = serde_json::from_str(&self.model.to_json())?;
        Ok(config.to_string())
    }
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    if args.alone {
        let [case] = &args.cases[..] else {
            bail!("--alone takes one case");
        };
        say!(
            "{}",
            measure(args, &Case::parse(case, args.size, &args.output)?)?
        );
        return Ok(());
    }
    let cases: Vec<Case> = if args.sweep {
        let first = args.cases.first().context("give a case")?;
        let (model, _) = first.split_once(':').context("give MODEL:BATCH")?;
        let batches = [1, 2, 4, 8, 16, 32].map(|batch| (batch, 32));
        let sizes = [16, 24, 48, 64].map(|size| (8, size));
        let sweep = batches.into_iter().chain(sizes);
        sweep
            .map(|(batch, size)| Case::parse(&format!("{model}:{batch}"), size, &args.output))
            .collect::<Result<_, _>>()?
    } else {
        let cases = args.cases.iter();
        cases
            .map(|case| Case::parse(case, args.size, &args.output))
            .collect::<Result<_, _>>()?
    };
    for case in &cases {
        let mut best: Option<Value> = None;
        for lowering in lowerings(&args.lowering, &args.device) {
            let ours = ours(args, case, lowering)?;
            let name = match lowering {
                LoweringName::Fastest => "pixel-iqn".to_owned(),
                other => format!("pixel-iqn ({})", other.name()),
            };
            report(args, case, &name, &ours, None)?;
            let seconds = |value: &Value| value["seconds_per_step"].as_f64();
            if best
                .as_ref()
                .is_none_or(|best| seconds(&ours) < seconds(best))
            {
                best = Some(ours);
            }
        }
        if let (Some(python), Some(ours)) = (&args.pytorch.python, best) {
            for mode in &torch_modes(args) {
                // One that fails, for want of a compiler say, must not keep the others from running.
                let mut theirs = match torch(args, python, case, mode) {
                    Ok(theirs) => theirs,
                    Err(error) => {
                        tell!("WARNING: {error:#}");
                        continue;
                    }
                };
                theirs["peak_gflops"] = ours["peak_gflops"].clone();
                report(args, case, mode, &theirs, Some(&ours))?;
            }
        }
    }
    Ok(())
}

fn torch_modes(args: &Args) -> Vec<String> {
    if !args.torch.is_empty() {
        return args.torch.clone();
    }
    let modes = match args.device.starts_with("cuda") {
        true => CUDA_MODES,
        false => CPU_MODES,
    };
    modes.split(',').map(str::to_owned).collect()
}

/// The case in a process of its own, so that the peak of its memory is its own.
fn ours(args: &Args, case: &Case, lowering: LoweringName) -> anyhow::Result<Value> {
    let flags = [
        "bench".into(),
        "train".into(),
        "--alone".into(),
        format!("--case={}:{}", case.name, case.batch),
        format!("--size={}", case.size),
        format!("--seconds={}", args.seconds),
        format!("--output={}", args.output),
        format!("--device={}", args.device),
        format!("--lowering={}", lowering.name()),
    ];
    Ok(serde_json::from_str(&output_of_this_program(&flags)?)?)
}

/// Whole steps: batch, fresh tau, forward, loss, backward, clipping, Adam, average.
fn measure(args: &Args, case: &Case) -> anyhow::Result<Value> {
    let begun = Instant::now();
    let device = pixel_iqn::device(&args.device)?;
    let images = Arc::new(builtin::generate(
        0,
        0..256,
        case.size,
        case.model.channels,
    )?);
    let loader = Loader::new(images, LoaderConfig::new(case.batch), device.clone(), 0)?;
    let config = TrainConfig::new(1_000_000, case.batch);
    let mut trainer = Trainer::<AnyModel>::new(&case.model, config, &device)?;
    if let [lowering] = &args.lowering[..] {
        trainer.set_lowering(lowering.lowering());
    }
    let mut seconds = Vec::new();
    let mut first_step = 0.0;
    let start = Instant::now();
    for (step, batch) in loader.enumerate() {
        let before = Instant::now();
        trainer.step(&batch)?;
        if step == 0 {
            first_step = begun.elapsed().as_secs_f64();
        }
        if step >= WARM_UP {
            seconds.push(before.elapsed().as_secs_f64());
        }
        if seconds.len() >= 5 && start.elapsed().as_secs_f64() >= args.seconds {
            break;
        }
    }
    seconds.sort_by(f64::total_cmp);
    let peak_bytes = peak_bytes();
    Ok(json!({
        "seconds_per_step": seconds[seconds.len() / 2],
        "seconds_to_first_step": first_step,
        "peak_gflops": product_rate(&device) / 1e9,
        "peak_bytes": peak_bytes,
    }))
}

fn torch(args: &Args, python: &Path, case: &Case, mode: &str) -> anyhow::Result<Value> {
    let threads = rayon::current_num_threads();
    let config = case.config_json()?;
    python::run(python, include_str!("train.py"), mode, |command| {
        command
            .arg(&args.pytorch.reference)
            .args([&config, mode])
            .args([case.batch, case.size, threads].map(|n| n.to_string()))
            .arg(args.seconds.to_string())
            .arg(match args.device.starts_with("cuda") {
                true => &args.device,
                false => "cpu",
            });
    })
}

fn report(
    args: &Args,
    case: &Case,
    implementation: &str,
    result: &Value,
    ours: Option<&Value>,
) -> anyhow::Result<()> {
    let number = |value: &Value, name: &str| {
        let number = value[name].as_f64();
        number.with_context(|| format!("the measurement has no `{name}`"))
    };
    let seconds = number(result, "seconds_per_step")?;
    let peak = number(result, "peak_gflops")?;
    let gflops = case.flops() / seconds / 1e9;
    if args.json {
        say!(
            "{}",
            json!({
                "impl": implementation,
                "config": case.name,
                "batch": case.batch,
                "size": case.size,
                "device": args.device,
                "threads": rayon::current_num_threads(),
                "seconds_per_step": seconds,
                "seconds_to_first_step": result["seconds_to_first_step"],
                "images_per_second": case.batch as f64 / seconds,
                "gflops": gflops,
                "peak_gflops": peak,
                "peak_bytes": result["peak_bytes"],
            })
        );
        return Ok(());
    }
    let memory = result["peak_bytes"].as_u64();
    let memory = memory.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
    let first = result["seconds_to_first_step"].as_f64();
    let first = first.map_or(String::new(), |seconds| {
        format!(", the first after {seconds:.1} s")
    });
    let ratio = match ours {
        Some(ours) => format!(
            "; pixel-iqn takes {:.2} x its time",
            number(ours, "seconds_per_step")? / seconds
        ),
        None => String::new(),
    };
    say!(
        "{} batch {}, {size}x{size}, {}, {implementation}: {seconds:.3} s a step{first}, {:.1} images/s, \
         {gflops:.0} GFLOP/s of {peak:.0} ({:.0}%), peak memory {memory}{ratio}",
        case.name,
        case.batch,
        args.device,
        case.batch as f64 / seconds,
        100.0 * gflops / peak,
        size = case.size,
    );
    Ok(())
}

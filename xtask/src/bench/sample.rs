use std::time::Instant;

use anyhow::ensure;
use burn::tensor::{Device, Distribution, Tensor};
use clap::ValueEnum;
use pixel_iqn::core::{Conditions, IncrementalSampler, NoProgress, Output, PixelModel};
use pixel_iqn::data::say;
use pixel_iqn::terminal::number;
use pixel_iqn::train::product_rate;
use pixel_iqn::{AnyModel, ModelConfig, SampleOptions, Sampler};
use serde_json::json;

use super::{lowerings, output_of_this_program, peak_bytes};
use crate::lowering::LoweringName;

/// Images of a measured forward pass, from which the naive sampler is scaled.
const NAIVE_IMAGES: usize = 4;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Model: tiny, quick, small, paper_small or paper_large
    #[arg(long, default_value = "paper_small")]
    preset: String,
    /// Output: gates, head, monotone or categorical [default: that of the preset]
    #[arg(long)]
    output: Option<String>,
    /// Also time the model with these dilations, in turn with the plain one
    #[arg(long, value_delimiter = ',', value_parser = number::count)]
    dilations: Vec<usize>,
    /// Height and width
    #[arg(long, default_value_t = 32, value_parser = number::count)]
    size: usize,
    /// Batches to time
    #[arg(long, value_delimiter = ',', default_value = "1,16,64,256", value_parser = number::count)]
    batch: Vec<usize>,
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with an index, cuda:1
    #[arg(long, default_value = pixel_iqn::DEFAULT_DEVICE)]
    device: String,
    /// Which sampler
    #[arg(long, value_enum, default_value_t = Which::Fastest)]
    sampler: Which,
    /// Lowerings to measure [default: fastest on the CPU, else all]
    #[arg(long, value_enum, value_delimiter = ',', value_name = "NAME")]
    lowering: Vec<LoweringName>,
    /// One line of JSON for each batch
    #[arg(long)]
    json: bool,
}

#[derive(ValueEnum, Debug, Clone, Copy, PartialEq, Eq)]
enum Which {
    /// The sampler that a model chooses on the device
    Fastest,
    /// The incremental sampler on tensors of the device
    Incremental,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    ensure!(
        args.size > 0 && !args.batch.contains(&0),
        "sizes and batches start at 1"
    );
    let lowerings = lowerings(&args.lowering, &args.device);
    if let ([batch], [lowering]) = (&args.batch[..], &lowerings[..]) {
        return one(args, *batch, *lowering);
    }
    for batch in &args.batch {
        for lowering in &lowerings {
            let sampler = args.sampler.to_possible_value().expect("none is hidden");
            let mut flags = vec![
                "bench".into(),
                "sample".into(),
                format!("--preset={}", args.preset),
                format!("--size={}", args.size),
                format!("--batch={batch}"),
                format!("--device={}", args.device),
                format!("--sampler={}", sampler.get_name()),
                format!("--lowering={}", lowering.name()),
            ];
            flags.extend(args.output.iter().map(|kind| format!("--output={kind}")));
            flags.extend(args.dilations.iter().map(|d| format!("--dilations={d}")));
            flags.extend(args.json.then(|| "--json".into()));
            say!("{}", output_of_this_program(&flags)?.trim_end());
        }
    }
    Ok(())
}

fn one(args: &Args, batch: usize, lowering: LoweringName) -> anyhow::Result<()> {
    let mut config = ModelConfig::preset(&args.preset)?;
    if let Some(kind) = &args.output {
        config.output = Output::of_kind(kind)?;
    }
    let device = pixel_iqn::device(&args.device)?;
    let model_of =
        |config: &ModelConfig| AnyModel::init(config, &device).with_lowering(lowering.lowering());
    let sampler_of = |model: &AnyModel| -> Box<dyn Sampler> {
        match args.sampler {
            Which::Fastest => pixel_iqn::sampler(model.clone(), &device),
            Which::Incremental => Box::new(IncrementalSampler::from(model)),
        }
    };
    let model = model_of(&config);
    let sampler = sampler_of(&model);
    let seconds = sampling(&*sampler, batch, args.size)? / batch as f64;
    let peak_bytes = peak_bytes();
    let dilated = match &args.dilations[..] {
        [] => None,
        dilations => {
            let config = config.clone().with_dilations(dilations.to_vec());
            config.validate()?;
            let dilated = sampler_of(&model_of(&config));
            let mut ratios = Vec::new();
            // In turn, so that what else the machine does slows both.
            for _ in 0..5 {
                let plain = sampling(&*sampler, batch, args.size)?;
                ratios.push(sampling(&*dilated, batch, args.size)? / plain);
            }
            ratios.sort_by(f64::total_cmp);
            Some(ratios[ratios.len() / 2])
        }
    };
    let naive = naive(&model, args.size, batch.min(NAIVE_IMAGES), &device);
    let rate = product_rate(&device);
    let floor = (config.pixel_flops() * args.size * args.size) as f64 / rate;
    if args.json {
        say!(
            "{}",
            json!({
                "config": args.preset,
                "device": args.device,
                "lowering": lowering.name(),
                "threads": rayon::current_num_threads(),
                "batch": batch,
                "seconds_per_image": seconds,
                "floor_seconds_per_image": floor,
                "naive_seconds_per_image": naive,
                "peak_bytes": peak_bytes,
                "dilated_over_plain": dilated,
            })
        );
    } else {
        let memory = peak_bytes.map_or("unknown".into(), |bytes| format!("{} MiB", bytes >> 20));
        say!(
            "{} {size}x{size}, batch {batch}, {}, {}: {:.2} images/s, {seconds:.4} s per image, {:.2} x \
             the floor of {floor:.4} s ({:.0} GFLOP/s); naive {naive:.0} s (scaled from forward \
             passes), {:.0} x; peak memory {memory}",
            args.preset,
            args.device,
            lowering.name(),
            1.0 / seconds,
            seconds / floor,
            rate / 1e9,
            naive / seconds,
            size = args.size,
        );
        if let Some(ratio) = dilated {
            let dilations = &args.dilations;
            say!("dilations {dilations:?}: {ratio:.3} x the time of the plain model, median of 5");
        }
    }
    Ok(())
}

/// Seconds for a batch: the best of those that begin within two seconds, and of two at least, of which the
/// first also compiles kernels.
fn sampling(sampler: &dyn Sampler, batch: usize, size: usize) -> anyhow::Result<f64> {
    let options = SampleOptions::new(batch, [size, size], 0).with_batch(batch);
    let (mut best, mut runs, begin) = (f64::INFINITY, 0, Instant::now());
    while runs < 2 || begin.elapsed().as_secs_f64() < 2.0 {
        runs += 1;
        for batch in options.batches(sampler.config())? {
            let start = Instant::now();
            sampler.sample(&batch, &NoProgress)?;
            best = best.min(start.elapsed().as_secs_f64());
        }
    }
    Ok(best)
}

/// Seconds of the naive sampler for an image: one forward pass, the best of three, per value.
fn naive(model: &AnyModel, size: usize, images: usize, device: &Device) -> f64 {
    let channels = model.config().channels;
    let uniform = Distribution::Uniform(0.01, 0.99);
    let noise = || Tensor::<4>::random([images, channels, size, size], uniform, device);
    let (x, tau) = (noise(), noise());
    let seconds = (0..3).map(|_| {
        let start = Instant::now();
        let values = model.values(x.clone(), tau.clone(), Conditions::default());
        let _ = values.into_data();
        start.elapsed().as_secs_f64()
    });
    let pass = seconds.fold(f64::INFINITY, f64::min) / images as f64;
    pass * (channels * size * size) as f64
}

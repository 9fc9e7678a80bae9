use std::fs;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::{Path, PathBuf};

use anyhow::{Context, bail, ensure};
use pixel_iqn::ModelConfig;
use pixel_iqn::burn::tensor::Device;
use pixel_iqn::core::parity::{
    Differences, MAX_ABS, MAX_ABS_LOSS, MAX_REL_GRAD, MAX_UNEQUAL, ParityError, check, check_crps,
    check_losses,
};
use pixel_iqn::core::{AnyModel, Lowering};
use pixel_iqn::data::say;
use pixel_iqn::train::compare_lowerings;
use serde_json::json;

use crate::lowering::LoweringName;

#[derive(clap::Args, Debug)]
pub struct Args {
    /// Folder of NAME.json configs and NAME.safetensors vectors; losses.json and crps.json in the
    /// folder above are checked, too, and on a GPU our kernels for large products
    dir: PathBuf,
    /// Device: cpu, ndarray, wgpu, vulkan, cuda, or with an index, cuda:1
    #[arg(long, default_value = pixel_iqn::DEFAULT_DEVICE)]
    device: String,
    /// How causal convolutions become operations of the device
    #[arg(long, value_enum, default_value_t = LoweringName::Fastest, value_name = "NAME")]
    lowering: LoweringName,
    /// One line of JSON for each file
    #[arg(long)]
    json: bool,
}

pub fn run(args: &Args) -> anyhow::Result<()> {
    let device = pixel_iqn::device(&args.device)?;
    let files = vectors(&args.dir)?;
    ensure!(
        !files.is_empty(),
        "there is no .safetensors file in {}",
        args.dir.display()
    );
    let mut misses = 0;
    for path in &files {
        let name = path.file_name().unwrap_or_default().to_string_lossy();
        let config = path.with_extension("json");
        let result = read(&config)
            .and_then(|text| String::from_utf8(text).context("the config is not UTF-8"))
            .and_then(|config| {
                let vectors = read(path)?;
                // A case that no model can run must not keep the others from being checked.
                let result = catch_unwind(AssertUnwindSafe(|| {
                    check(&config, &vectors, &device, args.lowering.lowering())
                }));
                match result {
                    Ok(result) => Ok(result?),
                    Err(_) => bail!("the check panicked: the message stands above"),
                }
            });
        let ok = result.as_ref().is_ok_and(Differences::ok);
        misses += usize::from(!ok);
        match (result, args.json) {
            (Ok(d), true) => say!(
                "{}",
                json!({
                    "file": name,
                    "ok": ok,
                    "max_abs_output": d.output,
                    "max_abs_loss": d.loss,
                    "max_rel_grad": d.grad,
                    "unequal_samples": d.unequal,
                })
            ),
            (Err(error), true) => {
                say!(
                    "{}",
                    json!({"file": name, "ok": false, "error": format!("{error:#}")})
                );
            }
            (Ok(d), false) => say!(
                "{} {name}: output {:.1e}, loss {:.1e}, gradients {:.1e} relative, {}",
                if ok { "ok  " } else { "MISS" },
                d.output,
                d.loss,
                d.grad,
                d.unequal.map_or("no samples".into(), |part| format!(
                    "{:.2}% of sampled values unequal",
                    100.0 * part
                )),
            ),
            (Err(error), false) => say!("FAIL {name}: {error:#}"),
        }
    }
    type Check = fn(&str, &Device) -> Result<f64, ParityError>;
    let checks: [(&str, Check); 2] = [("losses.json", check_losses), ("crps.json", check_crps)];
    let mut single = 0;
    for (name, check) in checks {
        let path = args.dir.join("..").join(name);
        if !path.exists() {
            continue;
        }
        single += 1;
        let text = String::from_utf8(read(&path)?).context("the losses are not UTF-8")?;
        let worst = check(&text, &device)?;
        let ok = worst <= MAX_ABS_LOSS;
        misses += usize::from(!ok);
        if args.json {
            say!("{}", json!({"file": name, "ok": ok, "max_abs": worst}));
        } else {
            let word = if ok { "ok  " } else { "MISS" };
            say!("{word} {name}: losses and gradients {worst:.1e}, {MAX_ABS_LOSS:.0e} is allowed");
        }
    }
    if args.lowering == LoweringName::Fastest && Lowering::has_gpu_kernels(&device) {
        single += 1;
        let result = large(&device);
        misses += usize::from(result.is_err());
        let error = result.err().map(|error| error.to_string());
        match (&error, args.json) {
            (error, true) => {
                say!(
                    "{}",
                    json!({"file": LARGE, "ok": error.is_none(), "error": error})
                );
            }
            (None, false) => say!("ok   {LARGE}: gradients agree with those by products"),
            (Some(error), false) => say!("MISS {LARGE}: {error}"),
        }
    }
    if misses > 0 {
        bail!(
            "{misses} of {} files missed; {MAX_ABS:.0e} is allowed, {MAX_REL_GRAD:.0e} relative \
             for gradients, {}% of unequal values for samples",
            files.len() + single,
            100.0 * MAX_UNEQUAL
        );
    }
    Ok(())
}

/// The kernels of our own that only large products take, which no vector has.
const LARGE: &str = "three layers of 120 features, 8 images of 32x32";

fn large(device: &Device) -> Result<(), pixel_iqn::train::TrainError> {
    let model = ModelConfig::paper_small().with_layers(3).with_classes(10);
    let lowerings = [Lowering::Fastest, Lowering::Product];
    compare_lowerings::<AnyModel>(&model, [8, 32], device, lowerings)
}

fn vectors(dir: &Path) -> anyhow::Result<Vec<PathBuf>> {
    let entries = fs::read_dir(dir).with_context(|| format!("cannot read {}", dir.display()))?;
    let mut files = Vec::new();
    for entry in entries {
        let path = entry
            .with_context(|| format!("cannot read {}", dir.display()))?
            .path();
        if path
            .extension()
            .is_some_and(|extension| extension == "safetensors")
        {
            files.push(path);
        }
    }
    files.sort();
    Ok(files)
}

fn read(path: &Path) -> anyhow::Result<Vec<u8>> {
    fs::read(path).with_context(|| format!("cannot read {}", path.display()))
}

//! Training sessions, with what they show on the way.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex};

use anyhow::ensure;
use burn::tensor::Device;
use pixel_iqn::data::Splits;
use pixel_iqn::train::{DataConfig, Display, Finished, Interrupter, product_rate};
use pixel_iqn::{AnyModel, DatasetKind, RunConfig, Session, TrainModel};

use super::Progress;

/// Where the images of a new run come from: the folder of `--data`, but for the built-in pictures.
pub fn data_config(
    kind: DatasetKind,
    folder: &Path,
    splits: &Splits,
) -> anyhow::Result<DataConfig> {
    let path = match kind {
        DatasetKind::Builtin => None,
        _ => Some(absolute(folder)?),
    };
    let config = DataConfig::new(kind.name(), &splits.train, &splits.held_out);
    Ok(config.with_path(path).with_description(&splits.description))
}

/// The path from the root, as TOML can hold it.
pub fn absolute(folder: &Path) -> anyhow::Result<PathBuf> {
    let path = std::path::absolute(folder)?;
    ensure!(
        path.to_str().is_some(),
        "the name of {} is not UTF-8: rename it, or give a link to it",
        path.display()
    );
    Ok(path)
}

/// What a training reaches of what its device can do.
pub struct Arithmetic {
    /// Operations for an image.
    flops_per_image: f64,
    /// Operations per second of a large matrix product.
    product_rate: f64,
}

impl Arithmetic {
    /// Measures the device, which takes seconds where kernels are compiled first.
    pub fn of(config: &RunConfig, device: &Device) -> Self {
        let [height, width] = config.data.size;
        Self {
            flops_per_image: (config.model.training_flops() * height * width) as f64,
            product_rate: product_rate(device),
        }
    }

    /// A line on the device.
    pub fn device(&self) -> String {
        format!(
            "{:.2} TFLOP/s in a large matrix product",
            self.product_rate / 1e12
        )
    }

    fn note(&self, images_per_second: f64) -> String {
        let reached = self.flops_per_image * images_per_second;
        format!(
            " {:.2} TFLOP/s ({:.0}% of a matrix product)",
            reached / 1e12,
            100.0 * reached / self.product_rate
        )
    }
}

/// Trains with progress of so many steps, lines for what is measured, and samples by the fastest
/// sampler.
pub fn train<M: TrainModel + Into<AnyModel>>(
    session: Session<M>,
    display: Display,
    interrupter: Interrupter,
    task: &str,
    steps: usize,
    arithmetic: Option<Arithmetic>,
) -> anyhow::Result<Finished<M>> {
    let progress = (display == Display::Plain)
        .then(|| Progress::new(task, steps).start_at(session.steps_done()));
    let progress = Arc::new(Mutex::new(progress));
    let notices = progress.clone();
    let finished = session
        .with_display(display)
        .with_interrupter(interrupter)
        .with_sampler(|model, device| pixel_iqn::sampler(model, device))
        .on_step(move |metrics| {
            let progress = progress.lock().expect("no thread panics with the lock");
            let Some(progress) = &*progress else { return };
            let (step, loss) = (metrics.report.step + 1, metrics.report.loss);
            let rate = metrics.images_per_second;
            let reached = arithmetic.as_ref().map(|a| a.note(rate));
            let reached = reached.unwrap_or_default();
            progress.set(step, &format!("loss {loss:.4} {rate:.1} images/s{reached}"));
            if let Some(held_out) = metrics.held_out {
                progress.say(&format!(
                    "step {step}: held-out loss {:.5}, mean pinball {:.5}, skill {:.3}, crossing rate {:.1}%",
                    held_out.loss,
                    held_out.mean_pinball,
                    held_out.skill,
                    100.0 * held_out.crossing_rate
                ));
            }
        })
        .on_notice(move |line| {
            match &*notices.lock().expect("no thread panics with the lock") {
                Some(progress) => progress.say(line),
                None => eprintln!("{line}"),
            }
        })
        .train()?;
    Ok(finished)
}

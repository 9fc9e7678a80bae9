use anyhow::{Context, Result};
use pixel_iqn::data::{say, write_atomically};
use serde_json::{Value, json};

use super::comparison::{Comparison, SCORE_SEED};
use super::evaluated::Evaluated;
use super::{pictures, table};
use crate::estimates;

/// Writes and prints all that was found.
pub fn write(comparison: &Comparison<'_>, all: &[Evaluated]) -> Result<()> {
    let out = &comparison.command.out;
    let write = |name: &str, text: &str| write_atomically(&out.join(name), text.as_bytes());
    let chance = comparison.distances_of_training_images()?;
    let about = &all.first().context("no model was compared")?.config;
    let table = table::table(comparison.command, about, all, &chance);
    write("comparison.md", &table)?;
    let models: Vec<Value> = all.iter().map(to_json).collect::<Result<_>>()?;
    let json = json!({
        "data": about.data.dataset,
        "description": about.data.description,
        "steps": about.train.steps,
        "samples": comparison.command.samples,
        "sliced_wasserstein_of_training_images": chance,
        "models": models,
    });
    write("comparison.json", &format!("{json:#}\n"))?;
    pictures::draw_curves(&out.join("curves.png"), all)?;
    let titles = pictures::draw_samples(&comparison.real, all, &out.join("samples.png"))?;
    // What is printed is in the files, whoever reads it.
    say!("{}", table.trim_end());
    say!("\nsamples.png, from the left: held-out images, {titles}");
    say!(
        "\nwrote comparison.md, comparison.json, curves.png and samples.png to {}",
        out.display()
    );
    Ok(())
}

fn to_json(model: &Evaluated) -> Result<Value> {
    Ok(json!({
        "model": model.kind.name,
        "seed": model.seed,
        "train_seconds": model.train_seconds,
        "conditional": estimates::to_json(&model.conditional, SCORE_SEED)?,
        "sliced_wasserstein": model.sliced_wasserstein,
        "image_sets": model.image_sets,
    }))
}

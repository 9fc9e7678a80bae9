use anyhow::{Context, Result};
use pixel_iqn::data::{say, write_atomically};
use serde_json::{Value, json};

use super::comparison::{Comparison, SCORE_SEED};
use super::evaluated::Evaluated;
use super::files::ReportFiles;
use super::{pictures, table};
use crate::estimates;

/// Writes and prints all that was found.
pub fn write(comparison: &Comparison<'_>, all: &[Evaluated], files: &ReportFiles) -> Result<()> {
    let command = comparison.command;
    let write = |name: &str, text: &str| write_atomically(&files.path(name), text.as_bytes());
    let chance = comparison.distances_of_training_images()?;
    let about = &all.first().context("no model was compared")?.config;
    let table = table::table(command, about, all, &chance);
    write("comparison.md", &table)?;
    let models: Vec<Value> = all.iter().map(to_json).collect::<Result<_>>()?;
    let json = json!({
        "data": about.data.dataset,
        "description": about.data.description,
        "steps": about.train.steps,
        "height": about.data.size[0],
        "width": about.data.size[1],
        "held_out_images": command.images,
        "quantile_levels": command.taus,
        "samples": command.samples,
        "score_seed": SCORE_SEED,
        "sliced_wasserstein_of_training_images": chance,
        "models": models,
    });
    write("comparison.json", &format!("{json:#}\n"))?;
    pictures::draw_curves(&files.path("curves.png"), all)?;
    let samples = files.path("samples.png");
    let titles = pictures::draw_samples(&comparison.real, all, &samples)?;
    // What is printed is in the files, whoever reads it.
    say!("{}", table.trim_end());
    let [table, scores, curves, samples] = [
        "comparison.md",
        "comparison.json",
        "curves.png",
        "samples.png",
    ]
    .map(|name| files.name(name));
    say!("\n{samples}, from the left: held-out images, {titles}");
    say!(
        "\nwrote {table}, {scores}, {curves} and {samples} to {}",
        command.out.display()
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

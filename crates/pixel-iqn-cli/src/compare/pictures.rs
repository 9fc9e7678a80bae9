use std::path::Path;

use pixel_iqn::data::{ImageDataset, ImageGrid};
use pixel_iqn::train::plot::{Chart, Mark, Series};

use super::evaluated::Evaluated;

/// Images of each model in a row of the samples, and rows.
const COLUMNS: usize = 5;
const ROWS: usize = 8;

/// Draws the CRPS on held-out images over the steps, with a line for each training.
pub fn draw_curves(path: &Path, all: &[Evaluated]) -> anyhow::Result<()> {
    let series = all.iter().map(|model| {
        // One entry in the legend for all seeds.
        let label = match model.seed {
            0 => model.kind.title,
            _ => "",
        };
        let measured = model.history.held_out.iter();
        let points = measured.map(|(step, scores)| (*step as f64 + 1.0, scores.crps));
        Series::new(Mark::Line(2), points.collect())
            .with_label(label)
            .with_color(model.kind.color)
    });
    let chart = Chart::new("Held-out images while training", "step", "CRPS");
    Ok(chart
        .with_series(series.collect())
        .without_start()
        .save(path)?)
}

/// Draws held-out images, then samples of the first training of each model, in columns with a gap
/// between, and returns the titles of the models from the left.
pub fn draw_samples(real: &ImageDataset, all: &[Evaluated], path: &Path) -> anyhow::Result<String> {
    let rows = ROWS.min(real.len().div_ceil(COLUMNS));
    let first = all.iter().filter(|model| model.seed == 0);
    let [channels, height, width] = real.shape();
    let length = channels * height * width;
    let gap = vec![255; length];
    let sets: Vec<&[u8]> = core::iter::once(real.images())
        .chain(first.clone().map(|model| model.samples.levels()))
        .collect();
    let mut levels = Vec::new();
    for row in 0..rows {
        for (i, set) in sets.iter().enumerate() {
            if i > 0 {
                levels.extend(&gap);
            }
            for column in 0..COLUMNS {
                let image = set.chunks_exact(length).nth(row * COLUMNS + column);
                levels.extend(image.unwrap_or(&gap));
            }
        }
    }
    let columns = (COLUMNS + 1) * sets.len() - 1;
    ImageGrid::new(&levels, [rows * columns, channels, height, width])?
        .with_columns(columns)
        .with_scale(3)
        .save(path)?;
    let titles: Vec<&str> = first.map(|model| model.kind.title).collect();
    Ok(titles.join("; "))
}
